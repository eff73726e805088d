"""The sample marketplace: the same each time, synthetic, and with what a dump has to carry."""

from __future__ import annotations

import re

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from etl_local.sample.marketplace import SAMPLE_BYTES, Marketplace, generate
from tests.sample.conftest import SCALE, Connection, Server

pytestmark = pytest.mark.end_to_end

RESERVED_DOMAIN = re.compile(r"(?:^|\.)(?:example|example\.(?:com|net|org))$")
"""RFC 2606 and RFC 6761: nobody can own these."""


def fingerprint(dsn: str) -> dict[str, tuple[int, str]]:
    """Table or sequence or `large objects` → number of rows, and a digest of them whatever their order."""
    found: dict[str, tuple[int, str]] = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET search_path = ''; SET TimeZone = 'UTC'")
        for schema, name in tables(connection):
            row = connection.execute(
                sql.SQL(
                    "SELECT count(*), coalesce(sum(hashtextextended(to_jsonb(t)::text, 0)), 0)::text FROM ONLY {} AS t"
                ).format(sql.Identifier(schema, name))
            ).fetchone()
            assert row is not None
            found[f"{schema}.{name}"] = (row[0], row[1])
        for name, last in connection.execute("SELECT sequencename, last_value::text FROM pg_sequences").fetchall():
            found[f"sequence {name}"] = (1, last)
        row = connection.execute(
            "SELECT count(*), sum(hashtextextended(oid || encode(lo_get(oid), 'hex'), 0))::text"
            " FROM pg_largeobject_metadata"
        ).fetchone()
        assert row is not None
        found["large objects"] = (row[0], row[1])
    return found


def tables(connection: Connection) -> list[tuple[str, str]]:
    return [
        (str(schema), str(name))
        for schema, name in connection.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema)' ORDER BY 1, 2"
        ).fetchall()
    ]


def test_the_same_scale_gives_the_same_data_on_every_major_version(servers: dict[int, Server]) -> None:
    prints = {}
    for major, server in servers.items():
        for turn in ("first", "second"):
            dsn = server.new_database(f"same_{turn}")
            generate(dsn, 0.02)
            prints[major, turn] = fingerprint(dsn)
    first = prints[16, "first"]
    assert sum(rows for rows, _ in first.values()) > 1500
    for place, found in prints.items():
        assert found == first, place


def test_every_table_but_the_one_never_used_has_rows(marketplace: tuple[str, Marketplace]) -> None:
    empty = {name for name, (rows, _) in fingerprint(marketplace[0]).items() if rows == 0}
    assert empty == {"reporting.never_used"}


def test_nothing_of_the_generator_stays(marketplace: tuple[str, Marketplace]) -> None:
    with psycopg.connect(marketplace[0]) as connection:
        schemas = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'").fetchall()
    assert {name for (name,) in schemas} == {"public", "reporting", "information_schema"}


def test_the_generator_tells_the_size_and_leaves_statistics(marketplace: tuple[str, Marketplace]) -> None:
    dsn, told = marketplace
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT pg_database_size(current_database()), (SELECT count(*) FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND reltuples < 0)"
        ).fetchone()
    assert row is not None
    assert abs(row[0] - told.database_bytes) < 1_000_000
    assert row[1] == 0


def test_at_scale_1_it_has_the_size_that_is_told_of_it(servers: dict[int, Server]) -> None:
    dsn = servers[18].new_database("whole")
    assert 0.95 < generate(dsn, 1).database_bytes / SAMPLE_BYTES < 1.02


