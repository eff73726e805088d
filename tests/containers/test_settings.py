from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from etl_runtime.contract import (
    DISPATCHER_CONTAINER,
    PG_DUMP_CONTAINER,
    PG_RESTORE_CONTAINER,
    REQUIRED_ENV,
    TRANSFORM_CONTAINER,
    DumpPrefix,
    ExitCode,
    LoadBucket,
    execution_name,
)
from etl_runtime.faults import Fault
from etl_runtime.settings.database import Database
from etl_runtime.settings.dispatcher import DispatcherSettings
from etl_runtime.settings.extract import ExtractSettings
from etl_runtime.settings.load import LoadSettings, RollbackSettings
from etl_runtime.settings.transform import TransformSettings

PASSWORD = "correct-horse-4711"
ARN = "arn:aws:states:eu-west-2:123456789012:execution:postgres-etl-rds-to-s3:nightly-1"
Settings = ExtractSettings | TransformSettings | LoadSettings | DispatcherSettings
PROGRAMS: Mapping[str, Callable[[Mapping[str, str]], Settings]] = {
    PG_DUMP_CONTAINER: ExtractSettings.from_env,
    TRANSFORM_CONTAINER: TransformSettings.from_env,
    PG_RESTORE_CONTAINER: LoadSettings.from_env,
    DISPATCHER_CONTAINER: DispatcherSettings.from_env,
}


@pytest.fixture
def environments(tmp_path: Path) -> dict[str, dict[str, str]]:
    (tmp_path / "job.yaml").touch()
    every = {"ENVIRONMENT_NAME": "dev", "AWS_REGION": "eu-west-2"}
    execution = {"EXECUTION_ID": ARN, "MOUNT_POINT": str(tmp_path)}
    extract_bucket = {"EXTRACT_BUCKET": "raw", "EXTRACT_BUCKET_OWNER": "123456789012"}
    load_buckets = {"LOAD_BUCKETS": '{"dev": {"bucket": "clean", "owner": "210987654321"}}'}
    database = {
        "DB_HOST": "source.example.com",
        "DB_PORT": "5432",
        "DB_NAME": "marketplace",
        "DB_USER": "etl_dump",
        "DB_AUTHENTICATION": "secret",
        "DB_SSLMODE": "verify-full",
        "DB_CREDENTIALS": json.dumps({"username": "etl_rotated", "password": PASSWORD}),
    }
    return {
        PG_DUMP_CONTAINER: {
            **every, **execution, **extract_bucket, **load_buckets, **database,
            "LOAD_ENVIRONMENT": "dev", "DUMP_FILENAME": "etl-dump", "DUMP_JOBS": "4",
        },
        TRANSFORM_CONTAINER: {
            **every, **execution, **extract_bucket, **load_buckets,
            "DUMP_PREFIX": "dev/nightly-1/etl-dump", "MANIFEST_VERSION_ID": "v1", "SCRUB_DIRECTORY": str(tmp_path),
            "SCRUB_SALT_SECRET_ID": "salt", "TRANSFORM_JOBS": "2", "IMAGE": "transform@sha256:00",
        },
        PG_RESTORE_CONTAINER: {
            **every, **execution, **database,
            "LOAD_FILENAME": "dev/nightly-1/etl-dump", "LOAD_BUCKET": "clean", "LOAD_BUCKET_OWNER": "210987654321",
            "RESTORE_JOBS": "4", "ALLOWED_RULES": "aa,bb", "PROTECTED_ACCOUNTS": "974531504241",
        },
        DISPATCHER_CONTAINER: {
            **every, **extract_bucket, **load_buckets,
            "QUEUE_URL": "https://sqs.example.com/q", "DEAD_LETTER_QUEUE_URL": "https://sqs.example.com/d",
            "JOB_NAMESPACE": "etl",
            "JOB_TEMPLATE": str(tmp_path / "job.yaml"),
            "MAX_ACTIVE_JOBS": "3", "METRICS_PORT": "9090",
        },
    }  # fmt: skip


def _fault(program: str, environ: Mapping[str, str]) -> Fault:
    with pytest.raises(Fault) as stopped:
        PROGRAMS[program](environ)
    return stopped.value


def _database(**changes: object) -> Database:
    values: dict[str, object] = {
        "host": "source.example.com",
        "port": 5432,
        "name": "marketplace",
        "user": "etl_rotated",
        "password": PASSWORD,
        "authentication": "secret",
        "sslmode": "verify-full",
        "sslrootcert": "/etc/postgres-etl/rds-ca.pem",
        **changes,
    }
    return Database(**values)  # type: ignore[arg-type]


