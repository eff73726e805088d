from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from etl_local.clusters import ClusterTemplate, PostgresCluster, free_port
from etl_local.postgres_installation import PostgresInstallation
from tests.containers.aws_account import ACCOUNT, REGION
from tests.containers.programs import DUMP_ROLE, Programs, wait_until
from tests.containers.source_database import CANARIES, TABLES

pytestmark = pytest.mark.end_to_end

PREFIX = "dev/nightly/etl-dump"
ARN = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:postgres-etl:nightly"


@pytest.fixture
def bucket(programs: Programs, name: str) -> str:
    return programs.bucket(name)


@pytest.fixture
def database(programs: Programs, name: str) -> Iterator[str]:
    """A database of the test's own, with one table."""
    programs.cluster.create_database(name, "postgres")
    programs.query(name, "CREATE TABLE users (id integer, email text); INSERT INTO users VALUES (1, 'ada.canary@x')")
    yield name
    programs.cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@contextmanager
def _session(programs: Programs, database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(programs.cluster.dsn(database=database)) as connection:
        yield connection
        connection.rollback()


def _manifest(programs: Programs, bucket: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(programs.objects(bucket)[f"{PREFIX}/manifest.json"])
    return document


def _uploads(programs: Programs, bucket: str) -> list[Any]:
    return list(programs.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []))


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
    with _session(programs, database) as connection:
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


def test_a_table_with_row_security_is_refused_to_a_role_that_it_binds(
    programs: Programs, database: str, bucket: str
) -> None:
    programs.query(database, "ALTER TABLE users ENABLE ROW LEVEL SECURITY")
    role = f"bound_{database}"
    password = programs.cluster.create_role(role, "NOBYPASSRLS", ("pg_read_all_data",))
    credentials = json.dumps({"username": role, "password": password})
    run = programs.run("pg_dump", programs.extract_environment("nightly", database, bucket, DB_CREDENTIALS=credentials))
    assert (run.code, run.error) == (
        78,
        'pg_dump failed (1): query would be affected by row-level security policy for table "users"',
    )
    assert f"{PREFIX}/manifest.json" not in programs.objects(bucket)


def test_a_large_object_that_may_not_be_read_is_refused(programs: Programs, database: str, bucket: str) -> None:
    programs.query(database, "SELECT lo_from_bytea(815, 'canary-object')")
    run = programs.run("pg_dump", programs.extract_environment("nightly", database, bucket))
    assert (run.code, run.error) == (78, "pg_dump failed (1): permission denied for large object 815")
    assert f"{PREFIX}/manifest.json" not in programs.objects(bucket)


def test_a_table_that_may_not_be_read_is_refused(programs: Programs, database: str, bucket: str) -> None:
    role = f"poor_{database}"
    password = programs.cluster.create_role(role, "BYPASSRLS")
    credentials = json.dumps({"username": role, "password": password})
    run = programs.run("pg_dump", programs.extract_environment("nightly", database, bucket, DB_CREDENTIALS=credentials))
    assert (run.code, run.error) == (78, "pg_dump failed (1): permission denied for table users")
    assert programs.objects(bucket) == {}


def test_a_locked_table_is_waited_for_and_then_given_up_for_another_time(
    programs: Programs, database: str, bucket: str
) -> None:
    with _session(programs, database) as connection:
        connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        environment = programs.extract_environment("nightly", database, bucket, LOCK_WAIT_SECONDS="1")
        run = programs.run("pg_dump", environment)
    assert (run.code, run.error) == (75, "pg_dump failed (1): canceling statement due to statement timeout")
    assert programs.objects(bucket) == {}
    assert programs.run("pg_dump", environment).code == 0


def test_sigterm_ends_pg_dump_and_its_sessions(programs: Programs, database: str, bucket: str) -> None:
    def sessions() -> int:
        return len(programs.query("postgres", f"SELECT 1 FROM pg_stat_activity WHERE usename = '{DUMP_ROLE}'"))

    with _session(programs, database) as connection:
        connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        process = programs.start("pg_dump", programs.extract_environment("nightly", database, bucket))
        run = programs.terminated(process, lambda: sessions() >= 2)
        assert (run.code, run.error) == (143, "stopped by SIGTERM; nothing was released, run it again")
        wait_until(lambda: sessions() == 0)
    assert (programs.objects(bucket), _uploads(programs, bucket)) == ({}, [])
    assert programs.run("pg_dump", programs.extract_environment("nightly", database, bucket)).code == 0


def test_a_source_that_goes_away_is_transient(programs: Programs, database: str, bucket: str) -> None:
    with _session(programs, database) as connection:
        connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        process = programs.start("pg_dump", programs.extract_environment("nightly", database, bucket))
        theirs = f"FROM pg_stat_activity WHERE usename = '{DUMP_ROLE}'"
        wait_until(lambda: len(programs.query("postgres", f"SELECT 1 {theirs}")) >= 2)
        programs.query("postgres", f"SELECT pg_terminate_backend(pid) {theirs}")
        run = programs.ended(process)
    assert run.code == 75, run.text
    assert programs.objects(bucket) == {}


REFUSED: dict[str, tuple[dict[str, str], int, str]] = {
    "a wrong password": (
        {"DB_CREDENTIALS": json.dumps({"username": DUMP_ROLE, "password": "wrong"})},
        78,
        "database {database} at 127.0.0.1:{port} refuses user etl_dump: check the credentials",
    ),
    "no such database": (
        {"DB_NAME": "no-such"},
        78,
        'database no-such at 127.0.0.1:{port}: database "no-such" does not exist',
    ),
    "a server that does not speak TLS": (
        {"DB_SSLMODE": "verify-full", "DB_SSLROOTCERT": "/dev/null"},
        78,
        "TLS with verify-full was not agreed",
    ),
    "a name that is a connection string": ({"DB_NAME": "dbname=x"}, 78, "environment: DB_NAME is not a plain name"),
    "an environment that nothing is loaded into": (
        {"LOAD_ENVIRONMENT": "prod"},
        77,
        "LOAD_ENVIRONMENT 'prod' is unknown: it is one of dev",
    ),
    "no such bucket": (
        {"EXTRACT_BUCKET": "no-such-bucket"},
        69,
        "AWS refused GetObject: NoSuchBucket; check the role, the bucket's owner and its key",
    ),
    "a codec that this pg_dump lacks": (
        {"DUMP_COMPRESSION": "zstd"},
        78,
        "DUMP_COMPRESSION is zstd, which this pg_dump was built without",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "code", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_dumped_is_refused_with_its_reason(
    programs: Programs, database: str, bucket: str, changes: dict[str, str], code: int, error: str
) -> None:
    run = programs.run("pg_dump", programs.extract_environment("nightly", database, bucket) | changes)
    assert run.code == code, run.text
    assert error.format(database=database, port=programs.cluster.port) in run.error
    assert programs.objects(bucket) == {}


def test_a_role_that_may_not_log_in_or_connect_is_no_passing_fault(
    programs: Programs, database: str, bucket: str
) -> None:
    role = f"locked_{database}"
    password = programs.cluster.create_role(role, "NOSUPERUSER")
    programs.query("postgres", f"ALTER ROLE {role} NOLOGIN")
    credentials = {"DB_CREDENTIALS": json.dumps({"username": role, "password": password})}
    environment = programs.extract_environment("nightly", database, bucket) | credentials
    run = programs.run("pg_dump", environment)
    assert (run.code, run.error.partition(": ")[2]) == (78, f'role "{role}" is not permitted to log in')
    programs.query("postgres", f"ALTER ROLE {role} LOGIN; REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
    run = programs.run("pg_dump", environment)
    assert (run.code, run.error.partition(": ")[2]) == (78, f'permission denied for database "{database}"')


def test_a_server_that_cannot_be_reached_is_transient(programs: Programs, bucket: str) -> None:
    port = free_port()
    run = programs.run("pg_dump", programs.extract_environment("nightly", "x", bucket, DB_PORT=str(port)))
    assert run.code == 75
    assert run.error.startswith(f"database x at 127.0.0.1:{port} cannot be reached: ")


@pytest.fixture(scope="module")
def older_launchers(servers_directory: Path) -> Path:
    directory = servers_directory / "older"
    directory.mkdir()
    return PostgresInstallation.bundled(16).launchers(directory)


def test_a_client_older_than_the_server_is_refused_with_both_named(
    programs: Programs, database: str, bucket: str, older_launchers: Path
) -> None:
    environment = programs.extract_environment("nightly", database, bucket)
    run = programs.run("pg_dump", environment | {"PATH": f"{older_launchers}{os.pathsep}{os.defpath}"})
    client = PostgresInstallation.bundled(16).version()
    assert run.code == 78
    assert run.error == f"pg_dump {client} is older than the server: use an image of 18 or later"
    assert programs.objects(bucket) == {}


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
