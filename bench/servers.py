"""The servers that everything here is measured with, each a process of its own on loopback, gone at the end.

What measures must not share an interpreter with what is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from etl_runtime.contract import LoadBucket, load_buckets_text

from etl_local.clusters import ClusterTemplate, PostgresCluster, free_port
from etl_local.postgres_installation import PostgresInstallation

ROOT: Final = Path(__file__).resolve().parent.parent
REGION: Final = "eu-west-2"
ACCOUNT: Final = "123456789012"
_START_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where it all happens: a directory that is gone afterwards, and the Postgres of it.

    Attributes:
        directory: servers, dumps and programs have theirs below it.
        launchers: the directory with the Postgres programs.
        version: of these.
    """

    directory: Path
    launchers: Path
    version: str
    _template: ClusterTemplate

    def cluster(self, name: str) -> PostgresCluster:
        """A server, running as long as the context that it is."""
        return PostgresCluster(self.directory, self.launchers, name, self._template)


@contextmanager
def workplace(installation: PostgresInstallation | None = None) -> Iterator[Workplace]:
    """Make one, of the bundled Postgres unless told of another."""
    postgres = installation or PostgresInstallation.bundled()
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        directory.chmod(0o711)  # the servers are another user's
        launchers = postgres.launchers(directory)
        yield Workplace(directory, launchers, postgres.version(), ClusterTemplate(directory / "template", launchers))


@contextmanager
def moto(directory: Path) -> Iterator[str]:
    """AWS that keeps what it is given; yields the address.

    Args:
        directory: Where its temporary files go.

    Raises:
        SystemExit: it does not start.
    """
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "--host=127.0.0.1", f"--port={port}"],
        env=os.environ | {"TMPDIR": str(directory)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(client("s3", endpoint))
        yield endpoint
    finally:
        server.kill()
        server.wait()


def _wait(s3: Any) -> None:
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            s3.list_buckets()
            return
        except (BotoCoreError, ClientError):
            if time.monotonic() > until:
                sys.exit("the stand-in for AWS does not start")
            time.sleep(0.2)


@contextmanager
def s3_double() -> Iterator[str]:
    """S3 that discards what it is given, see `s3_double.py`; yields the address."""
    argv = [sys.executable, str(Path(__file__).with_name("s3_double.py"))]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None  # noqa: S101 - it is a pipe
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


def client(service: str, endpoint: str) -> Any:
    """A client of a stand-in."""
    session: Any = boto3.Session("testing", "testing", region_name=REGION)
    return session.client(service, endpoint_url=endpoint)


def create_bucket(s3: Any, name: str) -> None:
    """Make a bucket as the pipeline's are."""
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def program_environment(
    directory: Path, launchers: Path, endpoint: str, load_bucket: str, **more: str
) -> dict[str, str]:
    """What a container of one of the four programs is given, whichever it is."""
    return {
        "PATH": f"{launchers}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "containers"),
        "HOME": str(directory),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": REGION,
        "ENVIRONMENT_NAME": "dev",
        "MOUNT_POINT": str(directory),
        "EXTRACT_BUCKET": "raw",
        "EXTRACT_BUCKET_OWNER": ACCOUNT,
        "LOAD_BUCKETS": load_buckets_text({"dev": LoadBucket(load_bucket, ACCOUNT)}),
        **more,
    }


def login(cluster: PostgresCluster, role: str, password: str, database: str) -> dict[str, str]:
    """The variables with which a program reaches a database."""
    return {
        "DB_HOST": "127.0.0.1",
        "DB_PORT": str(cluster.port),
        "DB_NAME": database,
        "DB_USER": role,
        "DB_CREDENTIALS": json.dumps({"username": role, "password": password}),
        "DB_AUTHENTICATION": "secret",
        "DB_SSLMODE": "disable",
    }


def keep_result(name: str, result: Mapping[str, Any]) -> None:
    """Write `bench/results/<name>.json`."""
    path = ROOT / "bench" / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
