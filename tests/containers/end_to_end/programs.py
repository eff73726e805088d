"""The programs as they run: processes with exactly the environment that a container gives them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import psycopg
from etl_runtime.contract import LoadBucket, load_buckets_text, rules_digest

from etl_local.clusters import PostgresCluster
from tests.containers.aws_account import ACCOUNT, REGION

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONTAINERS = Path(__file__).parents[3] / "containers"
DUMP_ROLE, LOAD_ROLE = "etl_dump", "etl_load"


@dataclass(frozen=True)
class Run:
    """How a program ended, and all that it said."""

    code: int
    text: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def event(self, name: str) -> dict[str, Any]:
        (found,) = [event for event in self.events if event["event"] == name]
        return found

    @property
    def error(self) -> str:
        return str(self.event("failed")["error"])


@dataclass(frozen=True)
class Programs:
    """Runs a program against one server, one moto and one scratch directory."""

    cluster: PostgresCluster
    passwords: Mapping[str, str]
    launchers: Path
    endpoint: str
    s3: S3Client
    mount_point: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def environment(self, execution: str, **more: str) -> dict[str, str]:
        return {
            "PATH": f"{self.launchers}{os.pathsep}{os.defpath}",
            "PYTHONPATH": str(CONTAINERS),
            "HOME": str(self.mount_point),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": REGION,
            "ENVIRONMENT_NAME": "dev",
            "MOUNT_POINT": str(self.mount_point),
            "EXECUTION_ID": f"arn:aws:states:{REGION}:{ACCOUNT}:execution:postgres-etl:{execution}",
            **more,
        }

    def database(self, name: str, role: str) -> dict[str, str]:
        return {
            "DB_HOST": "127.0.0.1",
            "DB_PORT": str(self.cluster.port),
            "DB_NAME": name,
            "DB_USER": role,
            "DB_AUTHENTICATION": "secret",
            "DB_CREDENTIALS": json.dumps({"username": role, "password": self.passwords[role]}),
            "DB_SSLMODE": "disable",
        }

    def extract_environment(self, execution: str, database: str, bucket: str, **more: str) -> dict[str, str]:
        return self.environment(
            execution,
            **{
                **self.database(database, DUMP_ROLE),
                "LOAD_ENVIRONMENT": "dev",
                "DUMP_FILENAME": "etl-dump",
                "EXTRACT_BUCKET": bucket,
                "EXTRACT_BUCKET_OWNER": ACCOUNT,
                "LOAD_BUCKETS": load_buckets_text({"dev": LoadBucket("unused", ACCOUNT)}),
                "DUMP_JOBS": "2",
                **more,
            },
        )

    def transform_environment(
        self, execution: str, raw_bucket: str, clean_bucket: str, rules: Path, **more: str
    ) -> dict[str, str]:
        return self.environment(
            execution,
            **{
                "EXTRACT_BUCKET": raw_bucket,
                "EXTRACT_BUCKET_OWNER": ACCOUNT,
                "LOAD_BUCKETS": load_buckets_text({"dev": LoadBucket(clean_bucket, ACCOUNT)}),
                "DUMP_PREFIX": f"dev/{execution}/etl-dump",
                "MANIFEST_VERSION_ID": "",
                "SCRUB_DIRECTORY": str(rules),
                "SCRUB_SALT_SECRET_ID": "salt",
                "TRANSFORM_JOBS": "2",
                "IMAGE": "transform@sha256:00",
                **more,
            },
        )

    def load_environment(
        self, execution: str, dump: str, bucket: str, database: str, rules: Path, **more: str
    ) -> dict[str, str]:
        return self.environment(
            execution,
            **{
                **self.database(database, LOAD_ROLE),
                "LOAD_FILENAME": f"dev/{dump}/etl-dump",
                "LOAD_BUCKET": bucket,
                "LOAD_BUCKET_OWNER": ACCOUNT,
                "RESTORE_JOBS": "2",
                "PROTECTED_ACCOUNTS": "974531504241",
                "ALLOWED_RULES": rules_digest(rules),
                **more,
            },
        )

    def start(self, program: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        """Start a program; `end_all` ends what a test has not waited for."""
        process = subprocess.Popen(
            [sys.executable, "-m", f"etl_runtime.{program}"],
            env=dict(environment),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def end_all(self) -> None:
        for process in self.started:
            if process.returncode is None:
                process.terminate()
                process.communicate()
        self.started.clear()

    def run(self, program: str, environment: Mapping[str, str]) -> Run:
        return self.ended(self.start(program, environment))

    def ended(self, process: subprocess.Popen[str], seconds: float = 60) -> Run:
        """Wait for a program; nothing of it may be left on its disk."""
        try:
            text, _ = process.communicate(timeout=seconds)
        finally:
            process.kill()
            process.wait()
        assert list(self.mount_point.iterdir()) == []
        return Run(process.returncode, text)

    def terminated(self, process: subprocess.Popen[str], when: Callable[[], bool], seconds: float = 30) -> Run:
        """Send SIGTERM once something holds, and wait."""
        wait_until(when, seconds)
        process.send_signal(signal.SIGTERM)
        return self.ended(process, seconds)

    def query(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """What the superuser sees."""
        with psycopg.connect(self.cluster.dsn(database=database), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def session(self, database: str) -> Iterator[psycopg.Connection[Any]]:
        """A transaction of the superuser's, rolled back unless it is committed."""
        with psycopg.connect(self.cluster.dsn(database=database)) as connection:
            yield connection
            connection.rollback()

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Key → content of all that is in a bucket."""
        listed = self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        keys = [entry["Key"] for entry in listed]  # type: ignore[typeddict-item]
        return {key: self.s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def secret(self, name: str, text: str) -> str:
        """A secret of Secrets Manager; its id."""
        session = boto3.Session("testing", "testing", region_name=REGION)
        client = session.client("secretsmanager", endpoint_url=self.endpoint)
        return str(client.create_secret(Name=name, SecretString=text)["ARN"])

    def bucket(self, name: str) -> str:
        """A new versioned bucket."""
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})  # type: ignore[typeddict-item]
        self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "what was waited for did not come to be"
        time.sleep(0.02)
