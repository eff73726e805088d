"""What the tests of the programs share: AWS in memory, and an environment without anybody's real account."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
import structlog
from etl_runtime import dispatcher as dispatcher_module
from etl_runtime import jobs as jobs_module
from etl_runtime.dispatcher import Dispatcher
from moto import mock_aws

from tests.containers.aws_account import REGION
from tests.containers.dispatch_bench import Bench

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


@pytest.fixture(autouse=True)
def _nobody_s_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """A program sets up logging for its process; the next test has another standard output."""
    handlers = list(logging.getLogger().handlers)
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.getLogger().handlers[:] = handlers


@pytest.fixture(scope="session")
def clients() -> tuple[S3Client, SQSClient]:
    """Clients made once, as making one takes longer than most tests; they speak to whatever AWS a test plays."""
    session = boto3.Session("testing", "testing", region_name=REGION)
    return session.client("s3"), session.client("sqs")


@pytest.fixture
def _aws() -> Iterator[None]:
    """AWS in this process's memory, empty."""
    with mock_aws():
        yield


@pytest.fixture
def sqs(_aws: None, clients: tuple[S3Client, SQSClient]) -> SQSClient:
    """SQS without queues."""
    return clients[1]


@pytest.fixture
def s3(_aws: None, clients: tuple[S3Client, SQSClient]) -> S3Client:
    """S3 with two versioned buckets, `raw` and `clean`."""
    client = clients[0]
    for bucket in ("raw", "clean"):
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return client


@pytest.fixture
def bench(s3: S3Client, sqs: SQSClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A dispatcher that can be stepped through, round by round."""
    monkeypatch.setattr(dispatcher_module, "s3_client", lambda _region: s3)
    monkeypatch.setattr(dispatcher_module, "sqs_client", lambda _region: sqs)
    monkeypatch.setattr(dispatcher_module, "WAIT_SECONDS", 0)
    monkeypatch.setattr(jobs_module.time, "sleep", lambda _seconds: None)
    # A loop that would wait ends its round.
    monkeypatch.setattr(Dispatcher, "_pause", lambda self, _seconds: self.stopping.set())
    return Bench(s3, sqs, tmp_path)