def test_extract_reads_its_whole_environment(environments: dict[str, dict[str, str]], tmp_path: Path) -> None:
    environ = environments[PG_DUMP_CONTAINER]
    whole = ExtractSettings(
        environment="dev",
        region="eu-west-2",
        mount_point=tmp_path,
        execution_id=ARN,
        prefix=DumpPrefix("dev", "nightly-1", "etl-dump"),
        bucket="raw",
        bucket_owner="123456789012",
        database=_database(),
        jobs=4,
        compression="auto",
        lock_wait_seconds=60,
    )
    assert ExtractSettings.from_env(environ) == whole
    chosen = ExtractSettings.from_env(environ | {"DUMP_COMPRESSION": "gzip", "LOCK_WAIT_SECONDS": "5"})
    assert (chosen.compression, chosen.lock_wait_seconds) == ("gzip", 5)


def test_transform_reads_its_whole_environment(environments: dict[str, dict[str, str]], tmp_path: Path) -> None:
    assert TransformSettings.from_env(environments[TRANSFORM_CONTAINER]) == TransformSettings(
        environment="dev",
        region="eu-west-2",
        mount_point=tmp_path,
        execution_id=ARN,
        prefix=DumpPrefix("dev", "nightly-1", "etl-dump"),
        manifest_version_id="v1",
        extract_bucket="raw",
        extract_bucket_owner="123456789012",
        load_bucket=LoadBucket("clean", "210987654321"),
        scrub_directory=tmp_path,
        salt_secret_id="salt",
        jobs=2,
        image="transform@sha256:00",
        proof_scope="changed",
        scrub_variables={},
        scrub_secret_ids={},
        scratch_template=None,
    )


def test_load_reads_its_whole_environment(environments: dict[str, dict[str, str]], tmp_path: Path) -> None:
    environ = environments[PG_RESTORE_CONTAINER]
    whole = LoadSettings(
        environment="dev",
        region="eu-west-2",
        mount_point=tmp_path,
        execution_id=ARN,
        prefix=DumpPrefix("dev", "nightly-1", "etl-dump"),
        bucket="clean",
        bucket_owner="210987654321",
        database=_database(),
        jobs=4,
        mode="swap",
        allowed_rules=frozenset({"aa", "bb"}),
        protected_accounts=frozenset({"974531504241"}),
        protected_load_target="",
        post_load={},
        keep_previous_hours=24,
        keep_previous_most=2,
        storage_gib=0,
    )
    assert LoadSettings.from_env(environ) == whole
    more = {
        "POST_LOAD_SCRIPTS": '{"10-grants.sql": "GRANT\\n…;"}',
        "KEEP_PREVIOUS_HOURS": "0",
        "KEEP_PREVIOUS_MOST": "1",
        "RESTORE_MODE": "in-place",
        "DB_STORAGE_GIB": "100",
        "PROTECTED_LOAD_TARGET": "1/host/shop",
    }
    assert LoadSettings.from_env(environ | more | {"ALLOWED_RULES": "aa, bb,"}) == replace(
        whole,
        post_load={"10-grants.sql": "GRANT\n…;"},
        keep_previous_hours=0,
        keep_previous_most=1,
        mode="in-place",
        storage_gib=100,
        protected_load_target="1/host/shop",
    )


def test_a_rollback_is_told_of_its_target_and_the_load_that_it_undoes(environments: dict[str, dict[str, str]]) -> None:
    environ = {name: value for name, value in environments[PG_RESTORE_CONTAINER].items() if name != "LOAD_FILENAME"}
    assert RollbackSettings.from_env(environ | {"ROLLBACK": "nightly-1"}) == RollbackSettings(
        environment="dev",
        region="eu-west-2",
        execution_id=ARN,
        bucket_owner="210987654321",
        database=_database(),
        protected_accounts=frozenset({"974531504241"}),
        protected_load_target="",
        load="nightly-1",
    )
    with pytest.raises(Fault, match="a task loads a dump or undoes a load, not both"):
        RollbackSettings.from_env(environ | {"ROLLBACK": "nightly-1", "LOAD_FILENAME": "dev/nightly-1/etl-dump"})
    with pytest.raises(Fault, match="ROLLBACK is no execution id"):
        RollbackSettings.from_env(environ | {"ROLLBACK": "night ly"})


