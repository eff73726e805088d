"""Load: what is swapped in, and what is carried over to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.containers.aws_account import ACCOUNT, REGION
from tests.containers.end_to_end.clean_dump import CleanDump
from tests.containers.end_to_end.live_database import comment, databases, superuser_session, tables
from tests.containers.end_to_end.programs import LOAD_ROLE, Programs, Run
from tests.containers.end_to_end.source_database import TABLES

pytestmark = pytest.mark.end_to_end

PREFIX = "dev/nightly/etl-dump"
Load = Callable[..., Run]
Release = Callable[[Callable[[dict[str, Any], dict[str, bytes]], None]], str]


def test_a_dump_is_loaded_where_there_was_no_database(
    programs: Programs, load: Load, target: str, released: tuple[str, Path]
) -> None:
    run = load()
    assert run.code == 0, run.text
    finished = run.event("finished")
    assert (finished["rows"], finished["tables"]) == (sum(TABLES.values()), len(TABLES))
    assert databases(programs, target) == [target]
    assert tables(programs, target) == {**TABLES, "public.events": 0}
    manifest = CleanDump.read(programs, released[0]).objects["manifest.json"]
    (mark,) = comment(programs, target).values()
    assert mark.pop("loaded_at")
    assert mark == {
        "execution_id": f"arn:aws:states:{REGION}:{ACCOUNT}:execution:postgres-etl:load-1",
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
    }
    # What a dump holds beside rows is there too, and made anew from the clean ones.
    assert programs.query(target, "SELECT name FROM people WHERE id = 7") == [("Somebody 7",)]
    assert programs.query(target, "SELECT initial FROM users WHERE id = 7") == [("S",)]
    assert programs.query(target, "SELECT count(*) FROM totals") == [(200,)]
    assert programs.query(target, "SELECT nextval('users_id_seq')") == [(201,)]
    assert programs.query(target, "SELECT count(*) FROM pg_largeobject") == [(0,)]
    assert programs.query(target, "SELECT reltuples FROM pg_class WHERE relname = 'catalogue'") == [(5000.0,)]
    assert programs.query(target, "SHOW search_path") == [('"$user", public',)]


def test_a_live_database_is_replaced_and_kept_for_a_while(programs: Programs, load: Load, live: str) -> None:
    assert load().code == 0
    new, old = databases(programs, live)
    assert new == live
    assert old.startswith(f"{live}_old_")
    assert tables(programs, new) == {**TABLES, "public.events": 0}
    assert tables(programs, old) == {"public.before": 0}
    (mark,) = comment(programs, old).values()
    assert list(mark) == ["replaced_at"]


def test_a_run_again_of_a_finished_load_does_nothing(programs: Programs, load: Load, live: str) -> None:
    assert load().code == 0
    programs.query(live, "CREATE TABLE since (id integer)")
    before = databases(programs, live)
    again = load()
    assert (again.code, again.event("finished")["already_done"]) == (0, True)
    assert (databases(programs, live), "public.since" in tables(programs, live)) == (before, True)


def test_the_live_database_s_grants_and_settings_are_kept(programs: Programs, load: Load, live: str) -> None:
    reader = f"reader_{live}"
    programs.cluster.create_role(reader, "NOSUPERUSER")
    for statement in (
        f"REVOKE ALL ON DATABASE {live} FROM PUBLIC",
        f"GRANT CONNECT, TEMPORARY ON DATABASE {live} TO {reader} WITH GRANT OPTION",
        f"GRANT CREATE ON DATABASE {live} TO pg_monitor",
        f"ALTER DATABASE {live} SET search_path = 'My Schema', \"$user\", public",
        f"ALTER DATABASE {live} SET statement_timeout = '7s'",
        f"ALTER DATABASE {live} SET app.greeting = 'it''s; DROP'",
        f"ALTER DATABASE {live} SET DateStyle = 'ISO, DMY'",
    ):
        programs.query("postgres", statement)
    state = (
        "SELECT (SELECT array_agg(x::text ORDER BY x::text) FROM unnest(datacl) AS x), pg_get_userbyid(datdba),"
        " (SELECT setconfig FROM pg_db_role_setting WHERE setdatabase = d.oid)"
        f" FROM pg_database AS d WHERE datname = '{live}'"
    )
    programs.query("postgres", f"GRANT SET ON PARAMETER app.greeting TO {LOAD_ROLE}")
    before = programs.query("postgres", state)
    run = load()
    assert run.code == 0, run.text
    (acl, owner, settings) = programs.query("postgres", state)[0]
    assert (sorted(acl), owner, sorted(settings)) == (sorted(before[0][0]), before[0][1], sorted(before[0][2]))
    with superuser_session(programs, live) as connection:
        assert connection.execute("SHOW search_path").fetchone() == ('"My Schema", "$user", public',)


@pytest.mark.parametrize("value", ["''", "public", "'a, b', c, 'say \"hi\"'"])
def test_any_search_path_of_the_live_database_is_kept(programs: Programs, load: Load, live: str, value: str) -> None:
    programs.query("postgres", f"ALTER DATABASE {live} SET search_path = {value}")
    statement = (
        "SELECT setconfig FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase"
        f" WHERE datname = '{live}'"
    )
    before = programs.query("postgres", statement)
    run = load()
    assert run.code == 0, run.text
    assert programs.query("postgres", statement) == before


def test_a_database_of_any_name_is_replaced(programs: Programs, released: tuple[str, Path], name: str) -> None:
    bucket, rules = released
    live = f'it\'s "{name}" $(id); --'
    programs.cluster.create_database(live, LOAD_ROLE)
    try:
        run = programs.run("pg_restore", programs.load_environment("load-1", "nightly", bucket, live, rules))
        assert run.code == 0, run.text
        assert programs.query(live, "SELECT count(*) FROM users") == [(200,)]
    finally:
        for (database,) in programs.query("postgres", f"SELECT datname FROM pg_database WHERE datname LIKE '%{name}%'"):
            programs.cluster.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))


def test_a_database_open_to_all_stays_so(programs: Programs, load: Load, live: str) -> None:
    assert load().code == 0
    assert programs.query("postgres", f"SELECT datacl FROM pg_database WHERE datname = '{live}'") == [(None,)]


def test_sessions_of_the_live_database_are_ended_by_the_swap_and_not_before(
    programs: Programs, load: Load, live: str
) -> None:
    role = f"app_{live}"
    password = programs.cluster.create_role(role, "NOSUPERUSER")
    programs.query("postgres", f"GRANT pg_signal_backend TO {LOAD_ROLE}")
    with psycopg.connect(programs.cluster.dsn(role, password, live), autocommit=True) as session:
        assert load(ALLOWED_RULES="0" * 64).code == 77
        assert session.execute("SELECT 1").fetchone() == (1,)
        assert load().code == 0
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    with psycopg.connect(programs.cluster.dsn(role, password, live)) as session:
        assert session.execute("SELECT current_database()").fetchone() == (live,)


def test_a_session_that_cannot_be_ended_stops_the_swap_and_the_live_database_stays_open(
    programs: Programs, load: Load, live: str
) -> None:
    with superuser_session(programs, live) as session:
        run = load()
        assert run.code == 69
        assert run.error.startswith(f"swap refused, {live} is as it was: permission denied to terminate process")
        assert session.execute("SELECT count(*) FROM before").fetchone() == (0,)
        assert databases(programs, live) == [live]
    with superuser_session(programs, live) as session:
        assert session.execute("SELECT count(*) FROM before").fetchone() == (0,)


def test_a_live_database_of_another_owner_is_refused_before_anything_is_made(
    programs: Programs, load: Load, target: str
) -> None:
    programs.cluster.create_database(target, "postgres")
    run = load()
    assert (run.code, run.error) == (78, f"{LOAD_ROLE} does not own {target} and could not swap it: make it the owner")
    assert databases(programs, target) == [target]


def test_a_setting_that_could_not_be_kept_is_refused_before_anything_is_restored(
    programs: Programs, load: Load, live: str
) -> None:
    programs.query("postgres", f"ALTER DATABASE {live} SET log_statement = 'all'")
    run = load()
    assert (run.code, run.error) == (
        78,
        f'what is set on {live} cannot be carried over: permission denied to set parameter "log_statement"',
    )
    assert "restoring" not in [event.get("step") for event in run.events]
    assert databases(programs, live) == [live]
