from __future__ import annotations

import json
import random
import re

import numpy as np
import pytest
from etl_runtime.faults import Fault
from etl_runtime.json_path import json_path_steps
from etl_runtime.proof.kernel import MOST_TOKENS, Filter, JsonPaths, Key, Segment, Units

KEY = Key((0x9F3B5A7D21C4E681, 0x51D2C7A98E3F60B5, 0xC2B2AE3D27D4EB4F))
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\b": "\\b", "\f": "\\f", "\v": "\\v"})


def copied(*values: str | None) -> str:
    """Values as a row of COPY text."""
    return "\t".join("\\N" if v is None else v.translate(ESCAPES) for v in values) + "\n"


def segment(*rows: tuple[str | None, ...]) -> Segment:
    return Segment("".join(copied(*row) for row in rows).encode(), len(rows[0]), "the file of public.t")


def found(originals: Segment, texts: Segment, units: Units = Units.WHOLE, **options: object) -> list[int]:
    """The columns of `texts` in which an original of the first column stands, one entry a hit."""
    lengths = np.zeros(MOST_TOKENS + 1, np.uint8)
    collected = originals.collect(0, KEY, units, domain=7, lengths=lengths, **options)  # type: ignore[arg-type]
    held = Filter(1000)
    held.add(collected.grams)
    held.add(collected.starts)
    digests, columns = texts.scan(held, np.flatnonzero(lengths).astype(np.uint16), KEY)
    exact = np.isin(digests, collected.grams)
    return sorted(columns[exact].tolist())


@pytest.mark.parametrize(
    ("original", "text"),
    [
        ("ada@example.com", "ada@example.com"),
        ("ada@example.com", "Write to ADA@Example.COM, please"),
        ("Ada Lovelace", "by Ada Lovelace, who"),
        ("Ada Lovelace", '{"author": {"name": "Ada Lovelace"}}'),
        ("Ada Lovelace", '{bob,"Ada Lovelace"}'),
        ("Ada Lovelace", "ada.lovelace@example.com"),
        ("Zoë Brontë", '{"name": "Zo\\u00eb Bront\\u00eb"}'),
        ("😀 smiling face", '{"name": "\\ud83d\\ude00 smiling face"}'),
        ("Ada\nLovelace", '{"name": "Ada\\nLovelace"}'),
        ("Ada\tLovelace", "Ada Lovelace"),
        ("C:\\new\\folder", "C:\\new\\folder"),
        ("C:\\new\\folder", '{"path": "C:\\\\new\\\\folder"}'),
        ("C:\\new\\folder", "it is in C:\\new\\folder, I think"),
        ("one two three four five six seven", "zero one two three four five six seven eight"),
        ("123456789", "tel. 123456789"),
        ("+44 7700 900123", "(44) 7700-900123"),
        ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "id=6BA7B810-9DAD-11D1-80B4-00C04FD430C8;"),
        ("ada lovelace", "\\x" + b"dear Ada Lovelace!".hex()),
        ("\\x" + b"ada lovelace".hex(), "dear Ada Lovelace!"),
        ("\\x00ff00ff00ff", "\\x00ff00ff00ff"),
        ("\\x00ff00ff00ff", '{"photo": "\\\\x00ff00ff00ff"}'),
        ("a " * 5000, "b " + "a " * 5000),
    ],
)
def test_an_original_is_found_wherever_in_a_value_it_stands(original: str, text: str) -> None:
    assert 1 in found(segment((original,)), segment(("elsewhere", text)))


@pytest.mark.parametrize(
    ("original", "text"),
    [
        ("Ada Lovelace", "Ada and Lovelace"),
        ("Ada Lovelace", "Adam Lovelace"),
        ("Ada Lovelace", "Lovelace Ada"),
        ("one two three four", "one two three five"),
        ("one two three four", "one two three"),
        ("adaxyz", "adaxyza"),
        ("short", "short"),  # of five characters
        ("12345678", "12345678"),  # of eight digits
        ("\\x00ff00ff00ff", "\\x00ff00ff00"),
    ],
)
def test_what_is_no_original_is_not_found(original: str, text: str) -> None:
    assert found(segment((original,)), segment((text,))) == []


