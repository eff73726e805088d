"""Extract, failed at every point: nothing is released that is not whole, and running it again completes it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.containers.end_to_end.programs import DUMP_ROLE, Programs, Run, wait_until
from tests.faults.faulty_program import KILLED, Case, FaultyProgram, Point, cases, in_rows, try_all
from tests.faults.released import content, manifest

pytestmark = pytest.mark.faults

CANARIES = ("ada.canary", "canary-object")
TABLES = {"public.users": 20, "public.orders": 0}


@pytest.fixture
def tiny(programs: Programs, name: str) -> Iterator[str]:
    """A database with one of each kind of file."""
    programs.cluster.create_database(name, "postgres")
    programs.query(name, "CREATE TABLE users (id integer, email text); CREATE TABLE orders (id integer)")
    programs.query(
        name, "INSERT INTO users SELECT n, 'ada.canary' || n || '@example.com' FROM generate_series(1, 20) n"
    )
    programs.query(
        name, f"SELECT lo_from_bytea(4711, 'canary-object'); GRANT SELECT ON LARGE OBJECT 4711 TO {DUMP_ROLE}"
    )
    yield name
    programs.cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def _state_of(programs: Programs, database: str) -> list[tuple[Any, ...]]:
    """All rows and objects of a source, in a digest each."""
    catalog = "SELECT relname, relkind, relfilenode, relacl::text FROM pg_class ORDER BY relname, oid"
    rows = [
        programs.query(database, f"SELECT '{table}', md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {table} AS t")
        for table in TABLES
    ]
    return [*programs.query(database, catalog), *(row for found in rows for row in found)]


def _faults(point: Point) -> list[str]:
    """All but one: an S3 that cannot be reached is the same at every call, so it is tried at the first."""
    return [fault for fault in point.faults if fault != "unreachable" or "GetObject" in point.effect]


def _whole(programs: Programs, bucket: str) -> bool:
    """Whether there is a dump; each file that its manifest names is there then, to the byte."""
    found = manifest(programs, bucket)
    if found is None:
        return False
    for file in found["files"]:
        assert hashlib.sha256(content(programs, bucket, file)).hexdigest() == file["sha256"], file["name"]
    assert {file["table"]: file["rows"] for file in found["files"] if file["table"]} == TABLES
    return True


def _manifests(programs: Programs, bucket: str) -> int:
    versions = programs.s3.list_object_versions(Bucket=bucket).get("Versions", [])
    return sum(version["Key"].endswith("manifest.json") for version in versions)  # type: ignore[typeddict-item]


def test_an_extract_that_fails_anywhere_releases_nothing_and_completes_when_run_again(
    programs: Programs, tiny: str, disks: Path
) -> None:
    before = _state_of(programs, tiny)
    with FaultyProgram("pg_dump", disks) as extract:
        points, run = extract.recorded(programs.extract_environment("nightly", tiny, programs.bucket("points")))
        assert run.code == 0, run.text

        numbers = count()

        def place() -> tuple[str, dict[str, str]]:
            bucket = programs.bucket(f"points-{next(numbers)}")
            return bucket, programs.extract_environment("nightly", tiny, bucket)

        def tells_nothing(run: Run) -> bool:
            return not any(secret in run.text for secret in (*CANARIES, programs.passwords[DUMP_ROLE]))

        def again(bucket: str, environment: dict[str, str]) -> None:
            run = extract.run(environment)
            assert tells_nothing(run)
            assert (run.code, _whole(programs, bucket), _manifests(programs, bucket)) == (0, True, 1), run.text

        def tried(attempts: Sequence[Case]) -> None:
            """Fail a few times into one bucket, as the attempts of one execution may, and succeed then."""
            bucket, environment = place()
            for case in attempts:
                failed = extract.failed(environment, case)
                assert failed.code in case.codes, (str(case), failed.code, failed.text)
                assert failed.code in (KILLED, 0) or failed.event("failed")["exit_code"] == failed.code
                assert tells_nothing(failed), str(case)
                assert failed.code == KILLED or "Uploads" not in programs.s3.list_multipart_uploads(Bucket=bucket)
                whole = _whole(programs, bucket)
                assert whole or failed.code != 0, str(case)
                if whole:
                    assert "nothing was released" not in failed.text, str(case)
                    again(bucket, environment)
                    bucket, environment = place()
            again(bucket, environment)

        try_all(in_rows(cases(points, _faults), 6), tried)
    sessions = f"SELECT 1 FROM pg_stat_activity WHERE usename = '{DUMP_ROLE}'"
    wait_until(lambda: not programs.query("postgres", sessions))
    assert _state_of(programs, tiny) == before


def test_an_upload_in_parts_that_fails_anywhere_leaves_no_part_and_completes_when_run_again(
    programs: Programs, tiny: str, disks: Path
) -> None:
    """A table of more than a part's bytes; the points are those of its upload alone."""
    programs.query(tiny, "INSERT INTO orders SELECT n FROM generate_series(1, 2500000) AS n")
    plain = {"DUMP_COMPRESSION": "none"}
    with FaultyProgram("pg_dump", disks) as extract:
        points, run = extract.recorded(programs.extract_environment("nightly", tiny, programs.bucket("parts"), **plain))
        assert run.code == 0, run.text

        def tried(case: Case) -> None:
            bucket = programs.bucket(f"parts-{hashlib.sha256(str(case).encode()).hexdigest()[:20]}")
            environment = programs.extract_environment("nightly", tiny, bucket, **plain)
            failed = extract.failed(environment, case)
            assert failed.code in case.codes, (failed.code, failed.text)
            uploads = programs.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
            # What a killed one leaves is the lifecycle rule's, as is one that it was never told of.
            assert uploads == [] or case.fault == "kill" or case.point.effect.startswith("s3 Create")
            assert _manifests(programs, bucket) == (failed.code == 0)
            assert (extract.run(environment).code, _manifests(programs, bucket)) == (0, 1)

        ways = {"kill", "terminate", "server-error", "answer-lost"}
        parts = [
            case
            for case in cases(points, lambda point: ways.intersection(point.faults))
            if "Part" in case.point.effect or "Multipart" in case.point.effect
        ]
        assert {case.point.kind for case in parts} == {
            f"s3 {step} #.dat{part}: {when}"
            for step, part in {
                "CreateMultipartUpload": "",
                "UploadPart": " part #",
                "CompleteMultipartUpload": "",
            }.items()
            for when in ("before", "after")
        }
        try_all(parts, tried)
