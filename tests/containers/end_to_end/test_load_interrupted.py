"""Load: what happens around it: scripts of the target's own, other loads, and ends before its end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.containers.end_to_end.live_database import databases, tables
from tests.containers.end_to_end.programs import LOAD_ROLE, Programs, Run, wait_until

pytestmark = pytest.mark.end_to_end

PREFIX = "dev/nightly/etl-dump"
Load = Callable[..., Run]
Release = Callable[[Callable[[dict[str, Any], dict[str, bytes]], None]], str]


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
    assert (databases(programs, live), tables(programs, live)) == ([live], {"public.before": 0})


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
    assert (databases(programs, live), tables(programs, live)) == ([live], {"public.before": 0})
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
    assert (databases(programs, live), tables(programs, live)) == ([live], {"public.before": 0})


def test_what_broken_loads_left_is_dropped_and_the_previous_one_kept_for_its_time(
    programs: Programs, load: Load, live: str
) -> None:
    left = f"{live}_load_0123456789ab"
    programs.query("postgres", f"CREATE DATABASE {left} OWNER {LOAD_ROLE}")
    programs.query("postgres", f"CREATE DATABASE {live}_load_other OWNER {LOAD_ROLE}")
    assert load("load-1").code == 0
    (first,) = [name for name in databases(programs, live) if "_old_" in name]
    assert load("load-2").code == 0
    assert {name for name in databases(programs, live) if "_old_" in name} > {first}
    assert (left in databases(programs, live), f"{live}_load_other" in databases(programs, live)) == (False, True)
    assert load("load-3", KEEP_PREVIOUS_HOURS="0").code == 0
    assert first not in databases(programs, live)
    assert len([name for name in databases(programs, live) if "_old_" in name]) == 1


def test_the_previous_database_is_kept_whatever_the_live_one_is_called(
    programs: Programs, released: tuple[str, Path], name: str
) -> None:
    bucket, rules = released
    live = f"{name}_load_data"
    try:
        for number in (1, 2, 3):
            environment = programs.load_environment(f"load-{number}", "nightly", bucket, live, rules)
            assert programs.run("pg_restore", environment).code == 0
        assert len([found for found in databases(programs, live) if "_old_" in found]) == 2
    finally:
        for database in databases(programs, live):
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
    assert tables(programs, live) == {"public.before": 0}


@pytest.mark.usefixtures("live")
def test_limits_that_a_role_has_do_not_end_its_load(programs: Programs, load: Load, post_load: Path) -> None:
    """The connection that holds the lock is idle for as long as everything else takes."""
    (post_load / "10.sql").write_text("SELECT pg_sleep(1);\n")
    for limit in ("idle_session_timeout", "statement_timeout"):
        programs.query("postgres", f"ALTER ROLE {LOAD_ROLE} IN DATABASE postgres SET {limit} = '200ms'")
    try:
        run = load(POST_LOAD_DIRECTORY=str(post_load))
    finally:
        programs.query("postgres", f"ALTER ROLE {LOAD_ROLE} IN DATABASE postgres RESET ALL")
    assert run.code == 0, run.text