def test_null_and_empty_values_are_nobodys() -> None:
    collected = segment((None,), ("",), ("a value",)).collect(0, KEY, Units.WHOLE, domain=1)
    assert collected.units.size == 1


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9é]+", text.lower())


def test_words_that_run_on_over_the_buffers_end_are_found() -> None:
    choice = random.Random(5)
    text = [choice.choice(("alpha", "beta", "gamma", "delta")) + str(n % 97) for n in range(60_000)]
    originals = [text[n : n + choice.choice((1, 2, 3, 4, 9, 200, 4000))] for n in choice.sample(range(55_000), 60)]
    for original in originals:
        assert found(segment((" ".join(original),)), segment((", ".join(text),))), len(original)


def test_random_texts_are_found_as_plain_python_finds_them() -> None:
    choice = random.Random(11)
    vocabulary = ["ada", "lovelace", "x", "é", "99", "babbage", "1234567", "of"]
    for _ in range(300):
        original = [choice.choice(vocabulary) for _ in range(choice.randint(1, 6))]
        text = [choice.choice(vocabulary) for _ in range(choice.randint(0, 30))]
        separators = (" ", ", ", "\n", "\\", '"', " \\ ")
        joined = "".join(word + choice.choice(separators[:3]) for word in text)
        size = len("".join(original).encode())
        wanted = size >= (9 if "".join(original).isdigit() else 6)
        expected = sum(text[n : n + len(original)] == original for n in range(len(text) - len(original) + 1) if wanted)
        assert len(found(segment((" ".join(original),)), segment((joined,)))) == expected, (original, text)


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        ("{ada,bob}", ["ada", "bob"]),
        ('{"Ada Lovelace",NULL,"NULL",bob}', ["Ada Lovelace", "NULL", "bob"]),
        ("{{ada,bob},{cyd,dee}}", ["ada", "bob", "cyd", "dee"]),
        ('{"with \\"quotes\\" in it"}', ['with \\"quotes\\" in it']),
        ("{}", []),
        ('["2020-01-01 00:00:00","2021-01-01 00:00:00")', ["2020-01-01 00:00:00", "2021-01-01 00:00:00"]),
        ("[2020-01-01,2021-01-01)", ["2020-01-01", "2021-01-01"]),
        ('"mail"=>"ada@example.com", "none"=>NULL', ["mail", "ada@example.com", "none"]),
    ],
)
def test_an_array_is_looked_for_element_by_element(value: str, elements: list[str]) -> None:
    units = segment((value,)).collect(0, KEY, Units.ELEMENTS, domain=1).units
    singly = [segment((element,)).collect(0, KEY, Units.WHOLE, domain=1).units for element in elements]
    assert sorted(units.tolist()) == sorted(int(unit[0]) for unit in singly)


DOCUMENT = {
    "name": "n1",
    "contact": {"email": "e1", "phones": ["p1", "p2"], "née": "k1", 'qu"ote': "q1"},
    "contacts": [{"email": "e2"}, {"email": ["e3", {"deep": "e4"}]}],
    "number": 12.5,
    "yes": True,
    "nothing": None,
    "empty": "",
    "escaped": "a\nb",
}


