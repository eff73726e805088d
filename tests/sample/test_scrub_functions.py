"""The pseudonym functions, each against a real server: keyed, deterministic, typed, closed without a key."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from etl_runtime.scrub_functions import definitions, install

from tests.sample.conftest import KEY, Connection, Server, connect

pytestmark = pytest.mark.end_to_end

TEXT_FUNCTIONS = {
    "scrub.email(v)": "injective",
    "scrub.token(v, 32)": "injective",
    "scrub.url(v)": "injective",
    "scrub.person_name_unique(v)": "injective",
    "scrub.phone_unique(v)": "injective",
    "scrub.digits(v)": "injective",
    "scrub.person_name(v)": "",
    "scrub.phone(v)": "",
    "scrub.address(v)": "",
    "scrub.postcode(v)": "",
    "scrub.company(v)": "",
    "scrub.text(v)": "",
}
OTHER_FUNCTIONS = {
    "scrub.hmac('mine:', v)": "text",
    "scrub.ip(v)": "inet",
    "scrub.uuid(v)": "uuid",
    "scrub.date_shift(v, 'k', 400)": "date",
    "scrub.date_shift(v, 'a', 400)": "timestamptz",
    "scrub.date_shift(v, 'b', 400)": "timestamp",
    "scrub.noise(v, 'k', 0.5)": "numeric",
    "scrub.each(v, 'email')": "text[]",
    "scrub.json(v, '$.a', 'email')": "jsonb",
    'scrub.json(v, \'{"$.a": "email"}\')': "jsonb",
    "scrub.json_text(v, '$.a', 'email')": "json",
    'scrub.json_text(v, \'{"$.a": "email"}\')': "json",
}
SAMPLES = {
    "text": "07700 900123",
    "inet": "10.1.2.3",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "date": "2000-02-29",
    "timestamptz": "2000-02-29 12:00:00+00",
    "timestamp": "2000-02-29 12:00:00",
    "numeric": "1234.56",
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


@pytest.fixture(scope="session")
def empty_database(server: Server, once: Callable[..., str]) -> str:
    return once(_empty_database, server)


def _empty_database(server: Server) -> str:
    return server.new_database("empty")


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
    rows = 20_000 if "digits" in call else 100_000
    query = f"SELECT count(DISTINCT {call}) FROM (SELECT '0' || 7700000000 + n FROM generate_series(1, {rows}) n) t (v)"
    assert scrub.execute(query.encode()).fetchone() == (rows,)


def test_different_uuids_get_different_uuids_of_version_8(scrub: Connection) -> None:
    row = scrub.execute(
        "SELECT count(DISTINCT u), count(*) FILTER (WHERE u::text ~ '^.{8}-.{4}-8.{3}-[89ab].{3}-.{12}$')"
        " FROM (SELECT scrub.uuid(md5(n::text)::uuid) FROM generate_series(1, 100000) n) t (u)"
    ).fetchone()
    assert row == (100_000, 100_000)


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
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="at most 34 digits, got 35"):
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


@pytest.mark.parametrize("length", [1, 5, 6, 7, 40, 325, 326, 327, 5000])
def test_a_free_text_keeps_its_length_and_none_of_its_words(scrub: Connection, length: int) -> None:
    text = ("Zoë was here. " * length)[:length]
    cleaned = value(scrub, "scrub.text(%s)", text)
    assert len(cleaned) == length
    assert "Zoë" not in cleaned


def test_addresses_come_from_the_ranges_kept_for_documentation(scrub: Connection) -> None:
    documentation = [ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
    found = scrub.execute("SELECT host(scrub.ip('10.0.0.0'::inet + n)) FROM generate_series(1, 5000) n").fetchall()
    addresses = {ipaddress.ip_address(address) for (address,) in found}
    assert all(any(address in network for network in documentation) for address in addresses)
    assert len(addresses) > 700
    assert ipaddress.ip_address(value(scrub, "host(scrub.ip('fd00::1'))")) in ipaddress.ip_network("2001:db8::/64")
    assert value(scrub, "masklen(scrub.ip('10.1.2.3/24'))") == 24


def test_dates_move_by_whole_days_and_never_by_none(scrub: Connection) -> None:
    shifts = scrub.execute(
        "SELECT scrub.date_shift(date '2000-01-15', n::text, 7) - date '2000-01-15', count(*)"
        " FROM generate_series(1, 7000) n GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert [days for days, _ in shifts] == [*range(-7, 0), *range(1, 8)]
    assert all(400 < count < 600 for _, count in shifts)
    moved = value(scrub, "scrub.date_shift(date '2000-01-15', 'k', 90)") - date(2000, 1, 15)
    for kind in ("timestamp", "timestamptz"):
        query = f"scrub.date_shift({kind} '2000-01-15 13:14:15', 'k', 90) - {kind} '2000-01-15 13:14:15'"
        assert value(scrub, query) == moved
    assert value(scrub, "scrub.date_shift(date 'infinity', 'k', 90)::text") == "infinity"
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"days of scrub\.date_shift: from 1 to"):
        value(scrub, "scrub.date_shift(date '2000-01-15', 'k', 0)")


def test_noise_stays_in_its_band_keeps_the_scale_and_always_changes(scrub: Connection) -> None:
    found = scrub.execute(
        "SELECT v, scrub.noise(v, n::text, 0.1) FROM generate_series(1, 2000) n, (VALUES (100.00), (0.00), (3)) t (v)"
    ).fetchall()
    assert len({noisy for original, noisy in found if original == 100}) > 1000
    for original, noisy in found:
        assert noisy != original
        assert abs(noisy - original) <= max(original / 10, Decimal(1).scaleb(original.as_tuple().exponent))
        assert noisy.as_tuple().exponent == original.as_tuple().exponent
    assert value(scrub, "scrub.noise('NaN', 'k', 0.1)::text") == "NaN"


def test_each_element_of_an_array_is_scrubbed_and_nulls_stay_in_place(scrub: Connection) -> None:
    assert value(scrub, "scrub.each('{a,NULL,b}', 'scrub.email')") == [
        value(scrub, "scrub.email('a')"),
        None,
        value(scrub, "scrub.email('b')"),
    ]
    assert value(scrub, "scrub.each('{}', 'email')") == []
    with pytest.raises(psycopg.errors.ArraySubscriptError, match="one-dimensional"):
        value(scrub, "scrub.each('{{a},{b}}', 'email')")


def test_the_planner_inlines_what_millions_of_rows_need(scrub: Connection) -> None:
    calls = "scrub.email(v), scrub.token(v, 9), scrub.url(v), scrub.uuid(v::uuid), scrub.date_shift(v::date, v, 9)"
    source = "(SELECT md5(n::text) AS v FROM generate_series(1, 9) n OFFSET 0) t"
    plan = scrub.execute(f"EXPLAIN (VERBOSE) SELECT {calls} FROM {source}".encode())
    text = "\n".join(line for (line,) in plan.fetchall())
    assert "sha256" in text
    assert "scrub." not in text


def test_parallel_workers_have_the_key(scrub: Connection) -> None:
    serial = value(scrub, "scrub.phone('07700 900123') || scrub.email('a')")
    scrub.execute("SET debug_parallel_query = on")
    assert value(scrub, "scrub.phone('07700 900123') || scrub.email('a')") == serial


def test_functions_say_what_they_are(scrub: Connection) -> None:
    found = scrub.execute(
        "SELECT proname, provolatile::text, proparallel::text, proconfig, prosecdef"
        " FROM pg_proc WHERE pronamespace = 'scrub'::regnamespace"
    ).fetchall()
    assert len(found) > 30
    assert {row[2:5] for row in found} == {("s", None, False)}
    immutable = {name for name, volatility, *_ in found if volatility == "i"}
    assert {volatility for _, volatility, *_ in found} == {"i", "s"}
    assert not immutable & {call.partition("(")[0].removeprefix("scrub.") for call in ALL_FUNCTIONS}


def test_any_role_may_call_them(server: Server, scrub_database: str) -> None:
    assert "dbname=functions" in scrub_database
    password = server.cluster.create_role("caller", "NOINHERIT")
    with connect(server.cluster.dsn("caller", password, "functions")) as connection:
        assert value(connection, "scrub.json('{\"a\": \"x\"}', '$.a', 'redact')") == {"a": "redacted"}


def test_a_database_that_has_a_schema_of_this_name_is_refused(scrub_database: str, scrub: Connection) -> None:
    with connect(scrub_database) as other, pytest.raises(psycopg.errors.DuplicateSchema):
        install(other, KEY)
    assert value(scrub, "scrub.email('a')").endswith("@example.com")
