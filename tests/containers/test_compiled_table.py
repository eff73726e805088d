from __future__ import annotations

import ctypes
import hashlib
import hmac
import random
from pathlib import Path

import pytest
from etl_runtime.compiled_expressions import NotCompiledError
from etl_runtime.compiled_table import Keyring
from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.kernel_library import SIZE, kernel_library
from etl_runtime.proof.kernel import Segment
from etl_runtime.row_cleaning import RowCleaning
from etl_runtime.rules import ColumnRule, PathRule
from etl_runtime.scrub_functions import key_constants
from etl_runtime.table_shape import Condition

from tests.containers.compiled_tables import KEY, compiled, expression, shape

PAGE = Path(__file__).parents[2].joinpath("docs/functions.md").read_text()
EXAMPLES = [
    ("text", "scrub.token(v, 12)", "AB-1234", "d8c3d000b5f7"),
    ("text", "scrub.text(v)", "She called about her bill.", "Sed do eiusmod tempor inci"),
    ("text", "scrub.url(v)", "https://example.org/~ann", "https://example.com/a4fa762c17ba26854913410735840a9e"),
    ("text", "scrub.url(v, 40)", "https://example.org/~ann", "https://example.com/a4fa762c17ba26854913"),
    ("text", "scrub.email(v)", "Ann.Sample@example.org", "515d390ce34b104638a22fec792c2b45@example.com"),
    ("text", "scrub.email(v, 30)", "Ann.Sample@example.org", "515d390ce34b104638@example.com"),
    ("text", "scrub.person_name(v)", "Ann Sample", "Laurel W. Teaselthorpe"),
    (
        *("text", "scrub.person_name_unique(v)", "Ann Sample"),
        "Laurel W. Teaselthorpe 54d80365619979059a8d516501e922e7",
    ),
    ("text", "scrub.person_name_unique(v, 30)", "Ann Sample", "Laurel W. Tea 54d8036561997905"),
    ("text", "scrub.phone(v)", "+44 (0)7700 900123", "+44 7700 900461"),
    ("text", "scrub.phone_unique(v)", "07700 900123", "07700 900461 x2727202630590617787"),
    ("text", "scrub.address(v)", "1 Sample Street, Sampleton", "476 Nettleham Lane, Spindledean"),
    ("text", "scrub.postcode(v)", "QQ1 1AA", "ZZ46 6SA"),
    ("text", "scrub.company(v)", "Sample Ltd", "Saffronhurst & Fallowleigh plc"),
    ("text", "scrub.digits(v)", "GB 123 4567 89", "GB 211 4014 61"),
    ("smallint", "scrub.id(v)", "417", "9099"),
    ("integer", "scrub.id(v)", "417", "501629911"),
    ("bigint", "scrub.id(v)", "417", "1378913320590213216"),
    ("bigint", "scrub.id(v, 1, 99999)", "417", "5465"),
    ("date", "scrub.date_shift(v, k, 90)", "1990-05-17", "1990-06-07"),
    ("timestamp without time zone", "scrub.date_shift(v, k, 90)", "1990-05-17 10:30:00", "1990-06-07 10:30:00"),
    ("timestamp with time zone", "scrub.date_shift(v, k, 90)", "1990-05-17 10:30:00+00", "1990-06-07 10:30:00+00"),
    ("uuid", "scrub.uuid(v)", "00000000-0000-4000-8000-000000000417", "56bd5d01-8cb0-835e-9a26-22abd6165854"),
]
"""Type, expression, original and pseudonym: those of docs/functions.md, which are what the SQL gives."""


def _never(_text: bytes) -> bytes:
    raise AssertionError("a row was left to the database")


def _one(type_: str, text: str, value: str, key: str = "417") -> str:
    """What a table of one row has for its value."""
    table = compiled(shape({"v": type_, "k": "text", "w": "text"}, {"v": expression(text)}))
    cleaned = table.cleaned(Segment(f"{value}\t{key}\tw\n".encode(), 3, "t"), _never)
    assert cleaned.endswith(f"\t{key}\tw\n".encode())
    return cleaned.split(b"\t")[0].decode()


def _document(paths: dict[str, str], document: str) -> str:
    rule = ColumnRule("json", 1, paths={path: PathRule(function, 1) for path, function in paths.items()})
    return (
        compiled(shape({"d": "jsonb"}, {"d": rule})).cleaned(Segment(f"{document}\n".encode(), 1, "t"), _never).decode()
    )


@pytest.mark.parametrize(("type_", "text", "original", "pseudonym"), EXAMPLES)
def test_a_compiled_function_gives_what_the_page_of_functions_says(
    type_: str, text: str, original: str, pseudonym: str
) -> None:
    assert f"`{pseudonym}`" in PAGE
    assert _one(type_, text, original) == pseudonym


