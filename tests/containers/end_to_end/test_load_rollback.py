"""Rollback: the database that a load replaced is put back, by the load's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.containers.end_to_end.live_database import comment, databases, superuser_session, tables
from tests.containers.end_to_end.programs import LOAD_ROLE, Programs, Run
from tests.containers.end_to_end.source_database import CANARIES

pytestmark = pytest.mark.end_to_end

Load = Callable[..., Run]
BEFORE = {"public.before": 0}


@pytest.fixture
def rollback(programs: Programs, released: tuple[str, Path], target: str) -> Load:
    """Undoes a load into the test's own database."""
    bucket, rules = released

    def run(load: str, execution: str = "back-1", **changes: str) -> Run:
        environment = programs.load_environment(execution, "nightly", bucket, target, rules)
        del environment["LOAD_FILENAME"]
        ended = programs.run("pg_restore", environment | {"ROLLBACK": load} | changes)
        assert [canary for canary in CANARIES if canary in ended.text] == []
        assert programs.passwords[LOAD_ROLE] not in ended.text
        return ended

    return run


def test_a_rollback_puts_back_what_the_load_replaced_once_however_often_it_is_asked(
    programs: Programs, load: Load, live: str, rollback: Load
) -> None:
    programs.query("postgres", f"ALTER DATABASE {live} SET statement_timeout = '7s'")
    assert load().code == 0
    run = rollback("load-1")
    assert (run.code, run.event("finished")["already_done"]) == (0, False)
    _, out = databases(programs, live)
    assert out.startswith(f"{live}_old_")
    assert (tables(programs, live), "public.users" in tables(programs, out)) == (BEFORE, True)
    with superuser_session(programs, live) as session:
        assert session.execute("SHOW statement_timeout").fetchone() == ("7s",)
    (mark,) = comment(programs, out).values()
    assert set(mark) == {"execution_id", "manifest_sha256", "loaded_at", "replaced_at"}
    again = rollback("load-1", "back-2")
    assert (again.code, again.event("finished")["already_done"]) == (0, True)
    assert tables(programs, live) == BEFORE


def test_a_load_that_was_rolled_back_does_not_come_again_by_itself(
    programs: Programs, load: Load, live: str, rollback: Load
) -> None:
    assert load().code == 0
    assert rollback("load-1").code == 0
    _, out = databases(programs, live)
    run = load()
    told = f"this load was rolled back and is kept as {out}: start another execution"
    assert (run.code, run.error, tables(programs, live)) == (77, told, BEFORE)
    assert load("load-2").code == 0
    assert "public.users" in tables(programs, live)


def test_the_load_before_last_is_undone_only_after_the_last(
    programs: Programs, load: Load, live: str, rollback: Load
) -> None:
    assert load("load-1").code == 0
    assert load("load-2").code == 0
    run = rollback("load-1")
    assert (run.code, run.error) == (77, f"{live} is not what load load-1 brought: nothing is rolled back")
    assert rollback("load-2").code == 0
    # The mark of the load that is live again came back with its database.
    assert load("load-1").event("finished")["already_done"] is True
    assert rollback("load-1").code == 0
    assert tables(programs, live) == BEFORE


def test_what_is_kept_no_more_cannot_be_put_back(programs: Programs, load: Load, live: str, rollback: Load) -> None:
    assert load().code == 0
    _, old = databases(programs, live)
    programs.query("postgres", f"DROP DATABASE {old}")
    run = rollback("load-1")
    assert (run.code, run.error) == (66, "what load load-1 replaced is kept no more: load an earlier dump instead")


def test_nothing_is_rolled_back_in_a_protected_environment(
    programs: Programs, load: Load, live: str, rollback: Load
) -> None:
    assert load().code == 0
    before = databases(programs, live)
    run = rollback("load-1", ENVIRONMENT_NAME="prod")
    assert (run.code, "prod in account" in run.error) == (77, True)
    assert databases(programs, live) == before


def test_sessions_are_ended_by_a_rollback_and_find_the_previous_database_when_they_come_back(
    programs: Programs, load: Load, live: str, rollback: Load
) -> None:
    assert load().code == 0
    role = f"app_{live}"
    password = programs.cluster.create_role(role, "NOSUPERUSER")
    programs.query("postgres", f"GRANT pg_signal_backend TO {LOAD_ROLE}")
    with psycopg.connect(programs.cluster.dsn(role, password, live), autocommit=True) as session:
        run = rollback("load-1")
        assert run.code == 0, run.text
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    with psycopg.connect(programs.cluster.dsn(role, password, live)) as session:
        assert session.execute("SELECT to_regclass('before') IS NOT NULL").fetchone() == (True,)
