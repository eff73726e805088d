"""What the command runs against here: moto as AWS, an API server without controllers, a clock that waiting moves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from etl_runtime.contract import (
    EXECUTION_ANNOTATION,
    EXECUTION_LABEL,
    TRANSFORM_CONTAINER,
    TRANSFORM_LABELS,
    DumpPrefix,
    execution_label,
)
from etl_runtime.manifest import ArchiveFile, Cleaning, Manifest
from moto import mock_aws

from etl_cli.clock import Clock, Pace
from etl_local.kubernetes_api import KubernetesApi
from etl_local.kubernetes_kinds import JOB, POD, Object

REGION = "eu-west-2"
ACCOUNT = "123456789012"
NAMESPACE = "etl"
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/states"


class SteppedClock(Clock):
    """A clock that only waiting moves; what is to happen at a turn of the watch is hung on it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.turns: list[Callable[[], None]] = []

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        if self.turns:
            self.turns.pop(0)()


@pytest.fixture(scope="session")
def clients() -> dict[str, Any]:
    """Clients made once, as making them takes longer than most tests; they speak to whatever AWS a test plays."""
    session = boto3.Session("testing", "testing", region_name=REGION)
    return {service: session.client(service) for service in ("s3", "sqs", "stepfunctions", "logs")}


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def pace() -> Pace:
    """Everything is looked at in every turn."""
    return Pace(state=0, progress=1, dispatch=10, blind=5, settle=3)


@dataclass
class Aws:
    """The deployed part of the pipeline, in moto. Its executions stay as they are until a test ends them."""

    directory: Path
    clients: dict[str, Any]
    outputs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("raw-dumps", "dev-dumps"):
            place = {"LocationConstraint": REGION}
            self.clients["s3"].create_bucket(Bucket=name, CreateBucketConfiguration=place)
        for name in ("pg_dump", "pg_restore"):
            self.clients["logs"].create_log_group(logGroupName=f"/etl/{name}")
            self.clients["logs"].create_log_stream(logGroupName=f"/etl/{name}", logStreamName=f"{name}/{name}/1")
        self.outputs = {
            "environment": "dev",
            "region": REGION,
            "extract_state_machine_arn": self.machine("postgres-etl-rds-to-s3"),
            "load_state_machine_arn": self.machine("postgres-etl-s3-to-rds"),
            "dump_queue_url": self.clients["sqs"].create_queue(QueueName="postgres-etl-s3")["QueueUrl"],
            "dead_letter_queue_url": self.clients["sqs"].create_queue(QueueName="postgres-etl-s3-dlq")["QueueUrl"],
            "extract_bucket": "raw-dumps",
            "load_bucket": "dev-dumps",
            "load_buckets": {
                "dev": {"bucket": "dev-dumps", "owner": ACCOUNT},
                "prod": {"bucket": "prod-dumps", "owner": ACCOUNT},
            },
            "transform_namespace": NAMESPACE,
            "extract_log_group": "/etl/pg_dump",
            "load_log_group": "/etl/pg_restore",
        }

    def machine(self, name: str) -> str:
        definition = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}
        made = self.clients["stepfunctions"].create_state_machine(
            name=name, definition=json.dumps(definition), roleArn=ROLE
        )
        return made["stateMachineArn"]

    @property
    def outputs_file(self) -> Path:
        path = self.directory / "outputs.json"
        path.write_text(json.dumps(self.outputs))
        return path

    def executions(self, output: str) -> list[str]:
        answer = self.clients["stepfunctions"].list_executions(stateMachineArn=self.outputs[output])
        return [execution["name"] for execution in answer["executions"]]

    def end(self, output: str, name: str, status: str, **more: Any) -> None:
        """Let an execution be over; moto has no call for that."""
        from moto.stepfunctions.models import stepfunctions_backends  # noqa: PLC0415 - only while mocked

        machine = stepfunctions_backends[ACCOUNT][REGION].describe_state_machine(self.outputs[output])
        execution = next(each for each in machine.executions if each.name == name)
        execution.status = status
        execution.stop_date = execution.start_date + timedelta(seconds=90)
        for attribute, value in more.items():
            setattr(execution, attribute, value)

    def log(self, program: str, /, **fields: Any) -> None:
        self.clients["logs"].put_log_events(
            logGroupName=f"/etl/{program}",
            logStreamName=f"{program}/{program}/1",
            logEvents=[{"timestamp": int(datetime.now(UTC).timestamp() * 1000), "message": json.dumps(fields)}],
        )

    def put_manifest(self, manifest: Manifest) -> None:
        bucket = "raw-dumps" if manifest.stage == "raw" else "dev-dumps"
        prefix = DumpPrefix(manifest.environment, manifest.execution_id, manifest.dump_filename)
        self.clients["s3"].put_object(Bucket=bucket, Key=prefix.manifest_key, Body=manifest.text())


