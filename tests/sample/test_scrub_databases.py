"""The functions in a database: which may be of any encoding and collation, and what the catalog and the planner see."""

from __future__ import annotations

import tempfile
from pathlib import Path

import psycopg
import pytest
from etl_runtime.scrub_functions import install
from psycopg import sql

from etl_local.clusters import ClusterTemplate, PostgresCluster
from etl_local.postgres_installation import PostgresInstallation
from tests.sample.conftest import KEY, OWNER, Connection, Server, connect
from tests.sample.test_scrub_functions import ALL_FUNCTIONS, SAMPLES, TEXT_FUNCTIONS, applied, value

pytestmark = pytest.mark.end_to_end
DEBIAN_15 = Path("/usr/lib/postgresql/15")
KEEP_THE_LENGTH = {"scrub.text(v)", "scrub.digits(v)", "scrub.card_number(v)", "scrub.iban(v)"}


def test_the_planner_inlines_what_millions_of_rows_need(scrub: Connection) -> None:
    calls = (
        "scrub.email(v), scrub.email(v, 30), scrub.token(v, 9), scrub.url(v), scrub.url(v, 40), scrub.uuid(v::uuid),"
        " scrub.date_shift(v::date, v, 9), scrub.date_shift(v::timestamp, v, 9),"
        " scrub.date_shift(v::timestamptz, v, 9), scrub.bytes(v::bytea, 8), scrub.mac(v::macaddr),"
        " scrub.mac(v::macaddr8), scrub.hmac('mine:', v)"
    )
    source = "(SELECT md5(n::text) AS v FROM generate_series(1, 9) n OFFSET 0) t"
    plan = scrub.execute(f"EXPLAIN (VERBOSE) SELECT {calls} FROM {source}".encode())
    text = "\n".join(line for (line,) in plan.fetchall())
    assert text.count("sha256(") == 2 * calls.count("scrub.")
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


@pytest.mark.parametrize("encoding", ["LATIN1", "EUC_JP", "SQL_ASCII"])
def test_pseudonyms_are_the_same_in_a_database_of_any_encoding(
    server: Server, scrub: Connection, encoding: str
) -> None:
    name = f"functions_{encoding.lower()}"
    server.cluster.execute(
        sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING {} LOCALE 'C'").format(
            sql.Identifier(name), sql.Identifier(OWNER), sql.Literal(encoding)
        )
    )
    texts = ["", "Ann Sample", "07700 900123", *(["Zoë"] if encoding == "LATIN1" else ["日本"])]
    with connect(server.dsn(name)) as other:
        install(other, KEY)
        other.execute("SET client_encoding = 'UTF8'")
        for call, kind in ALL_FUNCTIONS.items():
            for sample in texts if kind == "text" else [SAMPLES[kind]]:
                # In SQL_ASCII a text has as many characters as bytes.
                if encoding != "SQL_ASCII" or sample.isascii() or call not in KEEP_THE_LENGTH:
                    assert applied(other, call, kind, sample) == applied(scrub, call, kind, sample), (call, sample)


def test_bytes_that_are_no_text_in_any_encoding_get_pseudonyms_in_sql_ascii(server: Server) -> None:
    server.cluster.execute(
        sql.SQL("CREATE DATABASE bytes OWNER {} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'").format(
            sql.Identifier(OWNER)
        )
    )
    with connect(server.dsn("bytes")) as connection:
        install(connection, KEY)
        connection.execute("SET client_encoding = 'SQL_ASCII'")
        for call in TEXT_FUNCTIONS:
            query = f"SELECT count(DISTINCT {call}) FROM (VALUES (E'\\xff\\xfeabcdef'), (E'\\xffabcdefg')) AS t (v)"
            assert connection.execute(query.encode()).fetchone() in ((2,), (1,)), call


def test_no_collation_of_a_column_parts_the_pseudonyms_of_equal_texts(scrub: Connection) -> None:
    found = scrub.execute(
        "SELECT collname FROM pg_catalog.pg_collation WHERE collencoding IN (-1, 6) AND collname IN"
        " ('C', 'POSIX', 'ucs_basic', 'C.utf8', 'pg_c_utf8', 'en_US.utf8', 'unicode', 'und-x-icu', 'tr-x-icu')"
    ).fetchall()
    collations = [name for (name,) in found]
    assert len(collations) >= 3
    for call in TEXT_FUNCTIONS:
        outputs = {
            value(scrub, f"""{call} FROM (SELECT 'Éİ Ann 1' COLLATE pg_catalog."{name}" OFFSET 0) AS t (v)""")
            for name in collations
        }
        assert len(outputs) == 1, call
    # Two collations that meet leave none, with which nothing can be compared.
    meeting = """(SELECT 'Ann' COLLATE pg_catalog."C", ' 1' COLLATE pg_catalog."POSIX" OFFSET 0) AS t (a, b)"""
    for call in TEXT_FUNCTIONS:
        assert value(scrub, f"{call.replace('v', 'a || b', 1)} FROM {meeting}") == applied(scrub, call, "text", "Ann 1")


@pytest.mark.skipif(not (DEBIAN_15 / "bin/postgres").exists(), reason="no Postgres 15 on this machine")
def test_postgres_15_gives_what_later_ones_give(scrub: Connection) -> None:
    with tempfile.TemporaryDirectory(prefix="sample-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        programs = PostgresInstallation.in_directory(DEBIAN_15).launchers(directory)
        template = ClusterTemplate(directory / "template", programs)
        with PostgresCluster(directory, programs, "older", template) as cluster, connect(cluster.dsn()) as older:
            install(older, KEY)
            calls = ALL_FUNCTIONS | {f"scrub.each(v, '{name}')": "text[]" for name in ("iban", "ip", "uuid")}
            for call, kind in calls.items():
                assert applied(older, call, kind, SAMPLES[kind]) == applied(scrub, call, kind, SAMPLES[kind]), call
            mixed = "{10.1.2.3/24,10.1.2.300,fd00::1,00000000-0000-4000-8000-000000000001,x}"
            for call in ("scrub.each(v, 'ip')", "scrub.each(v, 'uuid')"):
                assert applied(older, call, "text[]", mixed) == applied(scrub, call, "text[]", mixed)


def test_old_fashioned_literals_and_a_crowded_search_path_change_nothing(
    empty_database: str, scrub: Connection
) -> None:
    with connect(empty_database) as other, other.transaction(force_rollback=True):
        other.execute("SET standard_conforming_strings = off; SET escape_string_warning = off")
        install(other, KEY)
        other.execute(
            "CREATE SCHEMA crowd;"
            "CREATE FUNCTION crowd.lower(text) RETURNS text LANGUAGE sql RETURN 'x';"
            "CREATE FUNCTION crowd.sha256(bytea) RETURNS bytea LANGUAGE sql RETURN ''::bytea;"
            "CREATE FUNCTION crowd.get_byte(bytea, integer) RETURNS integer LANGUAGE sql RETURN 1;"
            "CREATE FUNCTION crowd.same(text, text) RETURNS boolean LANGUAGE sql RETURN true;"
            "CREATE OPERATOR crowd.= (FUNCTION = crowd.same, LEFTARG = text, RIGHTARG = text);"
            "SET search_path = crowd"
        )
        for call, kind in ALL_FUNCTIONS.items():
            assert applied(other, call, kind, SAMPLES[kind]) == applied(scrub, call, kind, SAMPLES[kind]), call