def test_the_dispatcher_reads_its_whole_environment(environments: dict[str, dict[str, str]], tmp_path: Path) -> None:
    assert DispatcherSettings.from_env(environments[DISPATCHER_CONTAINER]) == DispatcherSettings(
        environment="dev",
        region="eu-west-2",
        queue_url="https://sqs.example.com/q",
        dead_letter_queue_url="https://sqs.example.com/d",
        extract_bucket="raw",
        extract_bucket_owner="123456789012",
        load_buckets={"dev": LoadBucket("clean", "210987654321")},
        namespace="etl",
        job_template=tmp_path / "job.yaml",
        max_active=3,
        metrics_port=9090,
        metrics_address="0.0.0.0",  # noqa: S104 - of a pod, whose kubelet asks from outside
    )
    environments[DISPATCHER_CONTAINER]["METRICS_ADDRESS"] = "127.0.0.1"
    assert DispatcherSettings.from_env(environments[DISPATCHER_CONTAINER]).metrics_address == "127.0.0.1"


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_variable_that_is_missing_is_named_at_once(program: str) -> None:
    fault = _fault(program, {})
    named = {part.split()[0] for part in fault.message.removeprefix("environment: ").split("; ")}
    optional_while_nothing_is_set = {"MANIFEST_VERSION_ID"}
    assert fault.code == ExitCode.CONFIG
    assert named >= {str(variable) for variable in REQUIRED_ENV[program]} - optional_while_nothing_is_set
    assert "\n" not in fault.message


