"""Transform, failed at every kind of point: nothing is released that is not whole, and the next run is as the first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.containers.end_to_end.programs import DUMP_ROLE, Programs
from tests.faults.faulty_program import KILLED, Case, FaultyProgram, Point, in_rows, try_all
from tests.faults.released import content, manifest

pytestmark = pytest.mark.faults

CANARIES = ("ada.canary", "canary-note", "canary-object", "a long and synthetic salt")
RULES = """\
version: 1
tables:
  public.users: {columns: {id: keep, email: scrub.email(email)}}
  public.notes: {columns: {id: keep, text: scripted}}
  public.orders: {keep: all, reason: test}
elsewhere: {sequences: keep, large_objects: keep}
"""
_ALIKE = ("sql -- ", "sql CREATE FUNCTION scrub.", "sql CREATE OR REPLACE FUNCTION scrub.")
"""The statements that make the scrub functions, which differ in their text alone."""
_INITDB = "child initdb "
_NOTHING_LOST = ("sql connect", "sql SET search_path", "sql commit")
"""A first connection is one to a server that may still start, and is tried again; before a session's end each of its
statements is done by itself."""


@pytest.fixture
def tiny_dump(programs: Programs, name: str, tmp_path: Path) -> tuple[str, Path]:
    """A raw dump of a table for each path of a plan, and rules for it."""
    programs.cluster.create_database(name, "postgres")
    programs.query(
        name,
        "CREATE TABLE users (id integer PRIMARY KEY, email text); CREATE TABLE notes (id integer, text text);"
        "CREATE TABLE orders (id integer); CREATE SEQUENCE numbers; INSERT INTO orders VALUES (1);"
        "INSERT INTO users SELECT n, 'ada.canary' || n || '@example.com' FROM generate_series(1, 20) n;"
        "INSERT INTO notes SELECT n, 'canary-note' || n FROM generate_series(1, 20) n",
    )
    programs.query(
        name, f"SELECT lo_from_bytea(4711, 'canary-object'); GRANT SELECT ON LARGE OBJECT 4711 TO {DUMP_ROLE}"
    )
    raw = programs.bucket(f"{name}-raw")
    run = programs.run("pg_dump", programs.extract_environment("nightly", name, raw))
    programs.cluster.execute(f"DROP DATABASE {name}")  # type: ignore[arg-type]
    assert run.code == 0, run.text
    (tmp_path / "columns.yaml").write_text(RULES)
    (tmp_path / "10.sql").write_text("UPDATE public.notes SET text = 'note of ' || id;\n")
    return raw, tmp_path


def _kind(point: Point) -> str:
    """What is one place: statements that differ in their text alone, files of a dump, goes of pg_restore."""
    if point.effect.startswith(_ALIKE):
        return f"sql scrub functions: {point.effect.rpartition(' ')[2]}"
    if point.effect.startswith(("child ", "s3 CopyObject ")):
        return " ".join([*point.effect.split(" ")[:2], point.effect.rpartition(" ")[2]])
    return point.kind


def _cases(points: Sequence[Point]) -> list[Case]:
    """Every way to fail where objects are written and children run; at each other kind of point one, by turns.

    Nothing happens between a statement's end and the next effect, which has a point of its own. The last point of a
    kind is failed too, in another way than the first, where there is more on the disk or in the bucket by then.
    """
    points = [point for point in points if not (point.effect.startswith("sql ") and point.effect.endswith(": after"))]
    first = {_kind(point): point for point in reversed(points)}
    last = {
        _kind(point): point for point in points if point.effect.startswith(("s3 ", "file ", "child ", "sql commit"))
    }
    turns = count()

    def by_turns(point: Point) -> Case:
        return Case(point, point.faults[next(turns) % len(point.faults)])

    chosen: list[Case] = []
    for kind, point in first.items():
        in_every_way = kind.startswith(("s3 PutObject ", "s3 CopyObject ", "child "))
        chosen += [Case(point, fault) for fault in point.faults] if in_every_way else [by_turns(point)]
    return chosen + [by_turns(point) for kind, point in last.items() if point != first[kind]]


def _release(programs: Programs, bucket: str) -> dict[str, Any] | None:
    """What a manifest says that depends on nothing but dump and rules, once every file has been held against it."""
    found = manifest(programs, bucket)
    if found is None:
        return None
    for file in found["files"]:
        file["content"] = content(programs, bucket, file)
        del file["version_id"]
    for when in ("cleaning_started_at", "cleaning_finished_at"):
        del found[when]
    return found


def test_a_transform_that_fails_anywhere_releases_nothing_and_gives_the_same_dump_when_run_again(
    programs: Programs, tiny_dump: tuple[str, Path], disks: Path, name: str, scratch_template: Path
) -> None:
    raw, rules = tiny_dump
    numbers = count()

    def environment() -> tuple[str, dict[str, str]]:
        bucket = programs.bucket(f"{name}-{next(numbers)}")
        # With more workers than one, how many of them have a session differs from run to run.
        settings = {"TRANSFORM_JOBS": "1", "SCRATCH_TEMPLATE": str(scratch_template)}
        return bucket, programs.transform_environment("nightly", raw, bucket, rules, **settings)

    def without_template(place: dict[str, str]) -> dict[str, str]:
        """As where there is no image: initdb is run."""
        return {variable: value for variable, value in place.items() if variable != "SCRATCH_TEMPLATE"}

    with FaultyProgram("transform", disks) as transform:
        bucket, undisturbed = environment()
        points, run = transform.recorded(undisturbed)
        assert run.code == 0, run.text
        whole = _release(programs, bucket)
        assert whole is not None
        bucket, undisturbed = environment()
        of_initdb, run = transform.recorded(without_template(undisturbed))
        assert (run.code, _release(programs, bucket)) == (0, whole), run.text

        def again(bucket: str, place: dict[str, str]) -> None:
            run = transform.run(place)
            assert (run.code, _release(programs, bucket)) == (0, whole), run.text

        def tried(attempts: Sequence[Case]) -> None:
            """Fail a few times into one bucket, as the pods of one Job may, and succeed then."""
            bucket, place = environment()
            for case in attempts:
                initdb = case.point.effect.startswith(_INITDB)
                failed = transform.failed(without_template(place) if initdb else place, case)
                codes = case.codes | {0} if case.point.effect.startswith(_NOTHING_LOST) else case.codes
                assert failed.code in codes, (str(case), failed.code, failed.text)
                assert failed.code in (KILLED, 0) or failed.event("failed")["exit_code"] == failed.code
                assert [secret for secret in CANARIES if secret in failed.text] == [], str(case)
                release = _release(programs, bucket)
                assert release == whole or (release is None and failed.code != 0), str(case)
                if release is not None:
                    assert "nothing was released" not in failed.text, str(case)
                    again(bucket, place)
                    bucket, place = environment()
            again(bucket, place)

        all_cases = _cases([*points, *(point for point in of_initdb if point.effect.startswith(_INITDB))])
        try_all(in_rows(all_cases, 10), tried)
