"""What the dispatcher does while something else does not work, and how it ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from etl_runtime import dispatcher as dispatcher_module
from etl_runtime.contract import ExitCode
from etl_runtime.dispatch_metrics import DispatchMetrics
from etl_runtime.dispatcher import Dispatcher, dispatch
from etl_runtime.faults import Fault, Terminated
from etl_runtime.jobs import Jobs

from tests.containers.aws_account import ACCOUNT, REGION
from tests.containers.cluster_api import refusal
from tests.containers.dispatch_bench import MOST_RECEIVES, Bench

if TYPE_CHECKING:
    pass


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
    monkeypatch.setattr(DispatchMetrics, "serve", lambda self, _address, _port: serve(self, "127.0.0.1", 0))


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