def test_what_is_missing_is_said_once_and_nothing_else_of_it() -> None:
    assert _fault(PG_DUMP_CONTAINER, {}).message == (
        "environment: EXECUTION_ID is not set; LOAD_BUCKETS is not set; ENVIRONMENT_NAME is not set; "
        "AWS_REGION is not set; MOUNT_POINT is not set; LOAD_ENVIRONMENT is not set; DUMP_FILENAME is not set; "
        "EXTRACT_BUCKET is not set; EXTRACT_BUCKET_OWNER is not set; DB_HOST is not set; DB_NAME is not set; "
        "DB_AUTHENTICATION is not set; DB_USER is not set; DB_SSLMODE is not set; DB_PORT is not set; "
        "DUMP_JOBS is not set"
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_required_variable_is_required(program: str, environments: dict[str, dict[str, str]]) -> None:
    for variable in REQUIRED_ENV[program] - {"MANIFEST_VERSION_ID"}:
        fault = _fault(program, {k: v for k, v in environments[program].items() if k != variable})
        assert f"{variable} is not set" in fault.message
        assert fault.message.count("; ") <= 1
        assert f"{variable} is not set" in _fault(program, environments[program] | {str(variable): ""}).message


_TLS = "DB_SSLMODE must be verify-full for a database that is not on this machine"
_FORM = "[a-z][a-z0-9-]{0,15}"
_NAME = "[A-Za-z0-9_-]{1,80}"
_CREDENTIALS = 'DB_CREDENTIALS must be JSON with "username" and "password"'
_BUCKETS = (
    'LOAD_BUCKETS LOAD_BUCKETS must be JSON such as {"dev": {"bucket": "a-bucket", "owner": "123456789012"}}'
).removeprefix("LOAD_BUCKETS ")


@pytest.mark.parametrize(
    ("program", "variable", "value", "message"),
    [
        ("pg_dump", "AWS_REGION", "eu-west-2\n", "AWS_REGION holds a control character"),
        ("pg_dump", "DB_PORT", "0", "DB_PORT must be a whole number from 1 to 65535"),
        ("pg_dump", "DB_PORT", "65536", "DB_PORT must be a whole number from 1 to 65535"),
        ("pg_dump", "DB_PORT", "5432 ", "DB_PORT must be a whole number from 1 to 65535"),
        ("pg_dump", "DB_PORT", "1" * 5000, "DB_PORT must be a whole number from 1 to 65535"),
        ("pg_dump", "DUMP_JOBS", "-1", "DUMP_JOBS must be a whole number from 1 to 64"),
        ("pg_dump", "DUMP_JOBS", "all", "DUMP_JOBS must be a whole number from 1 to 64"),
        ("pg_dump", "LOCK_WAIT_SECONDS", "0", "LOCK_WAIT_SECONDS must be a whole number from 1 to 3600"),
        ("pg_dump", "DUMP_COMPRESSION", "brotli", "DUMP_COMPRESSION must be one of auto, zstd, lz4, gzip, none"),
        ("pg_dump", "DB_AUTHENTICATION", "trust", "DB_AUTHENTICATION must be one of secret, iam"),
        ("pg_dump", "DB_SSLMODE", "prefer",
         f"DB_SSLMODE must be one of verify-full, require, disable; {_TLS}"),
        ("pg_dump", "DB_SSLMODE", "require", _TLS),
        ("pg_restore", "DB_SSLMODE", "disable", _TLS),
        ("pg_dump", "DB_HOST", "postgresql://x", "DB_HOST is not a plain name"),
        ("pg_dump", "DB_NAME", "dbname=other", "DB_NAME is not a plain name"),
        ("pg_dump", "DB_NAME", "-c", "DB_NAME is not a plain name"),
        ("pg_dump", "DB_NAME", "d" * 256, "DB_NAME is not a plain name"),
        ("pg_dump", "DB_CREDENTIALS", PASSWORD, _CREDENTIALS),
        ("pg_dump", "DB_CREDENTIALS", f'["{PASSWORD}"]', _CREDENTIALS),
        ("pg_dump", "DB_CREDENTIALS", f'"{PASSWORD}"', _CREDENTIALS),
        ("pg_dump", "DB_CREDENTIALS", '{"username": "x"}', _CREDENTIALS),
        ("pg_dump", "DB_CREDENTIALS", '{"username": "x", "password": null}', _CREDENTIALS),
        ("pg_dump", "DB_CREDENTIALS", '{"username": "x", "password": ""}', _CREDENTIALS),
        ("pg_dump", "DB_CREDENTIALS", '{"username": ["x"], "password": "y"}', _CREDENTIALS),
        ("pg_dump", "EXECUTION_ID", "arn:a b",
         f"EXECUTION_ID is no execution id: execution id 'arn:a b' does not end in a name of the form {_NAME}"),
        ("pg_dump", "LOAD_ENVIRONMENT", "Dev",
         f"LOAD_ENVIRONMENT and DUMP_FILENAME make no dump prefix: load environment 'Dev' is not of the form {_FORM}"),
        ("pg_dump", "LOAD_BUCKETS", "{", _BUCKETS),
        ("pg_dump", "MOUNT_POINT", "/no/such/place", "MOUNT_POINT names /no/such/place, which does not exist"),
        ("transform", "SCRUB_DIRECTORY", "/no/such/place",
         "SCRUB_DIRECTORY names /no/such/place, which does not exist"),
        ("transform", "TRANSFORM_JOBS", "65", "TRANSFORM_JOBS must be a whole number from 1 to 64"),
        ("transform", "DUMP_PREFIX", "../x",
         "DUMP_PREFIX '../x' is not a dump prefix: <load environment>/<execution name>/<dump filename>"),
        ("pg_restore", "LOAD_FILENAME", "/etc/passwd",
         f"LOAD_FILENAME load environment '' is not of the form {_FORM}"),
        ("pg_restore", "RESTORE_JOBS", "0", "RESTORE_JOBS must be a whole number from 1 to 64"),
        ("pg_restore", "KEEP_PREVIOUS_HOURS", "2161", "KEEP_PREVIOUS_HOURS must be a whole number from 0 to 2160"),
        ("pg_restore", "KEEP_PREVIOUS_MOST", "0", "KEEP_PREVIOUS_MOST must be a whole number from 1 to 10"),
        ("pg_restore", "POST_LOAD_SCRIPTS", "[]",
         'POST_LOAD_SCRIPTS must be JSON such as {"10-grants.sql": "GRANT …;"}'),
        ("pg_restore", "POST_LOAD_SCRIPTS", '{"../x.sql": ""}',
         'POST_LOAD_SCRIPTS must be JSON such as {"10-grants.sql": "GRANT …;"}'),
        ("dispatcher", "MAX_ACTIVE_JOBS", "101", "MAX_ACTIVE_JOBS must be a whole number from 1 to 100"),
        ("dispatcher", "METRICS_PORT", "70000", "METRICS_PORT must be a whole number from 1 to 65535"),
        ("dispatcher", "JOB_TEMPLATE", "/no/such/job.yaml",
         "JOB_TEMPLATE names /no/such/job.yaml, which does not exist"),
    ],
)  # fmt: skip
def test_a_variable_s_fault_is_told_with_its_name(
    program: str, variable: str, value: str, message: str, environments: dict[str, dict[str, str]]
) -> None:
    fault = _fault(program, environments[program] | {variable: value})
    assert (fault.code, fault.message) == (ExitCode.CONFIG, f"environment: {message}")


def test_faults_of_several_variables_are_told_together(environments: dict[str, dict[str, str]]) -> None:
    changes = {"DB_PORT": "x", "DUMP_JOBS": "0", "DB_SSLMODE": "require", "LOAD_BUCKETS": "x", "EXTRACT_BUCKET": ""}
    message = _fault(PG_DUMP_CONTAINER, environments[PG_DUMP_CONTAINER] | changes).message
    assert [part.split()[0] for part in message.removeprefix("environment: ").split("; ")] == [
        "LOAD_BUCKETS", "EXTRACT_BUCKET", "DB_SSLMODE", "DB_PORT", "DUMP_JOBS",
    ]  # fmt: skip


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1"])
def test_a_database_on_this_machine_may_do_without_tls(host: str, environments: dict[str, dict[str, str]]) -> None:
    environ = environments[PG_DUMP_CONTAINER] | {"DB_HOST": host, "DB_SSLMODE": "disable"}
    assert ExtractSettings.from_env(environ).database == _database(host=host, sslmode="disable")


@pytest.mark.parametrize(
    "host", ["127.0.0.1.example.com", "127.0.0.1,db.example.com", "localhost.example.com", "10.0.0.1"]
)
def test_a_host_that_only_looks_like_this_machine_needs_tls(host: str, environments: dict[str, dict[str, str]]) -> None:
    environ = environments[PG_DUMP_CONTAINER] | {"DB_HOST": host, "DB_SSLMODE": "disable"}
    assert "DB_SSLMODE must be verify-full" in _fault(PG_DUMP_CONTAINER, environ).message


def test_with_iam_there_is_no_password(environments: dict[str, dict[str, str]]) -> None:
    environ = environments[PG_DUMP_CONTAINER] | {"DB_AUTHENTICATION": "iam"}
    del environ["DB_CREDENTIALS"]
    database = ExtractSettings.from_env(environ).database
    assert database == _database(authentication="iam", user="etl_dump", password=None)


@pytest.mark.parametrize("program", [PG_DUMP_CONTAINER, PG_RESTORE_CONTAINER])
def test_a_password_is_in_no_text_form_of_the_settings(program: str, environments: dict[str, dict[str, str]]) -> None:
    settings = PROGRAMS[program](environments[program])
    assert isinstance(settings, ExtractSettings | LoadSettings)
    assert settings.database.password == PASSWORD
    assert PASSWORD not in f"{settings!r} {settings} {settings.database!r}"


@pytest.mark.parametrize("credentials", [PASSWORD, f'{{"password": "{PASSWORD}"', f'{{"pass": "{PASSWORD}"}}'])
def test_broken_credentials_are_not_repeated(credentials: str, environments: dict[str, dict[str, str]]) -> None:
    fault = _fault(PG_DUMP_CONTAINER, environments[PG_DUMP_CONTAINER] | {"DB_CREDENTIALS": credentials})
    assert PASSWORD not in fault.message


def test_extract_refuses_an_environment_that_nothing_is_loaded_into(environments: dict[str, dict[str, str]]) -> None:
    fault = _fault(PG_DUMP_CONTAINER, environments[PG_DUMP_CONTAINER] | {"LOAD_ENVIRONMENT": "prod"})
    assert (fault.code, fault.message) == (ExitCode.REFUSED, "LOAD_ENVIRONMENT 'prod' is unknown: it is one of dev")


def test_transform_refuses_a_dump_for_an_environment_without_a_bucket(environments: dict[str, dict[str, str]]) -> None:
    environ = environments[TRANSFORM_CONTAINER] | {"DUMP_PREFIX": "sbx/nightly-1/etl-dump"}
    fault = _fault(TRANSFORM_CONTAINER, environ)
    assert (fault.code, fault.message) == (
        ExitCode.REFUSED,
        "dump is for 'sbx', and LOAD_BUCKETS has no bucket of that name",
    )


def test_the_dump_s_prefix_holds_the_execution_s_name(environments: dict[str, dict[str, str]]) -> None:
    settings = ExtractSettings.from_env(environments[PG_DUMP_CONTAINER])
    assert settings.prefix.execution_name == execution_name(settings.execution_id)
