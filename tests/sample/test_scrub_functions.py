"""The pseudonym functions, each against a real server: keyed, deterministic, typed, closed without a key."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from etl_runtime.scrub_functions import definitions, install

from tests.sample.conftest import KEY, Connection, connect

pytestmark = pytest.mark.end_to_end

TEXT_FUNCTIONS = {
    "scrub.email(v)": "injective",
    "scrub.email(v, 28)": "injective",
    "scrub.token(v, 32)": "injective",
    "scrub.url(v)": "injective",
    "scrub.url(v, 36)": "injective",
    "scrub.person_name_unique(v)": "injective",
    "scrub.person_name_unique(v, 20)": "injective",
    "scrub.phone_unique(v)": "injective",
    "scrub.digits(v)": "injective",
    "scrub.person_name(v)": "",
    "scrub.phone(v)": "",
    "scrub.address(v)": "",
    "scrub.postcode(v)": "",
    "scrub.company(v)": "",
    "scrub.text(v)": "",
    "scrub.card_number(v)": "",
    "scrub.iban(v)": "",
}
OTHER_FUNCTIONS = {
    "scrub.hmac('mine:', v)": "text",
    "scrub.bytes(v, 32)": "bytea",
    "scrub.ip(v)": "inet",
    "scrub.ip(v::cidr)": "cidr",
    "scrub.mac(v)": "macaddr",
    "scrub.mac(v::macaddr8)": "macaddr8",
    "scrub.uuid(v)": "uuid",
    "scrub.id(v)": "integer",
    "scrub.id(v::smallint)": "smallint",
    "scrub.id(v::bigint)": "bigint",
    "scrub.id(v, 1, 1000)": "bigint",
    "scrub.date_shift(v, 'k', 400)": "date",
    "scrub.date_shift(v, 'a', 400)": "timestamptz",
    "scrub.date_shift(v, 'b', 400)": "timestamp",
    "scrub.date_shift(v, 'c', 400)": "daterange",
    "scrub.date_shift(v, 'd', 400)": "tsrange",
    "scrub.date_shift(v, 'e', 400)": "tstzrange",
    "scrub.date_shift(v, 'f', 400)": "date[]",
    "scrub.noise(v, 'k', 0.5)": "numeric",
    "scrub.noise(v, 'a', 0.5::float8)": "double precision",
    "scrub.each(v, 'email')": "text[]",
    "scrub.json(v, '$.a', 'email')": "jsonb",
    'scrub.json(v, \'{"$.a": "email"}\')': "jsonb",
    "scrub.json_text(v, '$.a', 'email')": "json",
    'scrub.json_text(v, \'{"$.a": "email"}\')': "json",
}
SAMPLES = {
    "text": "07700 900123",
    "bytea": "\\x00ff",
    "inet": "10.1.2.3",
    "cidr": "10.1.2.0/24",
    "macaddr": "08:00:2b:01:02:03",
    "macaddr8": "08:00:2b:01:02:03:04:05",
    "integer": "7",
    "smallint": "7",
    "bigint": "7",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "date": "2000-02-29",
    "timestamptz": "2000-02-29 12:00:00+00",
    "timestamp": "2000-02-29 12:00:00",
    "daterange": "[2000-01-01,2000-02-29)",
    "tsrange": "(,2000-02-29 12:00:00]",
    "tstzrange": "[2000-02-29 12:00:00+00,)",
    "date[]": "{2000-02-29,NULL}",
    "numeric": "1234.56",
    "double precision": "1234.56",
    "text[]": "{a,NULL,b}",
    "jsonb": '{"a": "x"}',
    "json": '{"a": "x"}',
}
ALL_FUNCTIONS = dict.fromkeys(TEXT_FUNCTIONS, "text") | OTHER_FUNCTIONS


def value(connection: Connection, expression: str, *arguments: Any) -> Any:
    row = connection.execute(f"SELECT {expression}".encode(), arguments).fetchone()
    assert row is not None
    return row[0]


def applied(connection: Connection, call: str, kind: str, sample: str | None) -> str | None:
    """What a call gives for a value that the planner does not know."""
    query = f"SELECT ({call})::text FROM (SELECT %s::{kind} AS v OFFSET 0) AS t"
    row = connection.execute(query.encode(), [sample]).fetchone()
    assert row is not None
    return row[0]


@contextmanager
def installed(empty_database: str, key: str) -> Iterator[Connection]:
    """A session in a transaction that made the functions with this key, undone afterwards."""
    with connect(empty_database) as connection, connection.transaction(force_rollback=True):
        install(connection, key)
        yield connection


@pytest.mark.parametrize("length", [32, 48, 64])
def test_hmac_is_hmac_sha_256_of_the_domain_and_the_utf8_text(empty_database: str, length: int) -> None:
    key = bytes(range(7, 7 + length))
    text = "naïve — Ω 🙂 \\x00"
    with installed(empty_database, key.hex()) as connection:
        expected = hmac.digest(key, b"mine:" + text.encode(), hashlib.sha256)
        assert value(connection, "scrub.hmac('mine:', %s::text)", text) == expected
        assert value(connection, "scrub.hmac('mine:', %s::bytea)", text.encode()) == expected


@pytest.mark.parametrize(("call", "kind"), ALL_FUNCTIONS.items())
def test_null_stays_null(scrub: Connection, call: str, kind: str) -> None:
    assert applied(scrub, call, kind, None) is None


@pytest.mark.parametrize("call", TEXT_FUNCTIONS)
def test_an_empty_text_stays_empty(scrub: Connection, call: str) -> None:
    assert applied(scrub, call, "text", "") == ""


def test_the_key_and_the_input_decide_the_output(empty_database: str, scrub: Connection) -> None:
    outputs = {call: applied(scrub, call, kind, SAMPLES[kind]) for call, kind in ALL_FUNCTIONS.items()}
    assert not {call for call, kind in ALL_FUNCTIONS.items() if outputs[call] in (None, SAMPLES[kind])}
    for key, same in ((KEY, True), (KEY.upper(), True), ("a5" * 32, False)):
        with installed(empty_database, key) as other:
            found = {call: applied(other, call, kind, SAMPLES[kind]) for call, kind in ALL_FUNCTIONS.items()}
        assert {call for call in found if (found[call] == outputs[call]) is not same} == set()


def test_without_a_key_every_function_raises(empty_database: str) -> None:
    with connect(empty_database) as connection, connection.transaction(force_rollback=True):
        for text in definitions(connection.info.server_version):
            connection.execute(text.encode())
        for call, kind in ALL_FUNCTIONS.items():
            with (
                pytest.raises(psycopg.errors.InvalidParameterValue, match="the scrub functions have no key"),
                connection.transaction(),
            ):
                applied(connection, call, kind, SAMPLES[kind])


@pytest.mark.parametrize("key", ["", "5a" * 31, "5a" * 65, "5a" * 32 + "5", "zz" * 32, "5a" * 32 + "\n"])
def test_a_key_that_is_none_makes_no_function(scrub: Connection, key: str) -> None:
    with pytest.raises(ValueError, match="the scrub key has not 64 to 128 hexadecimal digits"):
        install(scrub, key)


@pytest.mark.parametrize("call", [call for call, kind in TEXT_FUNCTIONS.items() if kind == "injective"])
def test_different_values_get_different_pseudonyms(scrub: Connection, call: str) -> None:
    rows = 50_000 if "digits" in call else 200_000
    query = f"SELECT count(DISTINCT {call}) FROM (SELECT '0' || 7700000000 + n FROM generate_series(1, {rows}) n) t (v)"
    assert scrub.execute(query.encode()).fetchone() == (rows,)


@pytest.mark.parametrize(
    ("call", "shape"),
    [
        ("scrub.uuid(md5(n::text)::uuid)", "^.{8}-.{4}-8.{3}-[89ab].{3}-.{12}$"),
        ("scrub.bytes(int4send(n), 8)", "^.x[0-9a-f]{16}$"),
        ("scrub.ip('fd00::'::inet + n)", "^2001:db8::[0-9a-f:]+/128$"),
        ("scrub.token(n::text, 16)", "^[0-9a-f]{16}$"),
    ],
)
def test_different_values_of_other_types_stay_different(scrub: Connection, call: str, shape: str) -> None:
    row = scrub.execute(
        f"SELECT count(DISTINCT u), count(*) FILTER (WHERE u::text ~ '{shape}')"
        f" FROM (SELECT {call} FROM generate_series(1, 200000) n) t (u)".encode()
    ).fetchone()
    assert row == (200_000, 200_000)


@pytest.mark.parametrize(
    ("call", "longest"),
    [
        ("scrub.email(v, %s)", {28: 28, 29: 28, 43: 42, 44: 44, 320: 44}),
        ("scrub.url(v, %s)", {36: 36, 37: 36, 51: 50, 52: 52, 2000: 52}),
        ("scrub.person_name_unique(v, %s)", {20: 20, 41: 41, 42: 42, 58: 58, 255: 58}),
    ],
)
def test_a_pseudonym_fits_the_length_that_it_is_given(scrub: Connection, call: str, longest: dict[int, int]) -> None:
    for limit, expected in longest.items():
        query = f"SELECT max(length({call % limit})) FROM (SELECT n::text FROM generate_series(1, 20000) n) t (v)"
        assert scrub.execute(query.encode()).fetchone() == (expected,)
    full = re.sub(r", %s", "", call)
    assert value(scrub, f"{full} = {call % 1000} FROM (VALUES ('Ann')) t (v)") is True
    for limit in (min(longest) - 1, 0, -1):
        # Without a row, too: a rule that is wrong is wrong before any row.
        with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"max_length of scrub\.\w+: from \d+ to"):
            scrub.execute(f"SELECT {call % limit} FROM (VALUES ('a')) AS t (v) WHERE v = 'b'".encode())


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_digits_is_a_permutation_of_all_numbers_of_one_length(scrub: Connection, digits: int) -> None:
    row = scrub.execute(
        "SELECT count(DISTINCT d), min(length(d)), max(length(d)), min(d), max(d)"
        " FROM (SELECT scrub.digits(lpad(n::text, %(digits)s, '0')) FROM generate_series(0, %(last)s) n) t (d)",
        {"digits": digits, "last": 10**digits - 1},
    ).fetchone()
    assert row == (10**digits, digits, digits, "0" * digits, "9" * digits)


def test_digits_keeps_all_but_the_digits_and_takes_up_to_34(scrub: Connection) -> None:
    assert re.fullmatch(r"GB \d{3} \d{4}-\d{2} ü", value(scrub, "scrub.digits('GB 123 4567-89 ü')"))
    assert value(scrub, "scrub.digits('GB 123 4567-89 ü')") != "GB 123 4567-89 ü"
    assert re.fullmatch(r"\d{34}", value(scrub, "scrub.digits(repeat('9', 34))"))
    assert re.fullmatch(r"[0-9a-f]{7}", value(scrub, "scrub.digits('unknown')"))
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="at most 34 digits can be permuted, got 35"):
        value(scrub, "scrub.digits(repeat('9', 35))")


@pytest.mark.parametrize(
    ("call", "inputs"),
    [
        ("scrub.phone(v)", "SELECT '07700 900' || lpad(n::text, 3, '0') FROM generate_series(0, 999) n"),
        ("scrub.phone(v)", "SELECT '+441632960' || lpad(n::text, 3, '0') FROM generate_series(0, 999) n"),
        ("host(scrub.ip(v::inet))", "SELECT host('203.0.113.0'::inet + n) FROM generate_series(0, 255) n"),
        ("scrub.postcode(v)", "SELECT scrub.postcode(n::text) FROM generate_series(1, 100000) n"),
    ],
)
def test_no_function_gives_an_input_back(scrub: Connection, call: str, inputs: str) -> None:
    query = f"SELECT count(*), count(*) FILTER (WHERE {call} = v) FROM ({inputs}) AS t (v)"
    row = scrub.execute(query.encode()).fetchone()
    assert row is not None
    assert row[0] > 200
    assert row[1] == 0


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        ("scrub.email('Ann@example.org')", r"[0-9a-f]{32}@example\.com"),
        ("scrub.token('x', 12)", r"[0-9a-f]{12}"),
        ("scrub.person_name('Ann Sample')", r"[A-Z][a-z]+ [A-Z]\. [A-Z][a-z]+"),
        ("scrub.person_name_unique('Ann Sample')", r"[A-Z][a-z]+ [A-Z]\. [A-Z][a-z]+ [0-9a-f]{32}"),
        ("scrub.phone('+44 7700 900123')", r"\+44 7700 900\d{3}"),
        ("scrub.phone('07700900123')", r"07700900\d{3}"),
        ("scrub.phone('020 7946 0018')", r"01632 960\d{3}"),
        ("scrub.phone('+442079460018')", r"\+441632960\d{3}"),
        ("scrub.phone_unique('07700 900123')", r"07700 900\d{3} x\d{19}"),
        ("scrub.address('1 Sample Street')", r"\d{1,3} [A-Z][a-z]+ (?:Street|Road|Lane|Close), [A-Z][a-z]+"),
        ("scrub.postcode('QQ1 1AA')", r"ZZ\d\d \d[A-Z]{2}"),
        ("scrub.company('Sample Ltd')", r"[A-Z][a-z]+ & [A-Z][a-z]+ (?:Ltd|LLP|plc)"),
        ("scrub.url('https://www.example.org/ann')", r"https://example\.com/[0-9a-f]{32}"),
    ],
)
def test_a_pseudonym_looks_like_what_it_stands_for(scrub: Connection, call: str, pattern: str) -> None:
    assert re.fullmatch(pattern, value(scrub, call))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("scrub.email('Ann@Example.ORG ')", "scrub.email('ann@example.org')"),
        ("scrub.person_name('ANN SAMPLE')", "scrub.person_name('Ann Sample')"),
        ("scrub.phone('0044 (0)7700-900123')", "scrub.phone('07700 900123')"),
        ("right(scrub.phone_unique('+44 7700 900123'), 20)", "right(scrub.phone_unique('07700900123'), 20)"),
        ("scrub.postcode('qq11aa')", "scrub.postcode('QQ1 1AA')"),
    ],
)
def test_spelling_does_not_matter_where_people_spell_as_they_like(scrub: Connection, one: str, other: str) -> None:
    assert value(scrub, one) == value(scrub, other)


def test_the_same_value_has_nothing_in_common_under_two_functions(scrub: Connection) -> None:
    calls = {
        "scrub.token('a@example.org', 16)", "left(scrub.email('a@example.org'), 16)",
        "right(scrub.url('a@example.org', 36), 16)", "right(scrub.person_name_unique('a@example.org', 20), 16)",
        "encode(scrub.bytes('a@example.org', 8), 'hex')", "left(scrub.digits('a@example.org'), 16)",
        "left(encode(scrub.hmac('', 'a@example.org'), 'hex'), 16)",
    }  # fmt: skip
    assert len({value(scrub, call)[:13] for call in calls}) == len(calls)


@pytest.mark.parametrize("length", [1, 5, 6, 7, 40, 475, 476, 3799, 3800, 3801, 7600, 1_000_000])
def test_a_free_text_keeps_its_length_and_none_of_its_words(scrub: Connection, length: int) -> None:
    text = ("Zoë was here. " * length)[:length]
    cleaned = value(scrub, "scrub.text(%s)", text)
    assert len(cleaned) == length
    assert "Zoë" not in cleaned
    assert re.fullmatch(r"[A-Z][A-Za-z ,.]*", cleaned)