@pytest.mark.parametrize(
    ("paths", "document", "expected"),
    [
        (
            {"$.a.name": "person_name"},
            '{"a": {"name": "Ann"}, "n": 1}',
            '{"a": {"name": "Willow E. Teaselmore"}, "n": 1}',
        ),
        (
            {"$.to[*].email": "scrub.email"},
            '{"to": [{"email": "a@example.org"}]}',
            '{"to": [{"email": "234100ec714ad8c9efca82cecf312bed@example.com"}]}',
        ),
    ],
)
def test_a_compiled_document_is_what_the_page_of_functions_says(
    paths: dict[str, str], document: str, expected: str
) -> None:
    assert f"`{expected}`" in PAGE
    assert _document(paths, document) == f"{expected}\n"


@pytest.mark.parametrize(
    ("path", "document", "expected"),
    [
        ("$.a", '{"a": "x", "b": "x"}', '{"a": "R", "b": "x"}'),
        ("$.a", '{"b": [{"a": "x"}]}', '{"b": [{"a": "x"}]}'),
        ("$.a", '{"a": null}', '{"a": null}'),
        ("$.a", '{"a": ""}', '{"a": ""}'),
        ("$.a", '{"a": -1.50}', '{"a": "R"}'),
        ("$.a", '{"a": true, "b": false}', '{"a": "R", "b": false}'),
        ("$.a", '{"a": {}, "b": []}', '{"a": {}, "b": []}'),
        ("$.a", '"x"', '"x"'),
        ("$.a", "[]", "[]"),
        ("$.a", '{"a": {"b": "x", "c": ["x", {"d": 1}, null]}}', '{"a": {"b": "R", "c": ["R", {"d": "R"}, null]}}'),
        ("$", '["x", {"a": ["x"]}, null, 1]', '["R", {"a": ["R"]}, null, "R"]'),
        ("$", '"x"', '"R"'),
        ("$[*]", '["x", ["x"]]', '["R", ["R"]]'),
        ("$[*]", '"x"', '"R"'),
        ("$[*].a", '[{"a": "x"}, {"b": "x"}, "x"]', '[{"a": "R"}, {"b": "x"}, "x"]'),
        ("$.a.b", '{"a": [{"b": "x"}, [{"b": "x"}]]}', '{"a": [{"b": "R"}, [{"b": "R"}]]}'),
        ("$.a[*].b", '{"a": {"b": "x"}}', '{"a": {"b": "R"}}'),
        ('$."a.b"', '{"a": {"b": "x"}, "a.b": "x"}', '{"a": {"b": "x"}, "a.b": "R"}'),
        ('$."a\\b"', r'{"ab": "x", "a\\\\b": "x"}', r'{"ab": "x", "a\\\\b": "R"}'),
        ("$.é", '{"é": "x", "ß": "x\\\\n"}', '{"é": "R", "ß": "x\\\\n"}'),
        ("$.a", r'{"a": "\\"\\\\", "b": "\\""}', r'{"a": "R", "b": "\\""}'),
    ],
)
def test_what_a_path_leads_to_is_replaced_and_all_else_stands(path: str, document: str, expected: str) -> None:
    """In COPY text, where each backslash of a document is two."""
    assert _document({path: "redact"}, document) == expected.replace('"R"', '"redacted"') + "\n"


