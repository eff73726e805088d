"""What the dispatcher does while something else does not work, and how it ends."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from etl_runtime import dispatcher as dispatcher_module
from etl_runtime.contract import ExitCode, transform_job_name
from etl_runtime.dispatch_metrics import DispatchMetrics
from etl_runtime.dispatcher import Dispatcher, dispatch
from etl_runtime.faults import Fault, Terminated

from tests.containers.aws_account import ACCOUNT, REGION
from tests.containers.dispatch_bench import MOST_RECEIVES, Bench

QUOTA = 'jobs.batch "x" is forbidden: exceeded quota: transforms, requested: count/jobs.batch=1'


def patient(monkeypatch: pytest.MonkeyPatch, most: int = 100) -> list[float]:
    """Let pauses pass at once instead of ending the round, so many of them; what they were."""
    pauses: list[float] = []

    def pause(self: Dispatcher, seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) >= most:
            self.stopping.set()

    monkeypatch.setattr(Dispatcher, "_pause", pause)
    return pauses


def test_a_bucket_that_refuses_keeps_the_message(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    owners: list[str] = []

    def refuse(**arguments: Any) -> None:
        owners.append(arguments["ExpectedBucketOwner"])
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")

    monkeypatch.setattr(bench.s3, "get_object", refuse)
    bench.send(bench.record(*bench.dump("nightly-1")))
    bench.rounds()
    assert (bench.waiting(), bench.cluster.jobs(), owners, bench.count("postponed")) == (1, {}, [ACCOUNT], 1)


def test_a_version_that_s3_cannot_read_is_a_dead_letter(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_arguments: Any) -> None:
        raise ClientError({"Error": {"Code": "InvalidArgument"}}, "GetObject")

    monkeypatch.setattr(bench.s3, "get_object", refuse)
    bench.send(bench.record(*bench.dump("nightly-1")))
    bench.rounds()
    assert [reason for _, reason in bench.letters()] == ["version: S3 knows no such versionId"]


def test_a_record_that_has_to_wait_keeps_no_other_from_its_job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    waits, goes = bench.dump("nightly-1"), bench.dump("nightly-2")
    get = bench.s3.get_object

    def refuse(**arguments: Any) -> Any:
        if arguments["Key"] == waits[0]:
            raise ClientError({"Error": {"Code": "SlowDown"}}, "GetObject")
        return get(**arguments)

    monkeypatch.setattr(bench.s3, "get_object", refuse)
    bench.send(bench.record(*waits), bench.record(*goes))
    bench.rounds()
    assert (list(bench.cluster.jobs()), bench.waiting()) == ([transform_job_name("raw", *goes, "dev")], 1)


@pytest.mark.parametrize("how", [{"status": 500}, {"status": 403}, {"status": 429}, {"status": None}])
def test_nothing_is_received_while_jobs_cannot_be_listed(bench: Bench, how: dict[str, Any]) -> None:
    bench.send(bench.record(*bench.dump("nightly-1")))
    fault = bench.cluster.fault("list", times=None, **how)
    bench.rounds(5, hidden_come_back=True)
    assert (bench.count("received"), bench.cluster.jobs(), bench.waiting()) == (0, {}, 1)
    code = str(how["status"] or "ProtocolError")
    assert (bench.count("api_errors", call="list", code=code), bench.metrics.ready, bench.metrics.alive) == (
        5,
        False,
        True,
    )
    fault.end()
    bench.rounds()
    assert (len(bench.cluster.jobs()), bench.metrics.ready) == (1, True)


def test_pauses_grow_while_jobs_cannot_be_listed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = patient(monkeypatch, most=7)
    bench.cluster.fault("list", times=None, status=500)
    bench.dispatcher.serve()
    assert pauses == [2, 4, 8, 16, 32, 32, 32]


def test_two_hundred_events_at_once_start_no_more_jobs_than_there_are_slots_and_none_is_spent(bench: Bench) -> None:
    bench.send_each([bench.record(*bench.dump(f"nightly-{number}")) for number in range(200)])
    bench.rounds(10, hidden_come_back=True)
    assert (len(bench.cluster.jobs()), bench.waiting(), bench.waiting(bench.dead_letters)) == (3, 197, 0)
    assert bench.count("received") == 3
    bench.cluster.end(next(iter(bench.cluster.jobs())), "Failed")
    bench.rounds(10, hidden_come_back=True)
    assert (len(bench.cluster.jobs()), bench.waiting(), bench.count("received")) == (4, 196, 4)


def test_a_used_up_quota_spends_the_receives_of_no_message_however_long_it_lasts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended Jobs count in the quota until they are deleted, which may take a day."""
    for number in range(20):
        bench.send(bench.record(*bench.dump(f"nightly-{number}")))
    bench.cluster.limit(0)
    looked = 0

    def pause(self: Dispatcher, _seconds: float) -> None:
        nonlocal looked
        looked += 1
        bench._show_all()
        if looked == 50:
            bench.cluster.limit(1)
        if looked == 100:
            self.stopping.set()

    monkeypatch.setattr(Dispatcher, "_pause", pause)
    bench.dispatcher.serve()
    assert (len(bench.cluster.jobs()), bench.waiting(), bench.waiting(bench.dead_letters)) == (1, 19, 0)
    # one was held through all of it, then the next; those that came together with the first were given back
    assert bench.count("received") == 2
    assert bench.receives() <= 2


