"""The transform as it is watched: by its Job while there is one, and by nothing but its clean manifest in the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError
from etl_runtime.contract import DumpPrefix, LoadBucket

from etl_cli.aws import Account
from etl_cli.clock import Pace
from etl_cli.conductor import Conductor
from etl_cli.dumps import Dumps
from etl_cli.ending import ExitStatus, RefusedError
from etl_cli.events import Event, Stage, State, Totals
from etl_cli.pipeline import Pipeline
from etl_cli.transform_jobs import TransformJobs
from etl_cli.transform_stage import TransformStage
from etl_local.kubernetes_kinds import POD

from .conftest import ACCOUNT, NAMESPACE, REGION, Aws, Cluster, SteppedClock, manifest

NAME = "dev-1"
JOB = "etl-dev-0123"


class Watch:
    """The transform under a conductor, and all that it said. The raw dump is there, as after an extract."""

    def __init__(self, aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace, letters: int | None = 0) -> None:
        self.account = account = Account(None, REGION)
        aws.put_manifest(manifest(NAME))
        self.events: list[Event] = []
        self.pipeline = Pipeline.of("dev", NAME, [Stage.TRANSFORM])
        self.state = self.pipeline.stages[Stage.TRANSFORM]
        self.followed = TransformStage(
            jobs=TransformJobs(NAMESPACE, cluster.kubeconfig),
            prefix=DumpPrefix("dev", NAME, "etl-dump"),
            raw=Dumps(account, LoadBucket("raw-dumps", ACCOUNT), "raw"),
            clean=Dumps(account, LoadBucket("dev-dumps", ACCOUNT), "clean"),
            undelivered=lambda: letters,
            clock=clock,
            pace=pace,
        )
        self.conductor = Conductor(
            pipeline=self.pipeline,
            stages=[self.followed],
            listeners=[lambda _, event: self.events.append(event)],
            clock=clock,
            pace=pace,
            patience=60,
        )

    def run(self) -> ExitStatus:
        return self.conductor.run().exit_status


def test_a_job_that_completes_and_leaves_a_clean_manifest_is_a_success(
    aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace
) -> None:
    def complete() -> None:
        cluster.end_job(JOB, "Complete")
        aws.put_manifest(manifest(NAME, "clean"))

    watch = Watch(aws, cluster, clock, pace)
    clock.turns = [lambda: cluster.add_job(JOB, NAME), complete]
    assert watch.run() is ExitStatus.DONE
    assert watch.state.work == f"etl/{JOB}"
    assert watch.state.totals == Totals(bytes=3000, rows=30, tables=2)


def test_a_job_of_another_execution_is_not_taken_for_it(
    aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace
) -> None:
    cluster.add_job(JOB, "dev-2")
    cluster.end_job(JOB, "Failed", "BackoffLimitExceeded")
    assert Watch(aws, cluster, clock, pace).run() is ExitStatus.WORK_FAILED
    assert clock.seconds == 10


def test_a_complete_job_without_a_clean_manifest_is_a_failure(
    aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace
) -> None:
    cluster.add_job(JOB, NAME)
    cluster.end_job(JOB, "Complete")
    watch = Watch(aws, cluster, clock, pace)
    assert watch.run() is ExitStatus.WORK_FAILED
    assert watch.state.error == (
        f"Job {JOB} completed, but s3://dev-dumps/dev/dev-1/etl-dump/manifest.json does not exist"
    )


def test_a_manifest_that_is_seen_late_still_counts(aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace) -> None:
    cluster.add_job(JOB, NAME)
    cluster.end_job(JOB, "Complete")
    clock.turns = [lambda: None, lambda: aws.put_manifest(manifest(NAME, "clean"))]
    assert Watch(aws, cluster, clock, pace).run() is ExitStatus.DONE


def test_a_failed_job_is_told_in_the_words_of_the_program(
    aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace
) -> None:
    cluster.add_job(JOB, NAME)
    cluster.say(JOB, event="started", program="transform")
    cluster.say(JOB, event="failed", error="columns.yaml:12: table public.userz does not exist", exit_code=78)
    cluster.end_job(JOB, "Failed", "PodFailurePolicy")
    watch = Watch(aws, cluster, clock, pace)
    assert watch.run() is ExitStatus.WORK_FAILED
    assert watch.state.error == "columns.yaml:12: table public.userz does not exist"


def test_a_failed_job_that_said_nothing_is_told_by_its_reason(
    aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace
) -> None:
    cluster.add_job(JOB, NAME)
    cluster.end_job(JOB, "Failed", "BackoffLimitExceeded")
    watch = Watch(aws, cluster, clock, pace)
    assert watch.run() is ExitStatus.WORK_FAILED
    assert watch.state.error == f"Job {JOB} failed (BackoffLimitExceeded)"


def test_a_job_past_its_deadline_took_too_long(aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace) -> None:
    cluster.add_job(JOB, NAME)
    cluster.end_job(JOB, "Failed", "DeadlineExceeded")
    assert Watch(aws, cluster, clock, pace).run() is ExitStatus.TIMED_OUT


def test_progress_is_read_from_the_pods_log(aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace) -> None:
    def go_on() -> None:
        cluster.say(JOB, event="progress", step="proving", tables_done=1, tables_total=2, bytes_done=5)

    def complete() -> None:
        cluster.end_job(JOB, "Complete")
        aws.put_manifest(manifest(NAME, "clean"))

    cluster.add_job(JOB, NAME)
    watch = Watch(aws, cluster, clock, pace)
    clock.turns = [go_on, lambda: None, complete]
    assert watch.run() is ExitStatus.DONE
    steps = [d["step"] for d in (event.document() for event in watch.events) if d["event"] == "stage_progressed"]
    assert steps == ["proving"]


def test_a_dump_that_no_job_takes_was_never_dispatched(
    aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace
) -> None:
    watch = Watch(aws, cluster, clock, pace, letters=3)
    assert watch.run() is ExitStatus.WORK_FAILED
    assert watch.state.error == (
        "never dispatched: no Job in 10 s; look at the dead-letter queue (it holds 3) and at the dispatcher's log"
    )


def test_two_jobs_for_one_execution_are_an_error(aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace) -> None:
    cluster.add_job("etl-dev-a", NAME)
    cluster.add_job("etl-dev-b", NAME)
    watch = Watch(aws, cluster, clock, pace)
    assert watch.run() is ExitStatus.WORK_FAILED
    assert watch.state.error == "2 Jobs claim this execution: etl-dev-a, etl-dev-b"


def test_a_job_that_is_gone_before_anybody_looked_is_known_by_its_manifest(
    aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace
) -> None:
    aws.put_manifest(manifest(NAME, "clean"))
    assert Watch(aws, cluster, clock, pace).run() is ExitStatus.DONE


def test_a_job_that_is_gone_without_a_manifest_failed(
    aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace
) -> None:
    cluster.add_job(JOB, NAME)
    watch = Watch(aws, cluster, clock, pace)
    clock.turns = [lambda: None, lambda: cluster.api.delete("Job", JOB, NAMESPACE)]
    assert watch.run() is ExitStatus.WORK_FAILED
    assert watch.state.error == f"Job {JOB} is gone, and s3://dev-dumps/dev/dev-1/etl-dump/manifest.json does not exist"


def test_without_a_raw_dump_nothing_is_waited_for(aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace) -> None:
    watch = Watch(aws, cluster, clock, pace)
    aws.clients["s3"].delete_object(Bucket="raw-dumps", Key="dev/dev-1/etl-dump/manifest.json")
    with pytest.raises(RefusedError) as refused:
        watch.run()
    assert str(refused.value) == (
        "nothing to transform: s3://raw-dumps/dev/dev-1/etl-dump/manifest.json does not exist"
    )


def test_a_cluster_that_fails_for_a_while_is_borne_with(
    aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace
) -> None:
    cluster.add_job(JOB, NAME)
    watch = Watch(aws, cluster, clock, pace)

    def complete() -> None:
        cluster.end_job(JOB, "Complete")
        aws.put_manifest(manifest(NAME, "clean"))

    clock.turns = [lambda: str(cluster.api.fault("GET", "/jobs$", times=2, status=503)), lambda: None, complete]
    assert watch.run() is ExitStatus.DONE
    texts = [d["text"] for d in (event.document() for event in watch.events) if d["event"] == "noticed"]
    assert texts == ["cannot be watched just now (Kubernetes answered 503); still trying", "can be seen again"]


def test_a_cluster_that_is_lost_does_not_hide_the_clean_manifest(
    aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace
) -> None:
    watch = Watch(aws, cluster, clock, pace)
    cluster.api.fault("GET", "/jobs$", times=None, status=401)
    clock.turns = [lambda: aws.put_manifest(manifest(NAME, "clean"))]
    assert watch.run() is ExitStatus.DONE


def test_a_cluster_that_stays_lost_ends_as_unknown(aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace) -> None:
    watch = Watch(aws, cluster, clock, pace)
    cluster.api.fault("GET", "/jobs$", times=None, status=401)
    assert watch.run() is ExitStatus.UNKNOWN
    assert watch.state.state is State.UNKNOWN


def test_a_manifest_that_cannot_be_asked_for_is_no_failure_of_the_job(
    aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://s3")

    cluster.add_job(JOB, NAME)
    cluster.end_job(JOB, "Complete")
    watch = Watch(aws, cluster, clock, pace)
    clock.turns = [lambda: monkeypatch.setattr(watch.account.s3, "get_object", fail)]
    assert watch.run() is ExitStatus.UNKNOWN
    assert watch.state.error == (
        "could not be watched for 5.0 s (EndpointConnectionError); it may go on: run the same command again"
    )


def test_only_the_end_of_a_long_log_is_asked_for(cluster: Cluster) -> None:
    cluster.add_job(JOB, NAME)
    for number in range(300):
        cluster.say(JOB, event="progress", step=f"step {number}")
    jobs = TransformJobs(NAMESPACE, cluster.kubeconfig)
    lines = jobs.log(jobs.of_execution(NAME)[0])
    assert [line.fields["step"] for line in lines] == [f"step {number}" for number in range(100, 300)]


def test_of_a_pod_that_never_spoke_the_cluster_says_why_it_ended(
    aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace
) -> None:
    cluster.add_job(JOB, NAME)
    message = "The node was low on resource: ephemeral-storage."
    metadata = {"name": f"{JOB}-abcde", "namespace": NAMESPACE, "labels": {"job-name": JOB}}
    containers = [{"name": "transform", "image": "transform@sha256:1"}]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}
    cluster.api.create(pod)
    cluster.api.store.update(
        POD, NAMESPACE, metadata["name"], lambda found: found["status"].update(message=message), subresource="status"
    )
    cluster.end_job(JOB, "Failed", "BackoffLimitExceeded")
    watch = Watch(aws, cluster, clock, pace)
    assert watch.run() is ExitStatus.WORK_FAILED
    assert watch.state.error == f"Job {JOB} failed (BackoffLimitExceeded): {message}"


def test_an_interrupt_leaves_the_job_and_says_how_to_end_it(
    aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    cluster.add_job(JOB, NAME)
    watch = Watch(aws, cluster, clock, pace)
    clock.turns = [interrupt]
    assert watch.run() is ExitStatus.ABORTED
    assert watch.state.error == (
        f"no longer watched; Job {JOB} goes on, and nothing loads what it leaves "
        f"(`kubectl -n etl delete job {JOB}` ends it)"
    )
    assert cluster.api.get("Job", JOB, NAMESPACE)["metadata"]["name"] == JOB


def test_of_what_is_taken_down_with_the_run_nothing_is_said_to_go_on(
    aws: Aws, cluster: Cluster, clock: SteppedClock, pace: Pace
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    cluster.add_job(JOB, NAME)
    watch = Watch(aws, cluster, clock, pace)
    watch.followed.is_ephemeral = True
    clock.turns = [interrupt]
    assert watch.run() is ExitStatus.ABORTED
    assert watch.state.error == "interrupted"
    assert watch.followed.timed_out() == f"Job {JOB} takes too long"


def test_no_way_to_the_cluster_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(RefusedError) as refused:
        TransformJobs(NAMESPACE, tmp_path / "nowhere")
    assert str(refused.value).startswith(f"no way to the Kubernetes cluster by {tmp_path / 'nowhere'}: ")
    assert "\n" not in str(refused.value)
