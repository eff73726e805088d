"""Extract: what is refused, and what ends it before its end; never is there a manifest then."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from etl_local.clusters import free_port
from etl_local.postgres_installation import PostgresInstallation
from tests.containers.aws_account import ACCOUNT, REGION
from tests.containers.end_to_end.programs import DUMP_ROLE, Programs, wait_until

pytestmark = pytest.mark.end_to_end

PREFIX = "dev/nightly/etl-dump"
ARN = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:postgres-etl:nightly"


def _uploads(programs: Programs, bucket: str) -> list[Any]:
    return list(programs.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []))


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


REFUSED: dict[str, tuple[dict[str, str], int, str]] = {
    "a wrong password": (
        {"DB_CREDENTIALS": json.dumps({"username": DUMP_ROLE, "password": "wrong"})},
        75,
        "database {database} at 127.0.0.1:{port} refuses the password of user etl_dump: its secret was rotated "
        "since this task read it, or is wrong",
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
        "AWS refused GetObject: NoSuchBucket (bucket no-such-bucket); check the role, the bucket's owner and its key",
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


def test_a_client_older_than_the_server_is_refused_with_both_named(
    programs: Programs, database: str, bucket: str, older_launchers: Path
) -> None:
    environment = programs.extract_environment("nightly", database, bucket)
    run = programs.run("pg_dump", environment | {"PATH": f"{older_launchers}{os.pathsep}{os.defpath}"})
    client = PostgresInstallation.bundled(16).version()
    assert run.code == 78
    assert run.error == f"pg_dump {client} is older than the server: use an image of 18 or later"
    assert programs.objects(bucket) == {}


def test_a_locked_table_is_waited_for_and_then_given_up_for_another_time(
    programs: Programs, database: str, bucket: str
) -> None:
    with programs.session(database) as connection:
        connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        environment = programs.extract_environment("nightly", database, bucket, LOCK_WAIT_SECONDS="1")
        run = programs.run("pg_dump", environment)
    assert (run.code, run.error) == (75, "pg_dump failed (1): canceling statement due to statement timeout")
    assert programs.objects(bucket) == {}
    assert programs.run("pg_dump", environment).code == 0


def test_sigterm_ends_pg_dump_and_its_sessions(programs: Programs, database: str, bucket: str) -> None:
    def sessions() -> int:
        return len(programs.query("postgres", f"SELECT 1 FROM pg_stat_activity WHERE usename = '{DUMP_ROLE}'"))

    with programs.session(database) as connection:
        connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        process = programs.start("pg_dump", programs.extract_environment("nightly", database, bucket))
        run = programs.terminated(process, lambda: sessions() >= 2)
        assert (run.code, run.error) == (143, "stopped by SIGTERM; nothing was released, run it again")
        wait_until(lambda: sessions() == 0)
    assert (programs.objects(bucket), _uploads(programs, bucket)) == ({}, [])
    assert programs.run("pg_dump", programs.extract_environment("nightly", database, bucket)).code == 0


def test_a_source_that_goes_away_is_transient(programs: Programs, database: str, bucket: str) -> None:
    with programs.session(database) as connection:
        connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        process = programs.start("pg_dump", programs.extract_environment("nightly", database, bucket))
        theirs = f"FROM pg_stat_activity WHERE usename = '{DUMP_ROLE}'"
        wait_until(lambda: len(programs.query("postgres", f"SELECT 1 {theirs}")) >= 2)
        programs.query("postgres", f"SELECT pg_terminate_backend(pid) {theirs}")
        run = programs.ended(process)
    assert run.code == 75, run.text
    assert programs.objects(bucket) == {}