def manifest(name: str, stage: Any = "raw", environment: str = "dev") -> Manifest:
    """A small dump: two tables, 3,000 bytes, 30 rows."""
    return Manifest(
        stage=stage,
        execution_id=name,
        environment=environment,
        dump_filename="etl-dump",
        database="marketplace",
        server_version="18.6",
        client_version="18.6",
        archive_version="1.16.0",
        compression="gzip:1",
        snapshot={"lsn": "0/1", "taken_at": "2026-01-02T03:04:05.000+00:00"},
        database_bytes=9000,
        started_at="2026-01-02T03:04:05.000+00:00",
        finished_at="2026-01-02T03:05:05.000+00:00",
        files=(
            ArchiveFile("1.dat.gz", 1000, "a" * 64, "", "public.users", 10),
            ArchiveFile("2.dat.gz", 1500, "b" * 64, "", "public.orders", 20),
            ArchiveFile("toc.dat", 500, "c" * 64, ""),
        ),
        cleaning=None
        if stage == "raw"
        else Cleaning(
            raw_manifest_sha256="d" * 64,
            rules_sha256="e" * 64,
            image="transform@sha256:1",
            plan=[{"table": "public.users", "path": "expressions", "reason": "columns are scrubbed"}],
            proof={
                "result": "passed",
                "columns": [{"table": "public.users", "column": "email", "originals": 10, "survivors": 0}],
            },
            started_at="2026-01-02T03:06:05.000+00:00",
            finished_at="2026-01-02T03:07:05.000+00:00",
        ),
    )


@pytest.fixture
def aws(tmp_path: Path, clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "POSTGRES_ETL_OUTPUTS"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield Aws(tmp_path, clients)


@dataclass
class Cluster:
    """A Kubernetes API server without controllers: Jobs become what a test makes of them."""

    api: KubernetesApi
    kubeconfig: Path

    def add_job(self, name: str, execution: str) -> None:
        pod = {"restartPolicy": "Never", "containers": [{"name": TRANSFORM_CONTAINER, "image": "transform@sha256:1"}]}
        self.api.create(
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {
                    "name": name,
                    "namespace": NAMESPACE,
                    "labels": {**TRANSFORM_LABELS, EXECUTION_LABEL: execution_label(execution)},
                    "annotations": {EXECUTION_ANNOTATION: f"arn:aws:states:{REGION}:{ACCOUNT}:execution:m:{execution}"},
                },
                "spec": {"template": {"spec": pod}},
            }
        )

    def end_job(self, name: str, condition: str, reason: str = "") -> None:
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ended = {"type": condition, "status": "True", "reason": reason, "lastTransitionTime": moment}

        def end(job: Object) -> None:
            job["status"] = {"conditions": [ended], "startTime": moment}
            if condition == "Complete":
                job["status"] |= {"completionTime": moment, "succeeded": 1}

        self.api.store.update(JOB, NAMESPACE, name, end, subresource="status")

    def say(self, job: str, **fields: Any) -> None:
        """Let the Job's pod, made at the first word, print an event."""
        name = f"{job}-abcde"
        if self.api.store.find(POD, NAMESPACE, name) is None:
            pod = self.api.create(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"job-name": job}},
                    "spec": {"containers": [{"name": TRANSFORM_CONTAINER, "image": "transform@sha256:1"}]},
                }
            )
            self.api.logs.begin(pod["metadata"]["uid"], TRANSFORM_CONTAINER)
        log = self.api.logs.find(self.api.get("Pod", name, NAMESPACE)["metadata"]["uid"], TRANSFORM_CONTAINER)
        assert log is not None
        log.append(json.dumps(fields))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with KubernetesApi() as api:
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        yield Cluster(api, api.kubeconfig(tmp_path / "kubeconfig"))
