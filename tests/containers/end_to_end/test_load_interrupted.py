"""Load: what happens around it: scripts of the target's own, other loads, and ends before its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
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


def post_load(**scripts: str) -> dict[str, str]:
    """The variable that carries scripts, by their names without `.sql`."""
    return {"POST_LOAD_SCRIPTS": json.dumps({f"{name.removeprefix('s')}.sql": text for name, text in scripts.items()})}


@dataclass(frozen=True)
class HeldSwap:
    """A load's process, and the backend that holds it up."""

    process: subprocess.Popen[str]
    backend: int
    is_renaming: Callable[[], bool]

    def let_go(self) -> None:
        os.kill(self.backend, signal.SIGCONT)


SLEEPS = post_load(s10="SELECT pg_sleep(60);\n")


def test_post_load_scripts_run_before_anyone_sees_the_database(programs: Programs, load: Load, live: str) -> None:
    run = load(
        **post_load(
            s20="INSERT INTO mine VALUES (1);\n",
            s10="GRANT SELECT ON users TO pg_monitor;\nCREATE TABLE mine (id integer);\n",
        )
    )
    assert run.code == 0, run.text
    assert programs.query(live, "SELECT * FROM mine") == [(1,)]
    assert programs.query(live, "SELECT has_table_privilege('pg_monitor', 'users', 'SELECT')") == [(True,)]


STOPPED = {
    "a name that is not there": (
        "SELECT 1;\nGRANT SELECT ON userz TO pg_monitor;\n",
        '10.sql: relation "userz" does not exist',
    ),
    "a command of psql's": ("SELECT 1;\n\\! id\n", '10.sql:2: syntax error at or near "\\"'),
    "data for COPY": ("COPY users (email) FROM stdin;\n", "10.sql: COPY has no data here; write INSERT"),
    "its own transaction": ("COMMIT;\nBEGIN;\n", "10.sql ends the transaction in which all of them run"),
    "what no transaction takes": ("VACUUM users;\n", "10.sql: active sql transaction (25001)"),
    "a value in an error": ("SELECT 'ada.canary'::integer;\n", "10.sql:1: invalid text representation (22P02)"),
}


@pytest.mark.parametrize(("script", "error"), STOPPED.values(), ids=STOPPED.keys())
def test_a_post_load_script_that_fails_leaves_the_live_database_as_it_was(
    programs: Programs, load: Load, live: str, script: str, error: str
) -> None:
    run = load(**post_load(s10=script))
    assert (run.code, run.error) == (65, f"post-load script stopped: {error}")
    assert (databases(programs, live), tables(programs, live)) == ([live], {"public.before": 0})


def test_of_two_loads_at_once_the_second_is_sent_away(
    programs: Programs, load: Load, live: str, released: tuple[str, Path]
) -> None:
    bucket, rules = released
    first = programs.start("pg_restore", programs.load_environment("load-1", "nightly", bucket, live, rules, **SLEEPS))
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


@pytest.fixture
def held_swap(programs: Programs, live: str, released: tuple[str, Path]) -> Iterator[HeldSwap]:
    """A load at its rename, which waits for a session that does not end however often it is told to."""
    bucket, rules = released
    role = f"app_{live}"
    password = programs.cluster.create_role(role, "NOSUPERUSER")
    programs.query("postgres", f"GRANT pg_signal_backend TO {LOAD_ROLE}")
    # To make or drop a database, the server waits for every session; so this one is held in between.
    slow = post_load(s10="SELECT pg_sleep(1);\n")
    session = psycopg.connect(programs.cluster.dsn(role, password, live), autocommit=True)
    process = programs.start("pg_restore", programs.load_environment("load-1", "nightly", bucket, live, rules, **slow))
    active = f"SELECT 1 FROM pg_stat_activity WHERE usename = '{LOAD_ROLE}' AND state = 'active'"
    wait_until(lambda: bool(programs.query("postgres", f"{active} AND wait_event = 'PgSleep'")))
    backend = session.info.backend_pid
    os.kill(backend, signal.SIGSTOP)
    try:
        renaming = f"{active} AND query LIKE 'ALTER DATABASE %RENAME%'"
        wait_until(lambda: bool(programs.query("postgres", renaming)))
        yield HeldSwap(process, backend, lambda: bool(programs.query("postgres", renaming)))
    finally:
        with suppress(ProcessLookupError):
            os.kill(backend, signal.SIGCONT)
        session.close()
    with psycopg.connect(programs.cluster.dsn(role, password, live), autocommit=True) as session:
        assert session.execute("SELECT current_database()").fetchone() == (live,)
    assert (databases(programs, live), tables(programs, live)) == ([live], {"public.before": 0})


def test_sigterm_during_the_swap_leaves_the_live_database_as_it_was(programs: Programs, held_swap: HeldSwap) -> None:
    held_swap.process.terminate()
    held_swap.let_go()
    run = programs.ended(held_swap.process)
    assert run.code == 143, run.text


def test_a_session_that_does_not_end_in_time_keeps_the_live_database_where_it_is(
    programs: Programs, held_swap: HeldSwap, live: str
) -> None:
    wait_until(lambda: not held_swap.is_renaming())
    held_swap.let_go()
    run = programs.ended(held_swap.process)
    told = f'swap refused, {live} is as it was: database "{live}" is being accessed by other users'
    assert (run.code, run.error) == (69, told)


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
    # The time is not over, but two is the most that are kept by default.
    assert load("load-3").code == 0
    kept = [name for name in databases(programs, live) if "_old_" in name]
    assert (len(kept), first in kept) == (2, False)
    assert load("load-4", KEEP_PREVIOUS_HOURS="0").code == 0
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
    programs: Programs, live: str, released: tuple[str, Path]
) -> None:
    bucket, rules = released
    environment = programs.load_environment("load-1", "nightly", bucket, live, rules, **SLEEPS)
    process = programs.start("pg_restore", environment)
    theirs = f"FROM pg_stat_activity WHERE usename = '{LOAD_ROLE}'"
    wait_until(lambda: bool(programs.query("postgres", f"SELECT 1 {theirs} AND wait_event = 'PgSleep'")))
    programs.query("postgres", f"SELECT pg_terminate_backend(pid) {theirs}")
    run = programs.ended(process)
    assert run.code == 75, run.text
    assert tables(programs, live) == {"public.before": 0}


@pytest.mark.usefixtures("live")
def test_limits_that_a_role_has_do_not_end_its_load(programs: Programs, load: Load) -> None:
    """The connection that holds the lock is idle for as long as everything else takes."""
    for limit in ("idle_session_timeout", "statement_timeout"):
        programs.query("postgres", f"ALTER ROLE {LOAD_ROLE} IN DATABASE postgres SET {limit} = '200ms'")
    try:
        run = load(**post_load(s10="SELECT pg_sleep(1);\n"))
    finally:
        programs.query("postgres", f"ALTER ROLE {LOAD_ROLE} IN DATABASE postgres RESET ALL")
    assert run.code == 0, run.text
