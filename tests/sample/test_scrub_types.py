"""Pseudonyms of what is no text: addresses, dates, amounts, arrays."""

from __future__ import annotations

import ipaddress
from datetime import date
from decimal import Decimal

import psycopg
import pytest

from tests.sample.conftest import Connection
from tests.sample.test_scrub_functions import value

pytestmark = pytest.mark.end_to_end


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
    assert value(scrub, "scrub.each('[0:1]={a,NULL}', 'redact')::text") == "[0:1]={redacted,NULL}"
    shaped = '[2:3][0:1]={{redacted,NULL},{redacted,""}}'
    assert value(scrub, "scrub.each('[2:3][0:1]={{a,NULL},{b,\"\"}}', 'redact')::text") == shaped
    with pytest.raises(psycopg.errors.ArraySubscriptError, match="one or two dimensions"):
        value(scrub, "scrub.each('{{{a}}}', 'email')")


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("daterange", "empty"),
        ("daterange", "(,)"),
        ("daterange", "[2000-01-15,infinity)"),
        ("daterange", "[2000-01-15,2000-03-01)"),
        ("daterange", "(,2000-03-01)"),
        ("tsrange", '("2000-01-15 10:00:00","2000-03-01 11:00:00"]'),
        ("tsrange", '["2000-01-15 10:00:00",)'),
        ("tstzrange", '["2000-01-15 10:00:00+00","2000-03-01 11:00:00+00")'),
        ("tstzrange", "empty"),
        ("date[]", "{}"),
        ("date[]", "[0:2]={2000-01-15,NULL,infinity}"),
    ],
)
def test_the_ends_of_a_range_and_the_dates_of_an_array_move_together(scrub: Connection, kind: str, shape: str) -> None:
    scrub.execute("SET timezone = 'UTC'")
    days = value(scrub, "scrub.date_shift(date '2000-01-15', 'k', 90) - date '2000-01-15'")
    expected = shape
    for month, day in ((1, 15), (3, 1)):
        moved = date(2000, month, day).toordinal() + days
        expected = expected.replace(f"2000-{month:02d}-{day:02d}", str(date.fromordinal(moved)))
    assert value(scrub, f"scrub.date_shift(%s::{kind}, 'k', 90)::text", shape) == expected
    assert (expected == shape) is ("2000" not in shape)


def test_binary_numbers_get_noise_as_others_do(scrub: Connection) -> None:
    found = scrub.execute(
        "SELECT v, scrub.noise(v, n::text, 0.1) FROM generate_series(1, 2000) n,"
        " (VALUES (100::float8), (1e300), (-1e-300), (0)) t (v)"
    ).fetchall()
    assert all(noisy != original and abs(noisy - original) <= max(abs(original) / 9.99, 0.1 * (not original))
               for original, noisy in found)  # fmt: skip
    assert {noisy for original, noisy in found if original == 0} == {0.1}
    for special in ("NaN", "Infinity", "-Infinity"):
        assert value(scrub, f"scrub.noise('{special}'::float8, 'k', 0.1::float8)::text") == special
        assert value(scrub, f"scrub.noise('{special}'::numeric, 'k', 0.1)::text") == special
    assert value(scrub, "pg_typeof(scrub.noise(1::real, 'k', 0.1))::text") == "double precision"
    assert value(scrub, "pg_typeof(scrub.noise(1::bigint, 'k', 0.1))::text") == "numeric"


@pytest.mark.parametrize(
    ("call", "numbers"),
    [
        ("scrub.id(n, 0, 9999)", "generate_series(0, 9999)"),
        ("scrub.id(n, -500, 500)", "generate_series(-500, 500)"),
        ("scrub.id(n, 7, 8)", "generate_series(7, 8)"),
        ("scrub.id(n::smallint)", "generate_series(-32768, 32767)"),
    ],
)
def test_ids_are_permuted_within_their_range(scrub: Connection, call: str, numbers: str) -> None:
    permuted = f"SELECT n, {call} FROM {numbers} n"
    query = f"SELECT count(DISTINCT v) = count(*), max(v) = max(n), min(v) = min(n) FROM ({permuted}) t (n, v)"
    assert scrub.execute(query.encode()).fetchone() == (True, True, True)


def test_ids_of_every_type_keep_sign_and_type_and_none_meets_another(scrub: Connection) -> None:
    for kind, largest in (("integer", 2**31 - 1), ("bigint", 2**63 - 1)):
        numbers = "generate_series(-10000, 10000)"
        row = scrub.execute(
            f"SELECT count(DISTINCT v), count(*) FILTER (WHERE sign(v) <> sign(n)), pg_typeof(min(v))::text"
            f" FROM (SELECT n, scrub.id(n::{kind}) FROM {numbers} n) t (n, v)".encode()
        ).fetchone()
        assert row == (20_001, 0, kind)
        for end in (largest, -largest - 1):
            assert -largest - 1 <= value(scrub, f"scrub.id(%s::{kind})", end) <= largest
    for outside in ("0, 1, 5", "6, 1, 5", "1, 5, 1"):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"a number that is not from \d to \d"):
            value(scrub, f"scrub.id({outside})")


def test_networks_stay_networks_and_devices_get_an_address_that_no_maker_gives(scrub: Connection) -> None:
    for mask in range(33):
        network = ipaddress.ip_network(value(scrub, f"scrub.ip(network(set_masklen('10.1.2.3'::inet, {mask})))::text"))
        assert network.prefixlen == mask
    assert value(scrub, "scrub.ip('fd00:1:2::/48'::cidr)::text") == "2001:db8::/48"
    for kind, sample in (("macaddr", "08:00:2b:01:02:03"), ("macaddr8", "08:00:2b:01:02:03:04:05")):
        found = scrub.execute(
            f"SELECT DISTINCT left(scrub.mac(m::{kind})::text, 2) FROM unnest(%s::text[]) m".encode(),
            [[f"{sample[:-2]}{last:02x}" for last in range(256)]],
        ).fetchall()
        assert found == [("02",)]


def test_cards_keep_luhn_and_ibans_their_check_digits(scrub: Connection) -> None:
    cards = scrub.execute(
        "SELECT scrub.card_number(n::text) FROM generate_series(4000000000000000, 4000000000002000) n"
    )
    found = [card for (card,) in cards.fetchall()]
    for card in found:
        doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(card))]
        assert sum(number // 10 + number % 10 for number in doubled) % 10 == 0
        assert card.startswith("9")
        assert len(card) == 16
    # The last digit of these is no check digit for nine in ten, and counts for nothing.
    assert len(set(found)) == 201
    ibans = scrub.execute(
        "SELECT scrub.iban('GB33BUKB2020' || n) FROM generate_series(10000000, 10002000) n"
    ).fetchall()
    assert len(set(ibans)) == 2001
    for (iban,) in ibans:
        assert int("".join(str(int(sign, 36)) for sign in iban[4:] + iban[:4])) % 97 == 1
        assert iban[:2] + iban[4:8] == "GBBUKB"
