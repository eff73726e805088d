from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from etl_runtime import dispatcher as dispatcher_module
from etl_runtime import jobs as jobs_module
from etl_runtime.contract import DumpPrefix, ExitCode, LoadBucket, transform_job_name
from etl_runtime.dispatch_metrics import DispatchMetrics
from etl_runtime.dispatcher import Dispatcher, dispatch
from etl_runtime.faults import Fault, Terminated
from etl_runtime.jobs import Jobs
from etl_runtime.manifest import ArchiveFile, Manifest
from etl_runtime.settings import DispatcherSettings

from tests.containers.aws_account import ACCOUNT, REGION
from tests.containers.cluster_api import JOB_TEMPLATE, ClusterApi, refusal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

MOST_RECEIVES = 3


def _manifest(name: str, environment: str = "dev") -> Manifest:
    return Manifest(
        stage="raw",
        execution_id=f"arn:aws:states:{REGION}:{ACCOUNT}:execution:postgres-etl-rds-to-s3:{name}",
        environment=environment,
        dump_filename="etl-dump",
        database="marketplace",
        server_version="17.11",
        client_version="18.6",
        archive_version="1.16.0",
        compression="zstd:1",
        snapshot={"lsn": "0/1", "taken_at": "2026-01-01T02:00:00.000+00:00"},
        database_bytes=1,
        started_at="2026-01-01T02:00:00.000+00:00",
        finished_at="2026-01-01T02:05:00.000+00:00",
        files=(ArchiveFile("toc.dat", 50, "ab" * 32, "v"),),
    )


class Bench:
    """A dispatcher between a queue with its dead-letter queue, a bucket and an API, all in memory."""

    def __init__(self, s3: S3Client, sqs: SQSClient, directory: Path) -> None:
        self.s3 = s3
        self.sqs = sqs
        self.dead_letters = self.sqs.create_queue(QueueName="postgres-etl-s3-dlq")["QueueUrl"]
        policy = {
            "deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:postgres-etl-s3-dlq",
            "maxReceiveCount": MOST_RECEIVES,
        }
        self.queue = self.sqs.create_queue(
            QueueName="postgres-etl-s3", Attributes={"RedrivePolicy": json.dumps(policy)}
        )["QueueUrl"]
        (directory / "job.yaml").write_text(JOB_TEMPLATE)
        self.api = ClusterApi()
        self.metrics = DispatchMetrics()
        self.settings = DispatcherSettings(
            environment="prod",
            region=REGION,
            queue_url=self.queue,
            extract_bucket="raw",
            extract_bucket_owner=ACCOUNT,
            load_buckets={"dev": LoadBucket("clean", ACCOUNT)},
            namespace="etl",
            job_template=directory / "job.yaml",
            max_active=3,
            metrics_port=1,
        )
        self.dispatcher = Dispatcher(self.settings, Jobs("etl", self.settings.job_template, self.api), self.metrics)

    def dump(self, name: str, environment: str = "dev") -> tuple[str, str]:
        """Put a raw dump's manifest where extract would, and give its key and version."""
        key = f"{environment}/{name}/etl-dump/manifest.json"
        put = self.s3.put_object(Bucket="raw", Key=key, Body=_manifest(name, environment).text())
        return key, put["VersionId"]

    @staticmethod
    def record(key: str, version_id: str, **changes: Any) -> dict[str, Any]:
        return {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": REGION,
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "raw"}, "object": {"key": key, "versionId": version_id}},
            **changes,
        }

    def send(self, *records: dict[str, Any]) -> None:
        self.send_body(json.dumps({"Records": records}))

    def send_body(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=body)

    def rounds(self, number: int = 1, *, hidden_come_back: bool = False) -> None:
        """Let the dispatcher go round so many times; messages that it hid come back between two rounds if asked."""
        for _ in range(number):
            self.dispatcher.stopping.clear()
            self._one_round()
            if hidden_come_back:
                self._show_all()

    def _one_round(self) -> None:
        inner = self.dispatcher._round

        def one(most: int) -> None:
            inner(most)
            self.dispatcher.stopping.set()

        self.dispatcher._round = one  # type: ignore[method-assign]
        try:
            self.dispatcher.serve()
        finally:
            self.dispatcher._round = inner  # type: ignore[method-assign]

    def _show_all(self) -> None:
        from moto.sqs.models import sqs_backends  # noqa: PLC0415 - only while AWS is mocked

        for message in sqs_backends[ACCOUNT][REGION].queues["postgres-etl-s3"]._messages:
            message.visible_at = 0

    def waiting(self, queue: str | None = None) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=queue or self.queue, AttributeNames=names)["Attributes"]  # type: ignore[arg-type]
        return sum(int(attributes[name]) for name in names)  # type: ignore[index]

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"postgres_etl_dispatcher_{name}_total", labels) or 0.0