@pytest.mark.parametrize(
    ("type_", "text", "odd"),
    [
        ("text", "scrub.email(v)", r"a\x41"),
        ("text", "scrub.email(v)", "a\\"),
        ("text", "scrub.digits(v)", "1" * 35),
        ("text", "scrub.digits(v)", r"1\\2"),
        ("character varying(20)", "scrub.email(v)", "a@example.com"),
        ("uuid", "scrub.uuid(v)", "{00000000-0000-4000-8000-000000000417}"),
        ("uuid", "scrub.uuid(v)", "00000000-0000-4000-8000-00000000041"),
        ("inet", "scrub.ip(v)", "198.18.7.9/24"),
        ("inet", "scrub.ip(v)", "2001:db8::1"),
        ("inet", "scrub.ip(v)", "198.18.07.9"),
        ("integer", "scrub.id(v)", "2147483648"),
        ("bigint", "scrub.id(v)", "9223372036854775808"),
        ("bigint", "scrub.id(v, 1, 417)", "418"),
        ("date", "scrub.date_shift(v, k, 90)", "infinity"),
        ("date", "scrub.date_shift(v, k, 90)", "2001-02-29"),
        ("date", "scrub.date_shift(v, k, 90)", "0044-03-15 BC"),
        ("date", "scrub.date_shift(v, k, 1000000)", "9999-12-31"),
        ("timestamp with time zone", "scrub.date_shift(v, k, 90)", "1990-05-17 10:30:00+01"),
    ],
)
def test_a_value_that_a_compiled_function_does_not_know_is_left_to_the_database(
    type_: str, text: str, odd: str
) -> None:
    """In its place, between its neighbours; 9999-12-31 is shifted out of what it knows by the one key or the other."""
    good = {example[0]: example[2] for example in EXAMPLES}.get(type_, "198.18.7.9" if type_ == "inet" else "")
    table = compiled(shape({"v": type_, "k": "text"}, {"v": expression(text)}))
    left: list[bytes] = []

    def by_database(rows: bytes) -> bytes:
        left.append(rows)
        return b"".join(b"made\t%d\n" % number for number in range(rows.count(b"\n")))

    rows = [f"{value}\t{key}\n" for value, key in ((good, "a"), (odd, "b"), (odd, "417"), (good, "c"), (odd, "k"))]
    cleaned = table.cleaned(Segment("".join(rows).encode(), 2, "t"), by_database).decode().splitlines()
    declined = [row for row in rows if row.encode() in b"".join(left)]
    assert declined
    assert set(declined) <= {rows[1], rows[2], rows[4]}
    assert [line.split("\t")[1] for line in cleaned] == [
        str(declined.index(row)) if row in declined else row.split("\t")[1].strip() for row in rows
    ]


def test_a_null_stays_and_is_left_to_the_database_where_it_may_not_be() -> None:
    rule = {"v": expression("scrub.email(v)")}
    assert compiled(shape({"v": "text"}, rule)).cleaned(Segment(b"\\N\n", 1, "t"), _never) == b"\\N\n"
    strict = compiled(shape({"v": "text"}, rule, not_null=("v",)))
    assert strict.cleaned(Segment(b"\\N\n", 1, "t"), lambda rows: b"refused: " + rows) == b"refused: \\N\n"


@pytest.mark.parametrize("wrong", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"a\x00b"])
def test_a_row_that_is_no_utf_8_is_left_to_the_database(wrong: bytes) -> None:
    table = compiled(shape({"v": "text", "k": "text"}, {"v": expression("NULL")}))
    whole = "x\téß€😀\n".encode() * 3
    assert table.cleaned(Segment(whole, 2, "t"), _never) == "\\N\téß€😀\n".encode() * 3
    left = table.cleaned(Segment(whole + b"x\t" + wrong + b"\n", 2, "t"), lambda rows: rows)
    assert left == "\\N\téß€😀\n".encode() * 3 + b"x\t" + wrong + b"\n"


def test_each_expression_sees_the_original_row() -> None:
    rules = {"b": expression("scrub.email(a)"), "a": expression("'gone'"), "d": expression("scrub.email(d)")}
    table = compiled(shape({"a": "text", "b": "text", "c": "integer", "d": "text"}, rules))
    made = table.cleaned(Segment(b"Ann.Sample@example.org\tx\t7\tAnn.Sample@example.org\n", 4, "t"), _never)
    assert made == b"gone\t%(e)s\t7\t%(e)s\n" % {b"e": b"515d390ce34b104638a22fec792c2b45@example.com"}


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("text", "(scrub.email(v))"),
        ("text", "scrub.email(v) || ''"),
        ("text", "scrub.email(lower(v))"),
        ("text", "scrub.email(user)"),
        ("text", "scrub.email(t.v)"),
        ("text", "scrub.email(unknown)"),
        ("text", "scrub.email(v, 27)"),
        ("text", "scrub.token(v)"),
        ("text", "scrub.redact(v)"),
        ("text", "scrub.card_number(v)"),
        ("text", "scrub.id(v)"),
        ("text", "scrub.date_shift(v, k, 90)"),
        ("public.address", "scrub.email(v)"),
        ("public.citext", "scrub.email(v)"),
        ("character(40)", "scrub.email(v)"),
        ("numeric(9,2)", "scrub.id(v)"),
        ("integer", "scrub.id(v, 1, 99999999999)"),
        ("bigint", "scrub.id(v, 1, 99999999999999999999)"),
        ("date", "scrub.date_shift(v, k, 0)"),
        ("date", "scrub.date_shift(v, n, 90)"),
        ("timestamp(3) with time zone", "scrub.date_shift(v, k, 90)"),
        ("text", "now()"),
    ],
)
def test_what_is_not_known_to_be_the_same_is_left_to_the_database(type_: str, text: str) -> None:
    with pytest.raises(NotCompiledError, match=r"^v: "):
        compiled(shape({"v": type_, "k": "text", "n": "integer"}, {"v": expression(text)}))