@pytest.mark.parametrize(
    ("path", "leaves"),
    [
        ("$.name", ["n1"]),
        ("$.contact", ["e1", "p1", "p2", "k1", "q1"]),
        ("$.contact.email", ["e1"]),
        ("$.contact.phones[*]", ["p1", "p2"]),
        ("$.contact.phones[1]", ["p2"]),
        ("$.contact.phones", ["p1", "p2"]),
        ("$.contacts[*].email", ["e2", "e3", "e4"]),
        ("$.contacts.email", ["e2", "e3", "e4"]),
        ("$.contact[*].email", ["e1"]),
        ("$.contact[0].email", ["e1"]),
        ("$.contact[1].email", []),
        ("$.name[*]", ["n1"]),
        ("$.**.email", ["e1", "e2", "e3", "e4"]),
        ("$.*.email", ["e1", "e2", "e3", "e4"]),
        ('$.contact."née"', ["k1"]),
        ("$.contact.née", ["k1"]),
        ("$.number", ["12.5"]),
        ("$.yes", ["true"]),
        ("$.nothing", []),
        ("$.empty", []),
        ("$.escaped", ["a\\nb"]),
        ("$.missing", []),
    ],
)
def test_a_path_leads_to_its_leaves(path: str, leaves: list[str]) -> None:
    document = segment((json.dumps(DOCUMENT, ensure_ascii=False),))
    paths = JsonPaths([json_path_steps(path)])
    units = document.collect(0, KEY, Units.LEAVES, domain=1, paths=paths).units
    wanted = [int(segment((leaf,)).collect(0, KEY, Units.WHOLE, domain=1).units[0]) for leaf in leaves]
    assert sorted(units.tolist()) == sorted(wanted)


def test_several_paths_find_a_leaf_once() -> None:
    paths = JsonPaths([json_path_steps(text) for text in ("$.name", "$.**.email", "$.contact.email")])
    units = segment((json.dumps(DOCUMENT),)).collect(0, KEY, Units.LEAVES, domain=1, paths=paths).units
    assert units.size == 5


def test_more_steps_than_fit_are_refused_by_name() -> None:
    with pytest.raises(Fault, match="512 steps in all"):
        JsonPaths([json_path_steps("$" + ".a" * 64)] * 8)


@pytest.mark.parametrize("text", ['{"a": ', "{", '{"a" 1}', "[1", '"open', "{1:2}", "[" * 7000, ""])
def test_what_is_no_json_is_refused(text: str) -> None:
    paths = JsonPaths([json_path_steps("$.a")])
    if text:
        with pytest.raises(Fault, match="is no JSON"):
            segment((text,)).collect(0, KEY, Units.LEAVES, domain=1, paths=paths)
    else:
        assert segment((text,)).collect(0, KEY, Units.LEAVES, domain=1, paths=paths).units.size == 0


def test_leaves_are_looked_for_in_other_places_too() -> None:
    paths = JsonPaths([json_path_steps("$.contact.email")])
    document = segment((json.dumps({"contact": {"email": "ada@example.com"}, "kept": "nobody at all"}),))
    texts = segment(("mail ada@example.com", "nobody at all"))
    assert found(document, texts, Units.LEAVES, paths=paths) == [0]


def test_a_constant_of_the_rule_gives_nothing_away() -> None:
    constants = segment(("redacted",)).collect(0, KEY, Units.WHOLE, domain=1).units
    units = segment(("redacted",), ("ada",)).collect(0, KEY, Units.WHOLE, domain=1, constants=constants).units
    assert units.tolist() == segment(("ada",)).collect(0, KEY, Units.WHOLE, domain=1).units.tolist()


def test_a_unit_is_its_columns_own_and_its_rows_own_where_asked() -> None:
    rows = segment(("ada", "1"), ("ada", "2"))
    plain = rows.collect(0, KEY, Units.WHOLE, domain=1).units
    other = rows.collect(0, KEY, Units.WHOLE, domain=2).units
    by_row = rows.collect(0, KEY, Units.WHOLE, domain=1, row_digests=rows.digests(1, KEY)).units
    assert plain[0] == plain[1]
    assert len({*plain.tolist(), *other.tolist(), *by_row.tolist()}) == 4


@pytest.mark.parametrize("text", [b"a\tb\nc\n", b"a\nb\tc\n", b"a\tb\tc\n", b"a\tb", b"a\tb\nc"])
def test_rows_with_another_number_of_fields_are_refused(text: bytes) -> None:
    with pytest.raises(Fault, match=r"the file of public.t: a row has not the 2 fields"):
        Segment(text, 2, "the file of public.t")


