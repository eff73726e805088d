"""Each function gives what a second, plain implementation gives, for all that a column may hold."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sample.conftest import KEY, Connection
from tests.sample.pseudonyms import Pseudonyms

pytestmark = pytest.mark.end_to_end

TEXTS = [
    "",
    " ",
    "   Ann.Sample@Example.ORG ",
    "07700 900123",
    "+44 (0)7700-900123",
    "0044\t1632.960/001",
    "+15550100",
    "GB 123 4567-89 ü",
    "000",
    "0",
    "7",
    "00000000000000000",
    "9" * 34,
    "ZZ41 7QD",
    "4111 1111 1111 1111",
    "5500-0000-0000-0004",
    "GB33 BUKB 2020 1555 5555 55",
    "de89370400440532013000",
    "Zoë Ångström",
    "ZOË ÅNGSTRÖM",
    "İstanbul ŞŞ ßẞ",
    "Ω 🙂 e\u0301 \u202eabc",
    "\ufeffbom",
    "١٢٣",
    "\x01\x02\x1b[0m\x7f",
    "line\nline\r\n\ttab",
    "back\\slash \\x41 \\' $1 %s {0}",
    "'; DROP TABLE users; --",
    "x" * 63,
    "é" * 64,
    "a" * 1_000_000,
]
TEXT_FUNCTIONS = [
    "address", "card_number", "company", "digits", "email", "iban", "person_name", "person_name_unique", "phone",
    "phone_unique", "postcode", "url",
]  # fmt: skip


@pytest.fixture
def plain(scrub: Connection) -> Pseudonyms:
    row = scrub.execute("SELECT scrub.first_names()::text[], scrub.stems()::text[], scrub.endings()::text[]").fetchone()
    assert row is not None
    assert [len(set(words)) for words in row] == [64, 32, 32]
    return Pseudonyms(bytes.fromhex(KEY), *row)


def outputs(connection: Connection, call: str, kind: str, values: list[Any]) -> list[Any]:
    """What a call gives for values that stand in a table."""
    query = f"SELECT {call} FROM unnest(%s::{kind}[]) WITH ORDINALITY AS t (v, place) ORDER BY place"
    return [output for (output,) in connection.execute(query.encode(), [values]).fetchall()]


@pytest.mark.parametrize("name", TEXT_FUNCTIONS)
def test_a_text_becomes_what_plain_python_makes_of_it(scrub: Connection, plain: Pseudonyms, name: str) -> None:
    expected = [getattr(plain, name)(text) for text in TEXTS]
    assert outputs(scrub, f"scrub.{name}(v)", "text", TEXTS) == expected


@pytest.mark.parametrize("length", [1, 15, 16, 63, 64])
def test_a_token_is_the_front_of_the_digest(scrub: Connection, plain: Pseudonyms, length: int) -> None:
    expected = [plain.token(text, length) for text in TEXTS]
    assert outputs(scrub, f"scrub.token(v, {length})", "text", TEXTS) == expected


def test_every_number_of_digits_is_permuted_as_in_plain_python(scrub: Connection, plain: Pseudonyms) -> None:
    values = [("1234567890" * 4)[:length] for length in range(1, 35)] + ["9" * length for length in range(1, 35)]
    assert outputs(scrub, "scrub.digits(v)", "text", values) == [plain.digits(value) for value in values]


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 0), (0, 1), (-3, 9), (1, 1000), (1, 2**31 - 1), (-(2**31), -1), (1, 2**63 - 1), (-(2**63), -1)],
)
def test_an_id_is_permuted_as_in_plain_python(scrub: Connection, plain: Pseudonyms, low: int, high: int) -> None:
    values = sorted({low, high, (low + high) // 2, min(low + 1, high), max(high - 1, low)})
    expected = [plain.id(value, low, high) for value in values]
    assert outputs(scrub, f"scrub.id(v, '{low}'::bigint, {high})", "bigint", values) == expected


def test_an_address_becomes_what_plain_python_makes_of_it(scrub: Connection, plain: Pseudonyms) -> None:
    values = [
        "0.0.0.0/0",
        "10.1.2.3/32",
        "10.1.2.3/8",
        "255.255.255.255/32",
        "::/128",
        "fd00::1/64",
        "::ffff:10.1.2.3/128",
    ]
    values += [f"203.0.113.{last}/32" for last in range(256)] + ["2001:db8:0:0:1:0:0:1/128"]
    assert outputs(scrub, "scrub.ip(v)::text", "inet", values) == [plain.ip(value) for value in values]


def test_a_uuid_becomes_what_plain_python_makes_of_it(scrub: Connection, plain: Pseudonyms) -> None:
    values = ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]
    assert outputs(scrub, "scrub.uuid(v)::text", "uuid", values) == [plain.uuid(value) for value in values]


@pytest.mark.parametrize("days", [1, 2, 90, 3650])
def test_a_date_moves_as_plain_python_moves_it(scrub: Connection, plain: Pseudonyms, days: int) -> None:
    keys = [*TEXTS, *map(str, range(50))]
    found = outputs(scrub, f"scrub.date_shift('2000-02-29'::date, v, {days})::text", "text", keys)
    assert found == [plain.date_shift("2000-02-29", key, days) for key in keys]
