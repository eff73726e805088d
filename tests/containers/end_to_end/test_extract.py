"""Extract: what a dump is, and that of its manifest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from etl_local.clusters import ClusterTemplate, PostgresCluster
from etl_local.postgres_installation import PostgresInstallation
from tests.containers.aws_account import ACCOUNT, REGION
from tests.containers.end_to_end.programs import DUMP_ROLE, Programs, wait_until
from tests.containers.end_to_end.source_database import CANARIES, TABLES

pytestmark = pytest.mark.end_to_end

PREFIX = "dev/nightly/etl-dump"
ARN = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:postgres-etl:nightly"


def _manifest(programs: Programs, bucket: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(programs.objects(bucket)[f"{PREFIX}/manifest.json"])
    return document


def test_a_dump_s_manifest_says_all_of_it(programs: Programs, source: str, raw_bucket: str) -> None:
    objects, manifest = programs.objects(raw_bucket), _manifest(programs, raw_bucket)
    files = manifest.pop("files")
    version = PostgresInstallation.bundled().version()
    times = [manifest.pop("started_at"), manifest["snapshot"].pop("taken_at"), manifest.pop("finished_at")]
    assert times == sorted(times)
    assert manifest.pop("snapshot")["lsn"].count("/") == 1
    assert manifest.pop("database_bytes") > 1 << 20
    assert manifest == {
        "schema": 1,
        "stage": "raw",
        "execution_id": ARN,
        "environment": "dev",
        "dump_filename": "etl-dump",
        "database": source,
        "server_version": version,
        "client_version": version,
        "archive_version": "1.16.0",
        "compression": "gzip:1",
    }
    assert {file["table"]: file["rows"] for file in files if file["table"]} == TABLES
    assert {f"{PREFIX}/{file['name']}" for file in files} | {f"{PREFIX}/manifest.json"} == set(objects)
    for file in files:
        key = f"{PREFIX}/{file['name']}"
        stored = {
            "bytes": len(objects[key]),
            "sha256": hashlib.sha256(objects[key]).hexdigest(),
            "version_id": programs.s3.head_object(Bucket=raw_bucket, Key=key)["VersionId"],
        }
        assert {fact: file[fact] for fact in stored} == stored
        tags = programs.s3.get_object_tagging(Bucket=raw_bucket, Key=key)["TagSet"]
        assert tags == [{"Key": "ExecutionID", "Value": ARN}]


def test_a_run_tells_what_it_does_and_nothing_of_the_rows(programs: Programs, source: str, bucket: str) -> None:
    run = programs.run("pg_dump", programs.extract_environment("nightly", source, bucket))
    assert run.code == 0
    events = run.events
    assert {event["execution_id"] for event in events} == {ARN}
    assert {event["program"] for event in events} == {"pg_dump"}
    assert [event["event"] for event in events if event["event"] != "progress"] == ["started", "finished"]
    assert run.event("started")["prefix"] == PREFIX
    finished = run.event("finished")
    assert (finished["rows"], finished["tables"]) == (sum(TABLES.values()), len(TABLES))
    assert finished["bytes"] == sum(file["bytes"] for file in _manifest(programs, bucket)["files"])
    assert finished["seconds"] > 0
    assert [canary for canary in CANARIES if canary in run.text] == []
    assert programs.passwords[DUMP_ROLE] not in run.text


def test_running_an_execution_again_changes_nothing(programs: Programs, source: str, bucket: str) -> None:
    environment = programs.extract_environment("nightly", source, bucket)
    assert programs.run("pg_dump", environment).code == 0
    versions = programs.s3.list_object_versions(Bucket=bucket)["Versions"]
    again = programs.run("pg_dump", environment)
    assert (again.code, again.event("finished")["already_done"]) == (0, True)
    assert programs.s3.list_object_versions(Bucket=bucket)["Versions"] == versions


def test_another_execution_of_the_same_name_is_refused(programs: Programs, database: str, bucket: str) -> None:
    environment = programs.extract_environment("nightly", database, bucket)
    assert programs.run("pg_dump", environment).code == 0
    before = programs.objects(bucket)
    run = programs.run("pg_dump", environment | {"EXECUTION_ID": f"arn:another:{'nightly'}"})
    assert (run.code, run.error) == (65, f"{PREFIX} holds the dump of another execution; start one of another name")
    assert programs.objects(bucket) == before


def test_a_dump_is_of_one_moment(programs: Programs, database: str, bucket: str) -> None:
    """Rows that come while pg_dump waits for a lock are not in it, in no table."""
    programs.query(database, "CREATE TABLE other (id integer)")
    with programs.session(database) as connection:
        connection.execute("LOCK TABLE other IN ACCESS EXCLUSIVE MODE")
        process = programs.start("pg_dump", programs.extract_environment("nightly", database, bucket))
        waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        wait_until(lambda: bool(programs.query(database, waiting)))
        programs.query(database, "INSERT INTO users VALUES (2, 'late')")
        connection.execute("INSERT INTO other VALUES (1)")
        connection.commit()
    run = programs.ended(process)
    assert run.code == 0
    rows = {file["table"]: file["rows"] for file in _manifest(programs, bucket)["files"] if file["table"]}
    assert rows == {"public.users": 1, "public.other": 0}


def test_limits_that_a_role_has_do_not_end_its_dump(programs: Programs, database: str, bucket: str) -> None:
    """A dump holds its snapshot idle for as long as pg_dump needs."""
    programs.query(database, "CREATE TABLE slow (id integer); INSERT INTO slow SELECT generate_series(1, 400000)")
    limits = ("idle_in_transaction_session_timeout", "statement_timeout", "transaction_timeout", "lock_timeout")
    for limit in limits:
        programs.query(database, f"ALTER ROLE {DUMP_ROLE} IN DATABASE {database} SET {limit} = '50ms'")
    run = programs.run("pg_dump", programs.extract_environment("nightly", database, bucket))
    assert (run.code, run.event("finished")["rows"]) == (0, 400001)


def test_names_that_look_like_options_or_commands_are_names(programs: Programs, bucket: str, name: str) -> None:
    database = f'it\'s "{name}" $(id)'
    programs.cluster.create_database(database, "postgres")
    try:
        programs.query(database, 'CREATE TABLE "; DROP TABLE x; --" (id integer)')
        run = programs.run("pg_dump", programs.extract_environment("nightly", database, bucket))
        assert run.code == 0, run.text
        manifest = _manifest(programs, bucket)
        assert (manifest["database"], [file["table"] for file in manifest["files"] if file["table"]]) == (
            database,
            ['public."; DROP TABLE x; --"'],
        )
    finally:
        quoted = database.replace('"', '""')
        programs.cluster.execute(f'DROP DATABASE "{quoted}" WITH (FORCE)')  # type: ignore[arg-type]


def test_an_older_server_is_dumped_by_its_own_pg_dump(programs: Programs, bucket: str, older_launchers: Path) -> None:
    """Archive version 1.15, whose large objects have one list."""
    directory = older_launchers.parent
    template = ClusterTemplate(directory / "template", older_launchers)
    with PostgresCluster(directory, older_launchers, "older", template) as older:
        passwords = {DUMP_ROLE: older.create_role(DUMP_ROLE, "SUPERUSER")}
        theirs = replace(programs, cluster=older, launchers=older_launchers, passwords=passwords)
        theirs.query("postgres", "CREATE TABLE users (id integer); INSERT INTO users VALUES (1)")
        theirs.query("postgres", "CREATE TABLE nothing (); SELECT lo_from_bytea(815, 'x')")
        run = theirs.run("pg_dump", theirs.extract_environment("nightly", "postgres", bucket))
    assert run.code == 0, run.text
    manifest = _manifest(programs, bucket)
    assert (manifest["archive_version"], manifest["server_version"]) == (
        "1.15.0",
        PostgresInstallation.bundled(16).version(),
    )
    assert sorted(file["name"] for file in manifest["files"] if "blob" in file["name"]) == [
        "blob_815.dat.gz",
        "blobs.toc",
    ]
    assert {file["table"]: file["rows"] for file in manifest["files"] if file["table"]} == {
        "public.users": 1,
        "public.nothing": 0,
    }