def test_fields_are_where_plain_python_finds_them() -> None:
    choice = random.Random(3)
    for _ in range(200):
        columns = choice.randint(1, 40)
        rows = [
            [
                "".join(choice.choice("ab\\ é") for _ in range(choice.choice((0, 1, 3, 15, 16, 17, 40))))
                for _ in range(columns)
            ]
            for _ in range(choice.randint(0, 20))
        ]
        text = "".join("\t".join(row) + "\n" for row in rows).encode()
        read = Segment(text, columns, "rows")
        column = choice.randrange(columns)
        assert read.rows == len(rows)
        expected = [Segment(row[column].encode() + b"\n", 1, "row").digests(0, KEY)[0] for row in rows]
        assert read.digests(column, KEY).tolist() == expected


def test_a_tuple_with_null_in_it_is_null_and_blanks_count_but_where_they_are_padding() -> None:
    rows = segment(("a", "b"), ("a", None), ("a ", "b"), ("b", "a"), ("a", "b"))
    exact = rows.tuples([(0, False), (1, False)], KEY)
    padded = rows.tuples([(0, True), (1, False)], KEY)
    assert exact[1] == 0
    assert exact[0] == exact[4] != exact[2]
    assert padded[0] == padded[2]
    assert len(set(exact.tolist())) == 4


def test_the_filter_never_denies_what_was_put_in() -> None:
    choice = np.random.default_rng(1)
    digests = choice.integers(1, 2**64, 100_000, np.uint64)
    others = choice.integers(1, 2**64, 100_000, np.uint64)
    held = Filter(digests.size)
    held.add(digests)
    assert held.held(digests).size == digests.size
    assert held.held(others).size < 3_000
    assert held.held(np.zeros(5, np.uint64)).size == 0


def test_a_value_of_an_array_is_its_own_places_where_values_are_tied_to_their_rows() -> None:
    rows = segment(("{ada,bob}", "1"), ("{bob,ada}", "1"), ("{ada,cyd}", "1"))
    keys = rows.digests(1, KEY)
    first, second, third = (
        set(segment((value,)).collect(0, KEY, Units.ELEMENTS, domain=1, row_digests=keys[:1]).units.tolist())
        for value in ("{ada,bob}", "{bob,ada}", "{ada,cyd}")
    )
    assert first & second == set()
    assert len(first & third) == 1


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9\x80-\U0010ffff]+", re.sub("[A-Z]", lambda found: found[0].lower(), text))


def test_words_are_the_same_however_long_they_are_and_wherever_they_begin() -> None:
    """Against a tokenizer of one line: a word is digested by eights, and marked by 64 bytes at a time."""
    choose = random.Random(11)
    for size in (*range(6, 20), 31, 32, 33, *range(60, 70), 127, 128, 129, 200):
        word = "".join(choose.choices("abcxyzABC019é", k=size))
        original = choose.choice([word, f"{word} {word[::-1]}", f"one two {word} four five"])
        for before in (*range(0, 20), 40, *range(56, 72), 120, 128):
            filler = "".join(choose.choices('ab Z9.,\u00df\\"', k=before))
            for text in (
                f"{filler} {original}",
                f"{filler} {original.upper()},",
                f"{filler}\n{original} {filler}",
                f"{filler}a{original}",
            ):
                expected = _contains(_words(text), _words(original))
                assert (1 in found(segment((original,)), segment(("elsewhere", text)))) is expected, (original, text)


def _contains(words: list[str], run: list[str]) -> bool:
    return any(words[at : at + len(run)] == run for at in range(len(words) - len(run) + 1))


def test_a_word_is_the_same_with_any_of_its_letters_as_a_json_escape() -> None:
    for size in (6, 7, 8, 9, 15, 16, 17, 63, 64, 65, 80):
        word = ("Sample" * 20)[:size]
        for at in range(size):
            text = json.dumps({"x" * 50: word}).replace(word, f"{word[:at]}\\u{ord(word[at]):04x}{word[at + 1 :]}")
            assert 1 in found(segment((word,)), segment(("elsewhere", text)))