def test_a_message_that_waits_for_a_quota_is_given_back_in_time_when_the_dispatcher_stops(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.send(bench.record(*bench.dump("nightly-1")))
    bench.cluster.limit(0)
    assert patient(monkeypatch, most=3) == []
    bench.dispatcher.serve()
    visible = bench.sqs.get_queue_attributes(QueueUrl=bench.queue, AttributeNames=["ApproximateNumberOfMessages"])
    assert visible["Attributes"]["ApproximateNumberOfMessages"] == "1"


def test_a_job_that_is_there_is_found_though_the_quota_is_used_up(bench: Bench) -> None:
    """Quota is asked before names: https://github.com/argoproj/argo-workflows/issues/1720."""
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    bench.rounds()
    bench.cluster.limit(1)
    bench.send(bench.record(key, version))
    bench.rounds()
    assert (len(bench.cluster.jobs()), bench.waiting(), bench.count("duplicate")) == (1, 0, 1)


@pytest.mark.parametrize(("status", "message"), [(403, "forbidden: User cannot create"), (422, "invalid"), (404, "")])
def test_a_job_that_kubernetes_refuses_is_a_dead_letter_at_the_first_time(
    bench: Bench, status: int, message: str
) -> None:
    bench.send(bench.record(*bench.dump("nightly-1")))
    bench.cluster.fault("create", status=status, message=message)
    bench.rounds()
    assert [reason for _, reason in bench.letters()] == [f"kubernetes_{status}: Kubernetes does not take the Job"]
    assert bench.count("rejected", reason=f"kubernetes_{status}", kind="cluster") == 1
    assert (bench.waiting(), bench.cluster.jobs()) == (0, {})


def test_a_name_that_another_dump_has_is_a_collision_and_a_dead_letter(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.cluster.add(transform_job_name("raw", key, version, "dev"), "s3://raw/other?versionId=v1")
    bench.send(bench.record(key, version))
    bench.rounds()
    assert [reason for _, reason in bench.letters()] == ["collision: Kubernetes does not take the Job"]
    assert bench.count("rejected", reason="collision", kind="security") == 1


def test_a_job_that_is_being_deleted_is_waited_for_and_keeps_no_other_from_its_own(bench: Bench) -> None:
    going, other = bench.dump("nightly-1"), bench.dump("nightly-2")
    name = transform_job_name("raw", *going, "dev")
    bench.send(bench.record(*going))
    bench.rounds()
    bench.cluster.begin_to_delete(name)
    bench.send(bench.record(*going))
    bench.send(bench.record(*other))
    bench.rounds(1, hidden_come_back=True)
    assert (len(bench.cluster.jobs()), bench.waiting(), bench.count("postponed")) == (2, 1, 1)
    bench.cluster.finish_deleting(name)
    assert name not in bench.cluster.jobs()
    bench.rounds()
    assert (len(bench.cluster.jobs()), bench.waiting(), bench.count("rejected")) == (2, 0, 0)


@pytest.mark.parametrize(
    "how", [{"status": 500}, {"status": 429, "retry_after": 1}, {"status": 503}, {"status": 401}, {"status": None}]
)
@pytest.mark.parametrize("executed", [False, True])
def test_kubernetes_that_does_not_answer_keeps_the_message_in_hand_until_it_does(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, how: dict[str, Any], executed: bool
) -> None:
    """Executed: the Job was made all the same, and is found by its name."""
    patient(monkeypatch)
    bench.send(bench.record(*bench.dump("nightly-1")))
    bench.cluster.fault("create", times=7, executed=executed, **how)
    bench.rounds()
    assert (bench.waiting(), len(bench.cluster.jobs()), bench.count("received")) == (0, 1, 1)
    assert bench.count("duplicate" if executed else "dispatched") == 1
    assert bench.count("api_errors", call="create", code=str(how["status"] or "ProtocolError")) == 2


def test_a_message_whose_creation_fails_for_a_quarter_of_an_hour_makes_way_for_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        dispatcher_module, "_LONGEST_HOLD_SECONDS", dict.fromkeys(dispatcher_module._LONGEST_HOLD_SECONDS, -1)
    )
    patient(monkeypatch)
    bench.send(bench.record(*bench.dump("nightly-1")))
    bench.cluster.fault("create", times=3, status=500)
    bench.rounds()
    assert (bench.waiting(), bench.cluster.jobs()) == (1, {})
    bench.send(bench.record(*bench.dump("nightly-2")))
    bench.rounds()
    assert (bench.waiting(), len(bench.cluster.jobs())) == (1, 1)


def test_a_message_that_cannot_be_deleted_comes_again_and_meets_its_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.send(bench.record(*bench.dump("nightly-1")))

    def refuse(**_arguments: Any) -> None:
        raise ClientError({"Error": {"Code": "ReceiptHandleIsInvalid"}}, "DeleteMessage")

    with monkeypatch.context() as patched:
        patched.setattr(bench.sqs, "delete_message", refuse)
        bench.rounds(1, hidden_come_back=True)
    assert (bench.waiting(), len(bench.cluster.jobs())) == (1, 1)
    bench.rounds()
    assert (bench.waiting(), len(bench.cluster.jobs()), bench.count("duplicate")) == (0, 1, 1)


def test_a_letter_that_cannot_be_buried_gets_there_by_its_receives(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.send_body("junk")

    def refuse(**_arguments: Any) -> None:
        raise ClientError({"Error": {"Code": "InvalidParameterValue"}}, "SendMessage")

    monkeypatch.setattr(bench.sqs, "send_message", refuse)
    bench.rounds(MOST_RECEIVES, hidden_come_back=True)
    assert (bench.waiting(), bench.waiting(bench.dead_letters)) == (1, 0)
    bench.rounds()
    assert (bench.waiting(), bench.letters()) == (0, [("junk", "")])


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="https://sqs.example.com"),
        ClientError({"Error": {"Code": "ExpiredToken"}}, "ReceiveMessage"),
        ClientError({"Error": {"Code": "SignatureDoesNotMatch"}}, "ReceiveMessage"),
    ],
    ids=["down", "expired", "skewed"],
)
def test_a_queue_that_does_not_answer_is_asked_again_ever_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    bench.send(bench.record(*bench.dump("nightly-1")))

    def refuse(**_arguments: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        pauses = patient(patched, most=4)
        patched.setattr(bench.sqs, "receive_message", refuse)
        bench.dispatcher.serve()
    assert pauses == [2, 4, 8, 16]
    assert (bench.metrics.ready, bench.metrics.alive, bench.count("queue_errors")) == (False, True, 4)
    bench.rounds()
    assert (bench.metrics.ready, len(bench.cluster.jobs())) == (True, 1)


def test_a_message_that_has_to_wait_is_hidden_the_longer_the_oftener_it_came(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds: list[int] = []
    change = bench.sqs.change_message_visibility
    monkeypatch.setattr(
        bench.sqs,
        "change_message_visibility",
        lambda **arguments: (seconds.append(arguments["VisibilityTimeout"]), change(**arguments)),
    )

    def refuse(**_arguments: Any) -> None:
        raise ClientError({"Error": {"Code": "SlowDown"}}, "GetObject")

    bench.send(bench.record(*bench.dump("nightly-1")))
    monkeypatch.setattr(bench.s3, "get_object", refuse)
    bench.rounds(MOST_RECEIVES, hidden_come_back=True)
    assert seconds == [30, 60, 120]


def test_a_dispatcher_that_is_stopped_shows_again_what_it_has_not_touched(bench: Bench) -> None:
    for number in range(3):
        bench.send(bench.record(*bench.dump(f"nightly-{number}")))
    bench.cluster.before["create"] = bench.dispatcher.stopping.set
    bench.rounds()
    visible = bench.sqs.get_queue_attributes(QueueUrl=bench.queue, AttributeNames=["ApproximateNumberOfMessages"])
    assert len(bench.cluster.jobs()) == 1
    assert visible["Attributes"]["ApproximateNumberOfMessages"] == "2"


@pytest.fixture
def environ(bench: Bench) -> dict[str, str]:
    return {
        "ENVIRONMENT_NAME": "prod",
        "AWS_REGION": REGION,
        "QUEUE_URL": bench.queue,
        "DEAD_LETTER_QUEUE_URL": bench.dead_letters,
        "EXTRACT_BUCKET": "raw",
        "EXTRACT_BUCKET_OWNER": ACCOUNT,
        "LOAD_BUCKETS": json.dumps({"dev": {"bucket": "clean", "owner": ACCOUNT}}),
        "JOB_NAMESPACE": bench.settings.namespace,
        "JOB_TEMPLATE": str(bench.settings.job_template),
        "MAX_ACTIVE_JOBS": "3",
        "METRICS_PORT": "1",
    }


@pytest.fixture
def _in_this_process(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's own parts, but for the way to the cluster and the port."""
    monkeypatch.setattr(dispatcher_module, "Jobs", lambda *_arguments, **_options: bench.open_jobs())
    serve = DispatchMetrics.serve
    monkeypatch.setattr(DispatchMetrics, "serve", lambda self, _address, _port: serve(self, "127.0.0.1", 0))


@pytest.mark.usefixtures("_in_this_process")
def test_the_program_serves_until_sigterm_and_then_ends_well(
    bench: Bench, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.send(bench.record(*bench.dump("nightly-1")))
    wait = threading.Event.wait

    def until_the_job_is_there(event: threading.Event, timeout: float | None = None) -> bool:
        if threading.current_thread() is threading.main_thread() and timeout == 1:
            while not bench.cluster.jobs():
                wait(event, 0.01)
            raise Terminated
        return wait(event, timeout)

    monkeypatch.setattr(threading.Event, "wait", until_the_job_is_there)
    dispatch(environ)
    assert (len(bench.cluster.jobs()), bench.waiting()) == (1, 0)
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
