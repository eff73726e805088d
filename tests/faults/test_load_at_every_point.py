"""Load, failed at every point: the target is old or new, and running it again completes it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest

from tests.containers.end_to_end.live_database import comment, databases, tables
from tests.containers.end_to_end.programs import LOAD_ROLE, Programs
from tests.faults.faulty_program import KILLED, Case, FaultyProgram, Point, cases, in_rows, try_all
from tests.faults.live_targets import OLD, codes, faults_before, target

pytestmark = pytest.mark.faults

CANARIES = ("ada.canary", "canary-object")
NEW = {"public.users": 20, "public.orders": 0, "public.mine": 0}
RULES = """
version: 1
tables:
  public.users:
    columns: {id: keep, email: scrub.email(email)}
  public.orders: {keep: all, reason: "a test's"}
elsewhere: {defaults: keep, sequences: {decision: keep, reason: "a test's"}}
"""
SCRIPTS = '{"10.sql": "CREATE TABLE mine (id integer);"}'
_HALF_MADE = Case(Point('sql ALTER DATABASE "?" RENAME TO "?": before', 0), "kill")
"""A load that is killed so leaves a database that the next one drops."""


@pytest.fixture
def tiny_release(programs: Programs, name: str, tmp_path: Path) -> tuple[str, Path]:
    """A clean dump of two tables, in a bucket of its own, and its rules."""
    (tmp_path / "columns.yaml").write_text(RULES)
    programs.cluster.create_database(name, "postgres")
    programs.query(
        name,
        "CREATE TABLE users (id integer PRIMARY KEY, email text); CREATE TABLE orders (id serial PRIMARY KEY);"
        " INSERT INTO users SELECT n, 'ada.canary' || n || '@example.com' FROM generate_series(1, 20) n",
    )
    raw, clean = programs.bucket(f"{name}-raw"), programs.bucket(f"{name}-clean")
    for program, environment in (
        ("pg_dump", programs.extract_environment("nightly", name, raw)),
        ("transform", programs.transform_environment("nightly", raw, clean, tmp_path)),
    ):
        run = programs.run(program, environment)
        assert run.code == 0, run.text
    programs.cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
    return clean, tmp_path


def test_a_load_that_fails_anywhere_leaves_the_old_database_or_the_new_one_and_completes_when_run_again(
    programs: Programs, tiny_release: tuple[str, Path], targets: str, disks: Path
) -> None:
    bucket, rules = tiny_release
    numbers = count()

    def place() -> tuple[str, dict[str, str]]:
        live = target(programs, targets, str(next(numbers)))
        more = {"POST_LOAD_SCRIPTS": SCRIPTS, "RESTORE_JOBS": "1"}
        return live, programs.load_environment("load-1", "nightly", bucket, live, rules, **more)

    with FaultyProgram("pg_restore", disks) as load:

        def again(live: str, environment: dict[str, str]) -> None:
            """Complete it, and see that it was done once."""
            run = load.run(environment)
            assert run.code == 0, run.text
            new, old = databases(programs, live)
            assert (tables(programs, new), tables(programs, old)) == (NEW, OLD)
            (mark,) = comment(programs, new).values()
            assert mark["execution_id"] == environment["EXECUTION_ID"]
            for database in (new, old):
                programs.query("postgres", f'DROP DATABASE "{database}" WITH (FORCE)')

        _, undisturbed = place()
        points, run = load.recorded(undisturbed)
        assert run.code == 0, run.text
        live, half_made = place()
        assert (load.failed(half_made, _HALF_MADE).code, len(databases(programs, live))) == (KILLED, 2)
        after_another, run = load.recorded(half_made)
        assert run.code == 0, run.text

        def tried(attempts: Sequence[Case]) -> None:
            """Fail a few times at one target, as the attempts of one execution may, and succeed then."""
            live, environment = place()
            for case in attempts:
                failed = load.failed(environment, case)
                assert failed.code in codes(case), (str(case), failed.code, failed.text)
                assert failed.code in (KILLED, 0) or failed.event("failed")["exit_code"] == failed.code
                said = [*CANARIES, programs.passwords[LOAD_ROLE]]
                assert [secret for secret in said if secret in failed.text] == [], str(case)
                found = tables(programs, live)
                assert found in ((OLD, NEW) if failed.code != 0 else (NEW,)), (str(case), found)
                if found == NEW:
                    assert "nothing was released" not in failed.text, str(case)
                    again(live, environment)
                    live, environment = place()
            again(live, environment)

        known = {point.kind for point in points}
        of_dropping = [point for point in after_another if point.kind not in known]
        assert [point.kind for point in of_dropping] == [
            'sql DROP DATABASE IF EXISTS "?" WITH (FORCE): before',
            'sql DROP DATABASE IF EXISTS "?" WITH (FORCE): after',
        ]
        dropped = [[_HALF_MADE, case] for case in cases(of_dropping, faults_before)]
        try_all([*dropped, *in_rows(cases(points, faults_before), 4)], tried)