@pytest.fixture
def bench(s3: S3Client, sqs: SQSClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(dispatcher_module, "s3_client", lambda _region: s3)
    monkeypatch.setattr(dispatcher_module, "sqs_client", lambda _region: sqs)
    monkeypatch.setattr(dispatcher_module, "WAIT_SECONDS", 0)
    monkeypatch.setattr(jobs_module.time, "sleep", lambda _seconds: None)
    # A loop that would wait ends its round.
    monkeypatch.setattr(Dispatcher, "_pause", lambda self, _seconds: self.stopping.set())
    return Bench(s3, sqs, tmp_path)


def test_a_dump_s_message_becomes_its_job_and_is_deleted(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    bench.rounds()
    (job,) = bench.api.jobs.values()
    assert job["metadata"]["name"] == transform_job_name("raw", key, version, "dev")
    assert job["metadata"]["annotations"] == {
        "postgres-etl/execution-id": _manifest("nightly-1").execution_id,
        "postgres-etl/source": f"s3://raw/{key}?versionId={version}",
    }
    assert job["spec"]["template"]["spec"]["containers"][0]["env"][1:] == [
        {"name": "EXECUTION_ID", "value": _manifest("nightly-1").execution_id},
        {"name": "DUMP_PREFIX", "value": "dev/nightly-1/etl-dump"},
        {"name": "MANIFEST_VERSION_ID", "value": version},
    ]
    assert (bench.waiting(), bench.count("received"), bench.count("dispatched")) == (0, 1, 1)
    assert bench.metrics.ready


def test_an_event_without_a_version_dispatches_the_version_that_is_there(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, ""))
    bench.rounds()
    assert list(bench.api.jobs) == [transform_job_name("raw", key, version, "dev")]


def test_the_dispatcher_deletes_a_message_only_after_its_job_exists(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    order: list[str] = []

    def created(_name: str) -> None:
        order.append(f"create with {bench.waiting()} waiting")

    bench.api.faults = [created]
    bench.rounds()
    order.append(f"{bench.waiting()} waiting")
    assert order == ["create with 1 waiting", "0 waiting"]


def test_the_test_event_of_s3_is_deleted(bench: Bench) -> None:
    bench.send_body(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "raw"}))
    bench.rounds()
    assert (bench.waiting(), bench.api.jobs) == (0, {})


NEVER: dict[str, tuple[str, str]] = {
    "no JSON": ("hello", "contract"),
    "a list": ("[]", "contract"),
    "no records": ('{"Records": []}', "contract"),
    "too deep": ("[" * 100_000, "contract"),
    "a removal": (json.dumps({"Records": [Bench.record("k", "v", eventName="ObjectRemoved:Delete")]}), "contract"),
    "another key": (json.dumps({"Records": [Bench.record("dev/x/etl-dump/toc.dat", "v")]}), "contract"),
    "a key that climbs": (json.dumps({"Records": [Bench.record("dev/../etl-dump/manifest.json", "v")]}), "contract"),
    "an encoded command": (json.dumps({"Records": [Bench.record("dev/$%28id%29/x/manifest.json", "v")]}), "contract"),
    "another bucket": (
        json.dumps({"Records": [Bench.record("k", "v", s3={"bucket": {"name": "other"}, "object": {"key": "k"}})]}),
        "another_bucket",
    ),
    "another region": (
        json.dumps({"Records": [Bench.record("dev/x/etl-dump/manifest.json", "v", awsRegion="us-east-1")]}),
        "another_region",
    ),
    "an environment without a bucket": (
        json.dumps({"Records": [Bench.record("prod/x/etl-dump/manifest.json", "v")]}),
        "unknown_environment",
    ),
}