def test_every_address_and_number_in_it_is_one_that_nobody_has(marketplace: tuple[str, Marketplace]) -> None:
    domains: set[str] = set()
    numbers: set[str] = set()
    with psycopg.connect(marketplace[0], autocommit=True) as connection:
        for schema, name in tables(connection):
            with connection.cursor().copy(
                sql.SQL("COPY (SELECT * FROM {}) TO STDOUT").format(sql.Identifier(schema, name))
            ) as copy:
                text = b"".join(bytes(block) for block in copy).decode()
            domains |= {domain.lower() for domain in re.findall(r"@([A-Za-z0-9.-]*[A-Za-z0-9])", text)}
            domains |= {domain.lower() for domain in re.findall(r"https?://([A-Za-z0-9.-]+)", text)}
            numbers |= set(re.findall(r"(?<![\w.-])(?:\+44 ?|0)(\d{4} ?\d{6})(?!\w)", text))
    assert len(domains) > 5
    assert {domain for domain in domains if not RESERVED_DOMAIN.search(domain)} == set()
    assert len(numbers) > 100
    assert {n for n in numbers if not re.match(r"7700 ?900|1632 ?960", n)} == set()


def test_it_has_one_of_everything_that_a_dump_has_to_carry(marketplace: tuple[str, Marketplace]) -> None:
    with psycopg.connect(marketplace[0]) as connection:

        def kinds(query: str) -> set[str]:
            return {str(kind) for (kind,) in connection.execute(query.encode()).fetchall()}

        in_ours = "relnamespace IN ('public'::regnamespace, 'reporting'::regnamespace)"
        assert kinds(f"SELECT relkind::text FROM pg_class WHERE {in_ours}") == set("rpiISvmc")
        assert kinds(
            "SELECT DISTINCT amname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            f" JOIN pg_am a ON a.oid = c.relam WHERE {in_ours}"
        ) == {"btree", "hash", "gin", "gist", "brin"}
        assert kinds("SELECT DISTINCT partstrat::text FROM pg_partitioned_table") == set("rhl")
        assert kinds("SELECT DISTINCT attidentity::text FROM pg_attribute") == {"", "a", "d"}
        assert kinds("SELECT DISTINCT attgenerated::text FROM pg_attribute") == {"", "s"}
        assert kinds("SELECT DISTINCT contype::text FROM pg_constraint") >= set("cfpux")
        assert kinds(
            "SELECT DISTINCT confdeltype::text FROM pg_constraint WHERE contype = 'f' AND conparentid = 0"
        ) == set("acn")
        assert kinds("SELECT DISTINCT typtype::text FROM pg_type WHERE typnamespace = 'public'::regnamespace") == set(
            "bcde"
        )
        assert connection.execute("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").fetchone() == (2,)
        assert connection.execute(
            "SELECT count(*) FROM public.frameworks f JOIN pg_largeobject_metadata m ON m.oid = f.agreement"
        ).fetchone() == (12,)
        assert connection.execute(
            rb"SELECT count(*) > 5 FROM public.support_messages WHERE template ~ '\n\\\.\n' AND body ~ '\t'"
        ).fetchone() == (True,)


def test_another_role_can_read_the_large_objects(server: Server, marketplace: tuple[str, Marketplace]) -> None:
    password = server.cluster.create_role("reader", "NOINHERIT")
    database = conninfo_to_dict(marketplace[0])["dbname"]
    with psycopg.connect(server.cluster.dsn("reader", password, str(database))) as connection:
        row = connection.execute(
            "SELECT bool_and(lo_get(oid) LIKE convert_to('%synthetic%', 'UTF8')) FROM pg_largeobject_metadata"
        ).fetchone()
    assert row == (True,)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_a_scale_that_is_not_above_zero_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale must be a number above 0"):
        generate("host=127.0.0.1 port=1", scale)


def test_a_database_that_is_not_empty_is_refused_and_keeps_what_it_has(
    marketplace: tuple[str, Marketplace],
) -> None:
    before = fingerprint(marketplace[0])
    with pytest.raises(psycopg.errors.DuplicateSchema):
        generate(marketplace[0], SCALE)
    with psycopg.connect(marketplace[0]) as connection:
        assert connection.execute("SELECT to_regnamespace('sample_generator')").fetchone() == (None,)
    assert fingerprint(marketplace[0]) == before
