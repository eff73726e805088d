"""Extract of a source that changes meanwhile: what is dumped is one moment's, or nothing is."""

from __future__ import annotations

import json
from collections.abc import Callable

import psutil
import pytest

from tests.containers.end_to_end.programs import Programs, Run, wait_until

pytestmark = pytest.mark.end_to_end

MANIFEST = "dev/nightly/etl-dump/manifest.json"
Meanwhile = Callable[[str], Run]


@pytest.fixture
def meanwhile(programs: Programs, database: str, bucket: str) -> Meanwhile:
    """Changes the table `later` after the snapshot is taken and before pg_dump has locked it.

    pg_dump locks tables in the order of their making, and waits for `users` here.
    """
    programs.query(database, "CREATE TABLE later AS SELECT 1 AS id")

    def run(change: str) -> Run:
        with programs.session(database) as connection:
            connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            process = programs.start("pg_dump", programs.extract_environment("nightly", database, bucket))
            waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            wait_until(lambda: bool(programs.query(database, waiting)))
            connection.execute(change.encode())
            connection.commit()
        return programs.ended(process)

    return run


@pytest.mark.parametrize("change", ["TRUNCATE later", "ALTER TABLE later ALTER id TYPE bigint"])
def test_a_table_whose_rows_the_snapshot_no_longer_sees_stops_the_dump(
    programs: Programs, meanwhile: Meanwhile, database: str, bucket: str, change: str
) -> None:
    run = meanwhile(change)
    assert (run.code, run.error) == (
        75,
        "later was truncated or rewritten after the snapshot was taken and before it was locked",
    ), run.text
    assert MANIFEST not in programs.objects(bucket)
    assert programs.run("pg_dump", programs.extract_environment("nightly", database, bucket)).code == 0


def test_a_table_that_is_dropped_meanwhile_is_a_passing_fault(meanwhile: Meanwhile) -> None:
    run = meanwhile("DROP TABLE later")
    assert (run.code, run.error) == (
        75,
        'pg_dump failed (1): relation "public.later" does not exist: it was dropped after the snapshot was taken',
    ), run.text


def test_rows_tables_and_columns_that_come_meanwhile_are_not_in_the_dump(
    programs: Programs, meanwhile: Meanwhile, bucket: str
) -> None:
    run = meanwhile(
        "ALTER TABLE later ADD name text; INSERT INTO later VALUES (2, 'x'); CREATE TABLE latest AS SELECT 1"
    )
    assert run.code == 0, run.text
    manifest = json.loads(programs.objects(bucket)[MANIFEST])
    rows = {file["table"]: file["rows"] for file in manifest["files"] if file["table"]}
    assert rows == {"public.users": 1, "public.later": 1}


def test_a_dump_whose_workers_are_killed_releases_nothing_and_may_be_run_again(
    programs: Programs, database: str, bucket: str
) -> None:
    """As the kernel does when memory is out; what was dumped by then is in the bucket already."""
    programs.query(database, "CREATE TABLE large AS SELECT n, md5(n::text) FROM generate_series(1, 1000000) AS n")
    process = programs.start("pg_dump", programs.extract_environment("nightly", database, bucket))
    wait_until(lambda: any(key.endswith(".dat.gz") for key in programs.objects(bucket)))
    below = psutil.Process(process.pid).children(recursive=True)
    for worker in [child for child in below if child.name() == "pg_dump" and child.parent() in below]:
        worker.kill()
    run = programs.ended(process)
    assert (run.code, run.error) == (
        75,
        "pg_dump failed (1): a worker process died: if it does again, give the task more memory",
    )
    assert MANIFEST not in programs.objects(bucket)