@pytest.mark.parametrize(
    "paths",
    [
        {"$.**.a": "email"},
        {"$.*": "email"},
        {"$[0]": "email"},
        {"$.a": "digits"},
        {"$.a": "email", "$.a.b": "email"},
        {"$.a.b": "email", "$.a": "email"},
        {"$.a[*]": "email", "$.a.b": "email"},
    ],
)
def test_paths_that_are_not_known_to_be_the_same_are_left_to_the_database(paths: dict[str, str]) -> None:
    with pytest.raises(NotCompiledError, match=r"^d: "):
        _document(paths, "{}")


def test_a_document_of_another_form_than_postgres_gives_it_is_left_to_the_database() -> None:
    rule = ColumnRule("json", 1, paths={"$.a": PathRule("email", 1)})
    table = compiled(shape({"d": "jsonb"}, {"d": rule}))
    for odd in (
        b'{"a":"x"}',
        b'{"a": "x"',
        b'{"a": "x"}}',
        b'{"a": "x",}',
        b"",
        b'{"a": "\\\\u0001"}',
        b"[" * 600 + b"]" * 600,
    ):
        assert table.cleaned(Segment(odd + b"\n", 1, "t"), lambda rows: b"left: " + rows) == b"left: " + odd + b"\n"


def test_a_table_with_a_filter_a_check_or_in_another_encoding_passes_the_database() -> None:
    types, rule = {"v": "text"}, {"v": expression("scrub.email(v)")}
    with pytest.raises(NotCompiledError, match="row filter"):
        compiled(shape(types, rule, where="v IS NOT NULL"))
    with pytest.raises(NotCompiledError, match="held to check constraint c"):
        compiled(shape(types, rule, conditions=(Condition("v <> ''", "check constraint c"),)))
    with pytest.raises(NotCompiledError, match="LATIN1"):
        compiled(shape(types, rule), "LATIN1")
    compiled(shape(types, rule, conditions=(Condition("v IS NOT NULL", "v is NOT NULL", is_not_null=True),)))


def test_rows_of_which_the_database_makes_something_else_stop_the_run() -> None:
    table = compiled(shape({"k": "text", "v": "text"}, {"v": expression("scrub.email(v)")}))
    rows = Segment(b"k\ta@example.org\n" * 300, 2, "t")
    table.compare(rows, lambda text: table.cleaned(Segment(text, 2, "t"), _never).replace(b"k", b"K"))
    with pytest.raises(Fault, match=r"^public\.t: the compiled function and the SQL differ about v, ") as told:
        table.compare(rows, lambda text: text)
    assert told.value.code == ExitCode.SOFTWARE
    with pytest.raises(Fault, match="differ about its rows"):
        table.compare(rows, lambda text: text[: len(text) // 2])


def test_the_hash_is_sha_256_by_the_processor_s_instructions_and_without_them() -> None:
    functions = kernel_library(
        {
            "etl_hmac": (None, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, SIZE, ctypes.c_char_p]),
            "etl_sha256_portably": (ctypes.c_int, [ctypes.c_int]),
        }
    )
    key, choose = bytes.fromhex(KEY), random.Random(7)
    keyring = Keyring(**key_constants(KEY))
    try:
        for portably in (1, 0):
            functions.etl_sha256_portably(portably)
            for size in range(300):
                value, made = choose.randbytes(size), ctypes.create_string_buffer(32)
                functions.etl_hmac(keyring.memory, b"domain:", value, size, made)
                assert made.raw == hmac.digest(key, b"domain:" + value, hashlib.sha256)
    finally:
        functions.etl_sha256_portably(0)


class _OtherSession:
    """A database that gives every row back as it is, and knows no constant."""

    def constant(self, _column: object, _expression: str) -> None:
        return None

    def cleaned(self, _shape: object, text: bytes) -> bytes:
        return text


def test_a_run_holds_the_first_rows_of_each_table_against_the_database_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RowCleaning, "session", lambda _self: _OtherSession())
    cleaning = RowCleaning(None, "UTF8", KEY)  # type: ignore[arg-type]
    plain, bracketed = (
        shape({"v": "text"}, {"v": expression(text)}) for text in ("scrub.email(v)", "(scrub.email(v))")
    )
    name, other = ("public", "t"), ("public", "other")
    told = cleaning.prepare({name: plain, other: bracketed}, ())
    assert told == {"public.t": "v: it is no plain call of a scrub function"}
    rows = Segment(b"a@example.org\n", 1, "t")
    assert cleaning.cleaned(bracketed, other, rows) == rows.text
    with pytest.raises(Fault, match="differ about v"):
        cleaning.cleaned(plain, name, rows)