@pytest.mark.parametrize(("body", "reason"), NEVER.values(), ids=NEVER.keys())
def test_what_can_never_be_dispatched_is_left_to_the_dead_letters(bench: Bench, body: str, reason: str) -> None:
    bench.send_body(body)
    bench.rounds(MOST_RECEIVES, hidden_come_back=True)
    assert bench.waiting() == 1
    bench.rounds()
    assert (bench.waiting(), bench.waiting(bench.dead_letters), bench.api.jobs) == (0, 1, {})
    assert bench.count("rejected", reason=reason) == MOST_RECEIVES


@pytest.mark.parametrize(
    "content", [b"", b"{}", _manifest("other").text(), replace(_manifest("nightly-1"), stage="clean").text()]
)
def test_a_dump_whose_manifest_is_none_of_it_is_left_to_the_dead_letters(bench: Bench, content: bytes) -> None:
    key, _ = bench.dump("nightly-1")
    version = bench.s3.put_object(Bucket="raw", Key=key, Body=content)["VersionId"]
    bench.send(bench.record(key, version))
    bench.rounds()
    assert (bench.waiting(), bench.api.jobs, bench.count("rejected", reason="manifest")) == (1, {}, 1)


def test_a_message_that_comes_twice_makes_one_job(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    bench.send(bench.record(key, version), bench.record(key, version))
    bench.rounds()
    assert (len(bench.api.jobs), bench.waiting(), bench.count("dispatched"), bench.count("duplicate")) == (1, 0, 1, 2)


def test_two_dispatchers_with_one_message_make_one_job(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    other = Jobs("etl", bench.settings.job_template, bench.api)

    def meanwhile(_name: str) -> None:
        other.create(
            bucket="raw",
            key=key,
            version_id=version,
            prefix=DumpPrefix.of_manifest(key),
            execution_id=_manifest("nightly-1").execution_id,
        )

    bench.api.faults = [meanwhile]
    bench.rounds()
    assert (len(bench.api.jobs), bench.waiting(), bench.count("duplicate")) == (1, 0, 1)


def test_each_version_of_a_dump_has_a_job_of_its_own(bench: Bench) -> None:
    key, first = bench.dump("nightly-1")
    _, second = bench.dump("nightly-1")
    bench.send(bench.record(key, second))
    bench.send(bench.record(key, first))
    bench.rounds()
    assert set(bench.api.jobs) == {transform_job_name("raw", key, v, "dev") for v in (first, second)}


def test_a_message_whose_second_record_is_bad_is_kept_though_its_first_is_dispatched(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version), bench.record("dev/x/etl-dump/toc.dat", "v"))
    bench.send(bench.record(key, version), bench.record("prod/x/etl-dump/manifest.json", "v"))
    bench.rounds(MOST_RECEIVES, hidden_come_back=True)
    assert (len(bench.api.jobs), bench.waiting(), bench.count("dispatched")) == (1, 2, 1)
    bench.rounds()
    assert bench.waiting(bench.dead_letters) == 2


@pytest.mark.parametrize("with_version", [True, False])
def test_a_dump_that_is_gone_needs_no_job(bench: Bench, with_version: bool) -> None:
    key, version = bench.dump("nightly-1")
    if with_version:
        bench.s3.delete_object(Bucket="raw", Key=key, VersionId=version)
    else:
        bench.s3.delete_object(Bucket="raw", Key=key)
    bench.send(bench.record(key, version if with_version else ""))
    bench.rounds()
    assert (bench.waiting(), bench.api.jobs, bench.count("source_gone")) == (0, {}, 1)


def test_an_older_version_under_a_delete_marker_is_still_dispatched(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.s3.delete_object(Bucket="raw", Key=key)
    bench.send(bench.record(key, version))
    bench.rounds()
    assert list(bench.api.jobs) == [transform_job_name("raw", key, version, "dev")]


def test_a_bucket_that_refuses_keeps_the_message(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    owners: list[str] = []

    def refuse(**arguments: Any) -> None:
        owners.append(arguments["ExpectedBucketOwner"])
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")

    monkeypatch.setattr(bench.s3, "get_object", refuse)
    bench.send(bench.record(*bench.dump("nightly-1")))
    bench.rounds()
    assert (bench.waiting(), bench.api.jobs, owners) == (1, {}, [ACCOUNT])


def test_nothing_is_received_while_jobs_cannot_be_listed(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    bench.api.list_fault = refusal(500)
    bench.rounds(5, hidden_come_back=True)
    assert (bench.count("received"), bench.api.jobs, bench.waiting()) == (0, {}, 1)
    assert (bench.count("api_errors", call="list"), bench.metrics.ready, bench.metrics.alive) == (5, False, True)
    bench.api.list_fault = None
    bench.rounds()
    assert (len(bench.api.jobs), bench.metrics.ready) == (1, True)


def test_nothing_is_received_while_no_slot_is_free(bench: Bench) -> None:
    for number in range(5):
        bench.send(bench.record(*bench.dump(f"nightly-{number}")))
    bench.rounds(10, hidden_come_back=True)
    assert (len(bench.api.jobs), bench.waiting(), bench.waiting(bench.dead_letters)) == (3, 2, 0)
    assert bench.count("received") == 3
    bench.api.finished[next(iter(bench.api.jobs))] = "Failed"
    bench.rounds(10, hidden_come_back=True)
    assert (len(bench.api.jobs), bench.waiting(), bench.count("received")) == (4, 1, 4)


def test_a_used_up_quota_hides_the_messages_for_a_while_and_loses_none(bench: Bench) -> None:
    for number in range(3):
        bench.send(bench.record(*bench.dump(f"nightly-{number}")))
    bench.api.faults = [refusal(403, "exceeded quota: transforms")]
    bench.rounds()
    assert (bench.api.jobs, bench.waiting(), bench.api.calls) == ({}, 3, ["list", "create"])
    bench.rounds()
    assert bench.count("received") == 1
    bench.rounds(2, hidden_come_back=True)
    assert (len(bench.api.jobs), bench.waiting()) == (3, 0)


def test_after_a_used_up_quota_the_dispatcher_waits_before_it_receives_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each receive counts towards the dead letters, also of what only had to wait."""
    pauses: list[float] = []
    monkeypatch.setattr(Dispatcher, "_pause", lambda _self, seconds: pauses.append(seconds))
    bench.send(bench.record(*bench.dump("nightly-1")))
    bench.api.faults = [refusal(403, "exceeded quota: transforms")]
    bench.rounds()
    assert pauses == [60]


@pytest.mark.parametrize(
    ("fault", "reason"), [(refusal(403, "forbidden"), "kubernetes_403"), (refusal(422), "kubernetes_422")]
)
def test_a_job_that_kubernetes_refuses_leaves_its_message_to_the_dead_letters(
    bench: Bench, fault: Exception, reason: str
) -> None:
    bench.send(bench.record(*bench.dump("nightly-1")))
    bench.api.faults = [fault] * MOST_RECEIVES
    bench.rounds(MOST_RECEIVES + 1, hidden_come_back=True)
    assert bench.count("rejected", reason=reason) == MOST_RECEIVES
    assert (bench.waiting(), bench.waiting(bench.dead_letters), bench.api.jobs) == (0, 1, {})


def test_kubernetes_that_does_not_answer_keeps_the_message(bench: Bench) -> None:
    bench.send(bench.record(*bench.dump("nightly-1")))
    bench.api.faults = [refusal(500)] * 3
    bench.rounds(1, hidden_come_back=True)
    assert (bench.waiting(), bench.api.jobs, bench.count("api_errors", call="create")) == (1, {}, 1)
    bench.rounds()
    assert (bench.waiting(), len(bench.api.jobs)) == (0, 1)


def test_a_message_that_cannot_be_deleted_comes_again_and_meets_its_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.send(bench.record(*bench.dump("nightly-1")))

    def refuse(**_arguments: Any) -> None:
        raise ClientError({"Error": {"Code": "ReceiptHandleIsInvalid"}}, "DeleteMessage")

    with monkeypatch.context() as patched:
        patched.setattr(bench.dispatcher.queue, "delete_message", refuse)
        bench.rounds(1, hidden_come_back=True)
    assert (bench.waiting(), len(bench.api.jobs)) == (1, 1)
    bench.rounds()
    assert (bench.waiting(), len(bench.api.jobs), bench.count("duplicate")) == (0, 1, 1)


def test_a_queue_that_does_not_answer_is_asked_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.send(bench.record(*bench.dump("nightly-1")))

    def refuse(**_arguments: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://sqs.example.com")

    with monkeypatch.context() as patched:
        patched.setattr(bench.dispatcher.queue, "receive_message", refuse)
        bench.rounds()
    assert (bench.metrics.ready, bench.metrics.alive, bench.count("queue_errors")) == (False, True, 1)
    bench.rounds()
    assert (bench.metrics.ready, len(bench.api.jobs)) == (True, 1)


def test_a_hostile_version_ends_no_loop(bench: Bench) -> None:
    key, _ = bench.dump("nightly-1")
    bench.send_body(json.dumps({"Records": [bench.record(key, "\ud800")]}))
    bench.send(bench.record(*bench.dump("nightly-2")))
    bench.rounds()
    assert (len(bench.api.jobs), bench.waiting()) == (1, 1)


def test_a_message_that_failed_is_hidden_the_longer_the_oftener_it_came(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds: list[int] = []
    change = bench.dispatcher.queue.change_message_visibility
    monkeypatch.setattr(
        bench.dispatcher.queue,
        "change_message_visibility",
        lambda **arguments: (seconds.append(arguments["VisibilityTimeout"]), change(**arguments)),
    )
    bench.send_body("junk")
    bench.rounds(MOST_RECEIVES, hidden_come_back=True)
    assert seconds == [30, 60, 120]


def test_a_dispatcher_that_is_stopped_shows_again_what_it_has_not_touched(bench: Bench) -> None:
    for number in range(3):
        bench.send(bench.record(*bench.dump(f"nightly-{number}")))
    stop: Callable[[str], None] = lambda _name: bench.dispatcher.stopping.set()  # noqa: E731
    bench.api.faults = [stop]
    bench.rounds()
    visible = bench.sqs.get_queue_attributes(QueueUrl=bench.queue, AttributeNames=["ApproximateNumberOfMessages"])
    assert len(bench.api.jobs) == 1
    assert visible["Attributes"]["ApproximateNumberOfMessages"] == "2"


@pytest.fixture
def environ(bench: Bench) -> dict[str, str]:
    return {
        "ENVIRONMENT_NAME": "prod",
        "AWS_REGION": REGION,
        "QUEUE_URL": bench.queue,
        "EXTRACT_BUCKET": "raw",
        "EXTRACT_BUCKET_OWNER": ACCOUNT,
        "LOAD_BUCKETS": '{"dev": {"bucket": "clean", "owner": "123456789012"}}',
        "JOB_NAMESPACE": "etl",
        "JOB_TEMPLATE": str(bench.settings.job_template),
        "MAX_ACTIVE_JOBS": "3",
        "METRICS_PORT": "1",
    }


@pytest.fixture
def _in_this_process(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's own parts, but for the API and the port."""
    monkeypatch.setattr(dispatcher_module, "Jobs", lambda namespace, template: Jobs(namespace, template, bench.api))
    serve = DispatchMetrics.serve
    monkeypatch.setattr(DispatchMetrics, "serve", lambda self, _port: serve(self, 0))


@pytest.mark.usefixtures("_in_this_process")
def test_the_program_serves_until_sigterm_and_then_ends_well(
    bench: Bench, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    join = threading.Thread.join

    def until_the_job_is_there(thread: threading.Thread, timeout: float | None = None) -> None:
        if thread.name == "dispatch" and timeout == 1:
            while not bench.api.jobs:
                join(thread, 0.01)
            raise Terminated
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", until_the_job_is_there)
    dispatch(environ)
    assert (len(bench.api.jobs), bench.waiting()) == (1, 0)
    assert not [thread for thread in threading.enumerate() if thread.name == "dispatch"]


@pytest.mark.usefixtures("_in_this_process")
def test_a_loop_that_breaks_is_a_fault_of_the_program(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Dispatcher, _most: int) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Dispatcher, "_round", broken)
    with pytest.raises(Fault) as stopped:
        dispatch(environ)
    assert (stopped.value.code, stopped.value.message) == (
        ExitCode.SOFTWARE,
        "the dispatcher's loop ended (ZeroDivisionError)",
    )
