"""Transform, failed at every kind of point: nothing is released that is not whole, and the next run is as the first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.containers.end_to_end.programs import DUMP_ROLE, Programs
from tests.faults.faulty_program import KILLED, Case, FaultyProgram, Point, try_all

pytestmark = pytest.mark.faults

PREFIX = "dev/nightly/etl-dump"
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
    """Every way to fail where objects are written and children run; by turns the ways of each other kind of point.

    A statement of the scratch is followed by another, or by what has points of its own: it is failed before alone.
    """
    first = {_kind(point): point for point in reversed(points)}
    chosen: list[Case] = []
    for turn, (kind, point) in enumerate(first.items()):
        if kind.startswith("sql "):
            faults = ("connection-lost",) if kind.endswith(": before") else ()
        elif kind.startswith("child ") and not kind.endswith(" before"):
            # A SIGTERM in the very start of initdb finds no child to end yet; that one ends with the container.
            ends = kind.endswith(" started") and "initdb" not in kind
            faults = ("terminate",) if ends else ("kill",)
        elif kind.startswith(("s# PutObject ", "s3 CopyObject ", "child ")):
            faults = point.faults
        else:
            faults = (point.faults[turn % len(point.faults)],)
        chosen += [Case(point, fault) for fault in faults]
    # The last of the statements and of the files, when the most is on the disk.
    last = {_kind(point): point for point in points}
    late = [last["sql commit: after"], last["s# GetObject #.dat.gz: before"], last["file open #.dat.gz: before"]]
    return chosen + [Case(point, fault) for point in late for fault in ("kill", "terminate")]


def _release(programs: Programs, bucket: str) -> dict[str, Any] | None:
    """What a manifest says that depends on nothing but dump and rules, once every file has been held against it."""
    objects = programs.objects(bucket)
    if f"{PREFIX}/manifest.json" not in objects:
        return None
    manifest: dict[str, Any] = json.loads(objects[f"{PREFIX}/manifest.json"])
    for file in manifest["files"]:
        key, version = f"{PREFIX}/{file['name']}", file.pop("version_id")
        stored = programs.s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read()
        file["content"] = stored
    for when in ("cleaning_started_at", "cleaning_finished_at"):
        del manifest[when]
    return manifest


def test_a_transform_that_fails_anywhere_releases_nothing_and_gives_the_same_dump_when_run_again(
    programs: Programs, tiny_dump: tuple[str, Path], disks: Path, name: str
) -> None:
    raw, rules = tiny_dump
    numbers = count()

    def environment() -> tuple[str, dict[str, str]]:
        bucket = programs.bucket(f"{name}-{next(numbers)}")
        return bucket, programs.transform_environment("nightly", raw, bucket, rules)

    with FaultyProgram("transform", disks) as transform:
        bucket, undisturbed = environment()
        points, run = transform.recorded(undisturbed)
        assert run.code == 0, run.text
        whole = _release(programs, bucket)
        assert whole is not None

        def tried(attempts: Sequence[Case]) -> None:
            """Fail a few times into one bucket, as the pods of one Job may, and succeed then."""
            bucket, place = environment()
            for case in attempts:
                failed = transform.failed(place, case)
                codes = case.codes | {0} if case.point.effect.startswith(_NOTHING_LOST) else case.codes
                assert failed.code in codes, (str(case), failed.code, failed.text)
                assert failed.code in (KILLED, 0) or failed.event("failed")["exit_code"] == failed.code
                assert [secret for secret in CANARIES if secret in failed.text] == [], str(case)
                release = _release(programs, bucket)
                assert release == whole or (release is None and failed.code != 0), str(case)
                if release is not None:
                    bucket, place = environment()
            again = transform.run(place)
            assert (again.code, _release(programs, bucket)) == (0, whole), again.text

        all_cases = _cases(points)
        try_all([all_cases[first :: len(all_cases) // 8] for first in range(len(all_cases) // 8)], tried)
