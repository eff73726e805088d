"""Load: what is swapped in, what stays as it was, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from etl_runtime.contract import rules_digest

from tests.containers.aws_account import ACCOUNT, REGION
from tests.containers.clean_dump import CleanDump
from tests.containers.programs import LOAD_ROLE, Programs, Run, wait_until
from tests.containers.source_database import CANARIES, TABLES

pytestmark = pytest.mark.end_to_end

PREFIX = "dev/nightly/etl-dump"
Load = Callable[..., Run]
Release = Callable[[Callable[[dict[str, Any], dict[str, bytes]], None]], str]


@pytest.fixture
def target(programs: Programs, name: str) -> Iterator[str]:
    """The name of a live database of the test's own; what is left of it is dropped."""
    yield name
    for database in _databases(programs, name):
        programs.query("postgres", f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true')
        programs.query("postgres", f'DROP DATABASE "{database}" WITH (FORCE)')


@pytest.fixture
def live(programs: Programs, target: str) -> str:
    """That database, there already, with a table of its own."""
    programs.cluster.create_database(target, LOAD_ROLE)
    programs.query(target, "CREATE TABLE before (id integer)")
    return target


@pytest.fixture
def load(programs: Programs, released: tuple[str, Path], target: str) -> Load:
    """Loads the shared clean dump into the test's own database."""
    bucket, rules = released

    def run(execution: str = "load-1", **changes: str) -> Run:
        environment = programs.load_environment(execution, "nightly", bucket, target, rules) | changes
        ended = programs.run("pg_restore", environment)
        assert [canary for canary in CANARIES if canary in ended.text] == []
        assert programs.passwords[LOAD_ROLE] not in ended.text
        return ended

    return run


def _databases(programs: Programs, name: str) -> list[str]:
    rows = programs.query("postgres", f"SELECT datname FROM pg_database WHERE datname LIKE '{name}%' ORDER BY 1")
    return [row[0] for row in rows]


def _comment(programs: Programs, database: str) -> dict[str, Any]:
    statement = f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{database}'"
    document: dict[str, Any] = json.loads(programs.query("postgres", statement)[0][0])
    return document


def _tables(programs: Programs, database: str) -> dict[str, int]:
    names = programs.query(
        database, "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname !~ '^(pg_|inf)'"
    )
    return {name: programs.query(database, f"SELECT count(*) FROM ONLY {name}")[0][0] for (name,) in names}


@contextmanager
def _session(programs: Programs, database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(programs.cluster.dsn(database=database), autocommit=True) as connection:
        yield connection


def test_a_dump_is_loaded_where_there_was_no_database(
    programs: Programs, load: Load, target: str, released: tuple[str, Path]
) -> None:
    run = load()
    assert run.code == 0, run.text
    finished = run.event("finished")
    assert (finished["rows"], finished["tables"]) == (sum(TABLES.values()), len(TABLES))
    assert _databases(programs, target) == [target]
    assert _tables(programs, target) == {**TABLES, "public.events": 0}
    manifest = CleanDump.read(programs, released[0]).objects["manifest.json"]
    (mark,) = _comment(programs, target).values()
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
    new, old = _databases(programs, live)
    assert new == live
    assert old.startswith(f"{live}_old_")
    assert _tables(programs, new) == {**TABLES, "public.events": 0}
    assert _tables(programs, old) == {"public.before": 0}
    (mark,) = _comment(programs, old).values()
    assert list(mark) == ["replaced_at"]


def test_a_run_again_of_a_finished_load_does_nothing(programs: Programs, load: Load, live: str) -> None:
    assert load().code == 0
    programs.query(live, "CREATE TABLE since (id integer)")
    before = _databases(programs, live)
    again = load()
    assert (again.code, again.event("finished")["already_done"]) == (0, True)
    assert (_databases(programs, live), "public.since" in _tables(programs, live)) == (before, True)


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
    with _session(programs, live) as connection:
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
    with _session(programs, live) as session:
        run = load()
        assert run.code == 69
        assert run.error.startswith(f"swap refused, {live} is as it was: permission denied to terminate process")
        assert session.execute("SELECT count(*) FROM before").fetchone() == (0,)
        assert _databases(programs, live) == [live]
    with _session(programs, live) as session:
        assert session.execute("SELECT count(*) FROM before").fetchone() == (0,)


def test_a_live_database_of_another_owner_is_refused_before_anything_is_made(
    programs: Programs, load: Load, target: str
) -> None:
    programs.cluster.create_database(target, "postgres")
    run = load()
    assert (run.code, run.error) == (78, f"{LOAD_ROLE} does not own {target} and could not swap it: make it the owner")
    assert _databases(programs, target) == [target]


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
    assert _databases(programs, live) == [live]


REFUSED: dict[str, tuple[dict[str, str], int, str]] = {
    "no such dump": (
        {"LOAD_FILENAME": "dev/nothing/etl-dump"},
        66,
        "LOAD_FILENAME dev/nothing/etl-dump does not exist: clean-shared has no manifest of it",
    ),
    "a path": (
        {"LOAD_FILENAME": "../nightly/etl-dump"},
        78,
        "environment: LOAD_FILENAME load environment '..' is not of the form [a-z][a-z0-9-]{0,15}",
    ),
    "a raw dump": (
        {"LOAD_BUCKET": "raw-shared"},
        77,
        "manifest of dev/nightly/etl-dump is 'raw', and only 'clean' is taken here",
    ),
    "other rules": (
        {"ALLOWED_RULES": "0" * 64},
        77,
        "dev/nightly/etl-dump was cleaned by rules {rules}…, which are not allowed here",
    ),
    "no rules": (
        {"ALLOWED_RULES": ","},
        77,
        "dev/nightly/etl-dump was cleaned by rules {rules}…, which are not allowed here",
    ),
    "production": ({"ENVIRONMENT_NAME": "prod"}, 77, "prod is protected: nothing is loaded into it"),
    "production by another's leave": (
        {"ENVIRONMENT_NAME": "prod", "ALLOW_PROTECTED_LOAD": "true"},
        77,
        "prod is protected: nothing is loaded into it",
    ),
    "another environment's dump": (
        {"ENVIRONMENT_NAME": "sbx"},
        77,
        "LOAD_FILENAME is for 'dev', and this is 'sbx'",
    ),
    "a superuser": (
        {"DB_USER": "postgres"},
        77,
        "postgres is a superuser, and restoring a dump runs its code: load as an ordinary role with CREATEDB",
    ),
    "a role that may make no databases": (
        {"DB_USER": "etl_dump"},
        78,
        "etl_dump may not create databases: grant it CREATEDB",
    ),
    "a wrong password": (
        {"DB_CREDENTIALS": '{"password": "wrong"}'},
        78,
        "database postgres at 127.0.0.1:{port} refuses user etl_load: check the credentials",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "code", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_what_may_not_be_loaded_is_refused_and_nothing_is_touched(
    programs: Programs,
    load: Load,
    target: str,
    released: tuple[str, Path],
    changes: dict[str, str],
    code: int,
    error: str,
) -> None:
    if (user := changes.get("DB_USER")) is not None:
        passwords = {
            "postgres": psycopg.conninfo.conninfo_to_dict(programs.cluster.dsn())["password"],
            **programs.passwords,
        }
        changes = {**changes, "DB_CREDENTIALS": json.dumps({"username": user, "password": passwords[user]})}
    run = load(**changes)
    told = error.replace("{rules}", rules_digest(released[1])[:12]).replace("{port}", str(programs.cluster.port))
    assert (run.code, run.error) == (code, told)
    assert _databases(programs, target) == []


@pytest.fixture
def changed_release(programs: Programs, released: tuple[str, Path], name: str) -> Release:
    """Copies the clean dump with its manifest and files changed, as if it had been released so."""

    def copy(change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> str:
        bucket = programs.bucket(f"{name}-clean")
        clean = CleanDump.read(programs, released[0])
        manifest, objects = clean.manifest, dict(clean.objects)
        del objects["manifest.json"]
        change(manifest, objects)
        versions = {
            file: programs.s3.put_object(Bucket=bucket, Key=f"{PREFIX}/{file}", Body=body)["VersionId"]
            for file, body in objects.items()
        }
        for file in manifest["files"]:
            file["version_id"] = versions.get(file["name"], "")
        programs.s3.put_object(Bucket=bucket, Key=f"{PREFIX}/manifest.json", Body=json.dumps(manifest))
        return bucket

    return copy


def _file(manifest: dict[str, Any], table: str) -> dict[str, Any]:
    (file,) = [file for file in manifest["files"] if file["table"] == table]
    return dict(file)


def test_another_number_of_rows_than_the_manifest_s_is_not_swapped_in(
    programs: Programs, load: Load, live: str, changed_release: Release
) -> None:
    def change(manifest: dict[str, Any], objects: dict[str, bytes]) -> None:
        file = next(file for file in manifest["files"] if file["table"] == "public.nothing")
        body = gzip.compress(b"\n\n\n\\.\n\n\n")
        objects[file["name"]] = body
        file.update(bytes=len(body), sha256=hashlib.sha256(body).hexdigest())

    bucket = changed_release(change)
    run = load(LOAD_BUCKET=bucket)
    assert run.code == 65
    assert "has 3 rows and its manifest says 2" in run.error
    assert (_databases(programs, live), _tables(programs, live)) == ([live], {"public.before": 0})


CHANGED: dict[str, tuple[Callable[[dict[str, Any], dict[str, bytes]], None], int, str]] = {
    "a proof that did not pass": (
        lambda manifest, _: manifest["proof"].update(result="failed"),
        77,
        "dev/nightly/etl-dump has no proof that personal data is gone",
    ),
    "no proof": (
        lambda manifest, _: manifest.update(proof={}),
        77,
        "dev/nightly/etl-dump has no proof that personal data is gone",
    ),
    "no schema": (lambda manifest, _: manifest.update(schema=9), 65, "has schema 9; this program reads 1"),
    "another dump's manifest": (lambda manifest, _: manifest.update(environment="sbx"), 65, "names another dump"),
    "a changed file": (
        lambda manifest, objects: objects.update({_file(manifest, "public.users")["name"]: b"x"}),
        65,
        "is not what its manifest says: its SHA-256 differs",
    ),
    "a file whose name leads elsewhere": (
        lambda manifest, _: manifest["files"][0].update(name="../../evil.dat"),
        65,
        "is not of schema 1",
    ),
    "a file that is gone": (
        lambda manifest, objects: objects.pop(_file(manifest, "public.users")["name"]),
        69,
        "AWS refused GetObject: NoSuchKey",
    ),
    "a newer pg_dump's": (
        lambda manifest, _: manifest.update(client_version="99.1"),
        78,
        "is older than the server: use an image of 99 or later",
    ),
}


@pytest.mark.parametrize(("change", "code", "error"), CHANGED.values(), ids=CHANGED.keys())
def test_a_release_that_is_not_what_it_should_be_leaves_the_live_database_as_it_was(
    programs: Programs,
    load: Load,
    live: str,
    changed_release: Release,
    change: Callable[[dict[str, Any], dict[str, bytes]], None],
    code: int,
    error: str,
) -> None:
    bucket = changed_release(change)
    run = load(LOAD_BUCKET=bucket)
    assert run.code == code, run.text
    assert error in run.error
    assert (_databases(programs, live), _tables(programs, live)) == ([live], {"public.before": 0})


@pytest.fixture
def post_load(tmp_path: Path) -> Path:
    directory = tmp_path / "post-load"
    directory.mkdir()
    return directory


def test_post_load_scripts_run_before_anyone_sees_the_database(
    programs: Programs, load: Load, live: str, post_load: Path
) -> None:
    (post_load / "10.sql").write_text("GRANT SELECT ON users TO pg_monitor;\nCREATE TABLE mine (id integer);\n")
    (post_load / "20.sql").write_text("INSERT INTO mine VALUES (1);\n")
    (post_load / "README.md").write_text("not run")
    assert load(POST_LOAD_DIRECTORY=str(post_load)).code == 0
    assert programs.query(live, "SELECT * FROM mine") == [(1,)]
    assert programs.query(live, "SELECT has_table_privilege('pg_monitor', 'users', 'SELECT')") == [(True,)]


def test_a_post_load_script_that_fails_leaves_the_live_database_as_it_was(
    programs: Programs, load: Load, live: str, post_load: Path
) -> None:
    (post_load / "10.sql").write_text("SELECT 1;\nGRANT SELECT ON userz TO pg_monitor;\n")
    run = load(POST_LOAD_DIRECTORY=str(post_load))
    assert (run.code, run.error) == (65, 'post-load script stopped: 10.sql:2: relation "userz" does not exist')
    assert (_databases(programs, live), _tables(programs, live)) == ([live], {"public.before": 0})


def test_of_two_loads_at_once_the_second_is_sent_away(
    programs: Programs, load: Load, live: str, released: tuple[str, Path], post_load: Path
) -> None:
    bucket, rules = released
    (post_load / "10.sql").write_text("SELECT pg_sleep(60);\n")
    slow = {"POST_LOAD_DIRECTORY": str(post_load)}
    first = programs.start("pg_restore", programs.load_environment("load-1", "nightly", bucket, live, rules, **slow))
    waiting = f"SELECT 1 FROM pg_stat_activity WHERE datname LIKE '{live}_load_%' AND wait_event = 'PgSleep'"
    wait_until(lambda: bool(programs.query("postgres", waiting)))
    process = programs.start("pg_restore", programs.load_environment("load-2", "nightly", bucket, live, rules))
    text, _ = process.communicate(timeout=60)
    second = Run(process.returncode, text)
    assert (second.code, second.error) == (75, f"another load into {live} is running; wait for it")
    run = programs.terminated(first, lambda: True)
    assert (run.code, run.error) == (143, "stopped by SIGTERM; nothing was released, run it again")
    assert (_databases(programs, live), _tables(programs, live)) == ([live], {"public.before": 0})
    assert load("load-3").code == 0


def test_sigterm_during_the_swap_leaves_the_live_database_open(
    programs: Programs, live: str, released: tuple[str, Path]
) -> None:
    """While the swap waits for sessions to end, nobody can connect; that must not last."""
    bucket, rules = released
    role = f"app_{live}"
    password = programs.cluster.create_role(role, "NOSUPERUSER")
    programs.query("postgres", f"GRANT pg_signal_backend TO {LOAD_ROLE}")
    closed = f"SELECT 1 FROM pg_database WHERE datname = '{live}' AND NOT datallowconn"
    with psycopg.connect(programs.cluster.dsn(role, password, live), autocommit=True) as session:
        # A backend that is held cannot end, however often it is told to.
        backend = session.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        try:
            process = programs.start("pg_restore", programs.load_environment("load-1", "nightly", bucket, live, rules))
            wait_until(lambda: bool(programs.query("postgres", closed)))
            process.terminate()
            wait_until(lambda: not programs.query("postgres", closed))
        finally:
            os.kill(backend, signal.SIGCONT)
        run = programs.ended(process)
    assert run.code == 143, run.text
    assert programs.query("postgres", closed) == []
    assert (_databases(programs, live), _tables(programs, live)) == ([live], {"public.before": 0})


def test_what_broken_loads_left_is_dropped_and_the_previous_one_kept_for_its_time(
    programs: Programs, load: Load, live: str
) -> None:
    left = f"{live}_load_0123456789ab"
    programs.query("postgres", f"CREATE DATABASE {left} OWNER {LOAD_ROLE}")
    programs.query("postgres", f"CREATE DATABASE {live}_load_other OWNER {LOAD_ROLE}")
    assert load("load-1").code == 0
    (first,) = [name for name in _databases(programs, live) if "_old_" in name]
    assert load("load-2").code == 0
    assert {name for name in _databases(programs, live) if "_old_" in name} > {first}
    assert (left in _databases(programs, live), f"{live}_load_other" in _databases(programs, live)) == (False, True)
    assert load("load-3", KEEP_PREVIOUS_HOURS="0").code == 0
    assert first not in _databases(programs, live)
    assert len([name for name in _databases(programs, live) if "_old_" in name]) == 1


def test_the_previous_database_is_kept_whatever_the_live_one_is_called(
    programs: Programs, released: tuple[str, Path], name: str
) -> None:
    bucket, rules = released
    live = f"{name}_load_data"
    try:
        for number in (1, 2, 3):
            environment = programs.load_environment(f"load-{number}", "nightly", bucket, live, rules)
            assert programs.run("pg_restore", environment).code == 0
        assert len([found for found in _databases(programs, live) if "_old_" in found]) == 2
    finally:
        for database in _databases(programs, live):
            programs.query("postgres", f'DROP DATABASE "{database}" WITH (FORCE)')


def test_a_target_whose_server_goes_away_is_transient(
    programs: Programs, live: str, released: tuple[str, Path], post_load: Path
) -> None:
    bucket, rules = released
    (post_load / "10.sql").write_text("SELECT pg_sleep(60);\n")
    environment = programs.load_environment(
        "load-1", "nightly", bucket, live, rules, POST_LOAD_DIRECTORY=str(post_load)
    )
    process = programs.start("pg_restore", environment)
    theirs = f"FROM pg_stat_activity WHERE usename = '{LOAD_ROLE}'"
    wait_until(lambda: bool(programs.query("postgres", f"SELECT 1 {theirs} AND wait_event = 'PgSleep'")))
    programs.query("postgres", f"SELECT pg_terminate_backend(pid) {theirs}")
    run = programs.ended(process)
    assert run.code == 75, run.text
    assert _tables(programs, live) == {"public.before": 0}


@pytest.mark.usefixtures("live")
def test_limits_that_a_role_has_do_not_end_its_load(programs: Programs, load: Load) -> None:
    for limit in ("idle_session_timeout", "statement_timeout"):
        programs.query("postgres", f"ALTER ROLE {LOAD_ROLE} IN DATABASE postgres SET {limit} = '200ms'")
    try:
        run = load()
    finally:
        programs.query("postgres", f"ALTER ROLE {LOAD_ROLE} IN DATABASE postgres RESET ALL")
    assert run.code == 0, run.text
