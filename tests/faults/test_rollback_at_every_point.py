"""Rollback, failed at every point: the target is old or new, and running it again completes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from etl_runtime.postgres import Access
from etl_runtime.settings.load import RollbackSettings
from etl_runtime.target_database import TargetDatabase

from tests.containers.end_to_end.live_database import databases, tables
from tests.containers.end_to_end.programs import LOAD_ROLE, Programs
from tests.faults.faulty_program import Case, FaultyProgram, cases, try_all
from tests.faults.live_targets import OLD, codes, faults_before, target

pytestmark = pytest.mark.faults

RULES = """
version: 1
tables:
  public.users:
    columns: {id: keep, email: scrub.email(email)}
  public.orders: {keep: all, reason: "a test's"}
elsewhere: {defaults: keep, sequences: {decision: keep, reason: "a test's"}}
"""
LOADED = {"public.users": 0}


def test_a_rollback_that_fails_anywhere_leaves_the_old_database_or_the_new_one_and_completes_when_run_again(
    programs: Programs, targets: str, disks: Path, tmp_path: Path
) -> None:
    (tmp_path / "columns.yaml").write_text(RULES)

    def loaded(case: Case | None) -> tuple[str, dict[str, str]]:
        """A live database as load-1 left it, with the old one beside."""
        live = target(programs, targets, str(case))
        environment = programs.load_environment("back-1", "nightly", "unused", live, tmp_path)
        del environment["LOAD_FILENAME"]
        old = TargetDatabase(
            Access(RollbackSettings.from_env(environment | {"ROLLBACK": "load-1"}).database, ""), "load-1"
        ).old
        programs.query("postgres", f"ALTER DATABASE {live} RENAME TO {old}")
        programs.cluster.create_database(live, LOAD_ROLE)
        programs.query(live, "CREATE TABLE users (id integer)")
        for database, mark in ((live, {"execution_id": "load-1"}), (old, {"replaced_at": "2026-01-02T03:04:05+00:00"})):
            programs.query("postgres", f"COMMENT ON DATABASE {database} IS '{json.dumps({'postgres-etl': mark})}'")
        return live, environment | {"ROLLBACK": "load-1"}

    with FaultyProgram("pg_restore", disks) as program:
        points, run = program.recorded(loaded(None)[1])
        assert run.code == 0, run.text

        def tried(case: Case) -> None:
            live, environment = loaded(case)
            failed = program.failed(environment, case)
            assert failed.code in codes(case), (failed.code, failed.text)
            after = [tables(programs, database) for database in databases(programs, live)]
            assert after in (([OLD, LOADED], [LOADED, OLD]) if failed.code != 0 else ([OLD, LOADED],))
            again = program.run(environment)
            assert again.code == 0, again.text
            assert [tables(programs, database) for database in databases(programs, live)] == [OLD, LOADED]
            for database in databases(programs, live):
                programs.query("postgres", f'DROP DATABASE "{database}" WITH (FORCE)')

        try_all(cases(points, faults_before), tried)
