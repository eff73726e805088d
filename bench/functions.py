"""What one call of each `scrub` function costs, beside plain digests of the same values.

    python bench/functions.py [--rows 200000] [--rounds 3] [--postgres /usr/lib/postgresql/17]

Measured is the CPU time of the server's process (Linux), so that neighbours on the machine do not count; rounds are
interleaved, printed are medians in microseconds a call, and their ratio to `sha256` of the same text. What reading the
row costs is taken off. `hmac, naive` is what a digest costs when the pads are made of the key in every call.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from etl_runtime.postgres import Connection
from etl_runtime.scrub_functions import install
from servers import keep_result, workplace

from etl_local.postgres_installation import DEFAULT_MAJOR, PostgresInstallation

KEY = "5a" * 32
FLOOR = "sha256"


@dataclass(frozen=True)
class Measure:
    """Calls on one set of values; `share` of the rows are enough where a call takes long."""

    values: str
    calls: Mapping[str, str]
    share: float = 1.0


_EMAIL = "'ann.sample' || n || '@example.org'"
_RULES = """'{"$.client.ip": "ip", "$.to.name": "person_name", "$.to.email": "email", "$.cc[*].email": "email"}'"""
_CC = ", ".join(f"jsonb_build_object('email', '{name}' || {_EMAIL})" for name in "bc")
_DOCUMENT = (
    f"jsonb_build_object('id', n, 'to', jsonb_build_object('name', 'Ann ' || n, 'email', {_EMAIL}),"
    f" 'cc', jsonb_build_array({_CC}))"
)
_PAD = "substr(bit_send(('x' || current_setting('bench.key'))::bit(512) # ('x' || repeat('{}', 64))::bit(512)), 5)"
_NAIVE = f"sha256({_PAD.format('5c')} || sha256({_PAD.format('36')} || convert_to('email:' || x, 'UTF8')))"
MEASURES = (
    Measure(
        _EMAIL,
        {
            "md5": "md5(x)",
            FLOOR: "sha256(convert_to(x, 'UTF8'))",
            "hmac, naive": _NAIVE,
            "hmac": "scrub.hmac('email:', x)",
            "email": "scrub.email(x)",
            "token": "scrub.token(x, 32)",
            "url": "scrub.url(x)",
            "person_name": "scrub.person_name(x)",
            "person_name_unique": "scrub.person_name_unique(x)",
            "company": "scrub.company(x)",
            "address": "scrub.address(x)",
            "postcode": "scrub.postcode(x)",
            "noise": "scrub.noise(1234.56, x, 0.1)",
            "date_shift": "scrub.date_shift('2000-01-15'::date, x, 90)",
            "text, 30 characters": "scrub.text(x)",
            "bytes": "scrub.bytes(x::bytea, 32)",
            "each, two elements": "scrub.each(ARRAY[x, x], 'email')",
        },
    ),
    Measure(
        "'07700 9' || lpad((n % 100000)::text, 5, '0')",
        {"phone": "scrub.phone(x)", "phone_unique": "scrub.phone_unique(x)"},
    ),
    Measure("lpad(n::text, 9, '0')", {"digits, nine": "scrub.digits(x)"}, 0.25),
    Measure("n", {"id": "scrub.id(x)"}, 0.25),
    Measure("(4000000000000000 + n)::text", {"card_number": "scrub.card_number(x)"}, 0.1),
    Measure("'GB33BUKB2020' || (10000000 + n)", {"iban": "scrub.iban(x)"}, 0.1),
    Measure("'08:00:2b:00:00:00'::macaddr", {"mac": "scrub.mac(x)"}),
    Measure("'10.0.0.0'::inet + n", {"ip": "scrub.ip(x)"}),
    Measure("md5(n::text)::uuid", {"uuid": "scrub.uuid(x)"}),
    Measure("repeat('We met. ', 60) || n", {"text, 480 characters": "scrub.text(x)"}, 0.25),
    Measure(_DOCUMENT, {"json, four of four paths": f"scrub.json(x, {_RULES})"}, 0.1),
    Measure("jsonb_build_object('id', n)", {"json, none of four paths": f"scrub.json(x, {_RULES})"}),
)


def cpu_nanoseconds(connection: Connection) -> int:
    """What the connection's server process has computed so far."""
    return int(Path(f"/proc/{connection.info.backend_pid}/schedstat").read_text().split()[0])


def measured(connection: Connection, measure: Measure, rows: int, rounds: int) -> dict[str, float]:
    """Median microseconds of each call, by name."""
    count = max(1, round(rows * measure.share))
    connection.execute("DROP TABLE IF EXISTS pg_temp.sample")
    connection.execute(
        f"CREATE TEMP TABLE sample AS SELECT {measure.values} AS x FROM generate_series(1, {count}) AS n".encode()
    )
    connection.execute("ANALYZE pg_temp.sample")
    calls = {"": "x", **measure.calls}
    found: dict[str, list[int]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            before = cpu_nanoseconds(connection)
            connection.execute(f"SELECT count({call}) FROM pg_temp.sample".encode())
            found[name].append(cpu_nanoseconds(connection) - before)
    reading = statistics.median(found.pop(""))
    return {name: (statistics.median(times) - reading) / count / 1000 for name, times in found.items()}


def microseconds(connection: Connection, rows: int, rounds: int) -> dict[str, float]:
    """What a call of each function costs, by name."""
    connection.execute("SET jit = off; SET max_parallel_workers_per_gather = 0; SET search_path = ''")
    connection.execute(f"SET bench.key = '{KEY.ljust(128, '0')}'".encode())
    install(connection, KEY)
    found: dict[str, float] = {}
    for measure in MEASURES:
        found |= measured(connection, measure, rows, rounds)
    return found


def main() -> None:
    """Measure, print, and write `bench/results/functions.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000, help="distinct values; slow functions get fewer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgres", type=Path, help="the directory of another Postgres than the bundled one")
    options = parser.parse_args()
    chosen = options.postgres
    installation = PostgresInstallation.in_directory(chosen) if chosen else PostgresInstallation.bundled(DEFAULT_MAJOR)
    with (
        workplace(installation) as place,
        place.cluster("bench") as server,
        psycopg.connect(server.dsn(), autocommit=True) as connection,
    ):
        version = connection.info.server_version // 10000
        found = microseconds(connection, options.rows, options.rounds)
    floor = found[FLOOR]
    print(f"Postgres {version}{'':<18}{'µs a call':>12}{FLOOR:>10}")
    for name, time in found.items():
        print(f"{name:<28}{time:>12.2f}{time / floor:>9.1f}x")
    ratios = {name: round(time / floor, 2) for name, time in found.items()}
    keep_result("functions", {"postgres": version, "rows": options.rows, "microseconds": found, "ratios": ratios})


if __name__ == "__main__":
    main()
