"""What the tests of the programs share: AWS in memory, and an environment without anybody's real account."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
import structlog
from etl_runtime import dead_letters, faults
from etl_runtime import dispatcher as dispatcher_module
from etl_runtime.dispatcher import Dispatcher
from moto import mock_aws

from tests.containers.api_server import ApiServer, api_server
from tests.containers.aws_account import REGION
from tests.containers.dispatch_bench import Bench
from tests.containers.dispatch_cluster import DispatchCluster, dispatch_cluster

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


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """A program takes SIGTERM for itself; the tests' runner wants it back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)
    faults.stopping.clear()


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


@pytest.fixture(scope="session")
def kubernetes_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server: the double, or a real one where `KUBEBUILDER_ASSETS` names its programs."""
    with api_server(tmp_path_factory.mktemp("api-server")) as server:
        yield server


@pytest.fixture
def cluster(kubernetes_api: ApiServer, tmp_path: Path) -> Iterator[DispatchCluster]:
    """A namespace of it that no other test has."""
    with dispatch_cluster(kubernetes_api, tmp_path) as cluster:
        yield cluster


@pytest.fixture
def bench(s3: S3Client, sqs: SQSClient, cluster: DispatchCluster, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A dispatcher that can be stepped through, round by round."""
    monkeypatch.setattr(dispatcher_module, "s3_client", lambda _region, **_options: s3)
    monkeypatch.setattr(dispatcher_module, "sqs_client", lambda _region, **_options: sqs)
    monkeypatch.setattr(dispatcher_module, "WAIT_SECONDS", 0)
    monkeypatch.setattr(dead_letters, "WAIT_SECONDS", 0)
    # A loop that would wait ends its round.
    monkeypatch.setattr(Dispatcher, "_pause", lambda self, _seconds: self.stopping.set())
    return Bench(s3, sqs, cluster)
