"""Extract and load as they are watched: started once, borne with while they cannot be seen, ended only by evidence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from etl_runtime.contract import DumpPrefix, LoadBucket

from etl_cli.aws import Account
from etl_cli.clock import Pace
from etl_cli.conductor import Conductor
from etl_cli.dumps import Dumps
from etl_cli.ending import CommandError, ExitStatus, RefusedError
from etl_cli.events import Event, Stage, State, Totals
from etl_cli.execution_stage import ExecutionStage
from etl_cli.pipeline import Pipeline
from etl_cli.state_machine import StateMachine
from etl_cli.task_log import TaskLog

from .conftest import ACCOUNT, REGION, Aws, SteppedClock, manifest

NAME = "dev-1"
EXTRACT = "extract_state_machine_arn"
LOAD = "load_state_machine_arn"


class Watch:
    """One stage under a conductor, and all that it said."""

    def __init__(self, aws: Aws, clock: SteppedClock, pace: Pace, stage: Stage = Stage.EXTRACT, **more: Any) -> None:
        account = Account(None, REGION)
        is_load = stage is Stage.LOAD
        bucket, kind = ("dev-dumps", "clean") if is_load else ("raw-dumps", "raw")
        group, container = ("/etl/pg_restore", "pg_restore") if is_load else ("/etl/pg_dump", "pg_dump")
        document = {"LOAD_FILENAME": "dev/dev-1/etl-dump"} if is_load else {"LOAD_ENVIRONMENT": "dev"}
        self.account = account
        self.events: list[Event] = []
        self.pipeline = Pipeline.of("dev", NAME, [stage])
        self.state = self.pipeline.stages[stage]
        self.followed = ExecutionStage(
            stage=stage,
            machine=StateMachine(account, aws.outputs[LOAD if is_load else EXTRACT]),
            prefix=DumpPrefix("dev", NAME, "etl-dump"),
            document=document,
            dumps=Dumps(account, LoadBucket(bucket, ACCOUNT), kind),  # type: ignore[arg-type]
            open_log=lambda execution: TaskLog(account, group, container, NAME, execution.started_at),
            clock=clock,
            pace=pace,
        )
        self.conductor = Conductor(
            pipeline=self.pipeline,
            stages=[self.followed],
            listeners=[lambda _, event: self.events.append(event)],
            clock=clock,
            pace=pace,
            **{"patience": 60, **more},
        )

    def run(self) -> ExitStatus:
        return self.conductor.run().exit_status

    def said(self) -> list[str]:
        return [str(event.document().get("text") or event.document()["event"]) for event in self.events]


def _failing(watch: Watch, operation: str, errors: list[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next calls of an operation fail, one error each."""
    client = watch.account.step_functions
    real = getattr(client, operation)

    def call(**arguments: Any) -> Any:
        if errors:
            raise errors.pop(0)
        return real(**arguments)

    monkeypatch.setattr(client, operation, call)


def _aws_error(code: str, operation: str = "DescribeExecution") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "synthetic"}}, operation)


def test_an_extract_succeeds_once_its_execution_did_and_its_manifest_is_there(
    aws: Aws, clock: SteppedClock, pace: Pace
) -> None:
    watch = Watch(aws, clock, pace)
    clock.turns = [lambda: aws.end(EXTRACT, NAME, "SUCCEEDED"), lambda: aws.put_manifest(manifest(NAME))]
    assert watch.run() is ExitStatus.DONE
    assert watch.state.totals == Totals(bytes=3000, rows=30, tables=2)
    assert watch.state.work == f"arn:aws:states:{REGION}:{ACCOUNT}:execution:postgres-etl-rds-to-s3:{NAME}"
    assert watch.state.seconds(clock.now()) == 90
    described = aws.clients["stepfunctions"].describe_execution(executionArn=watch.state.work)
    assert json.loads(described["input"]) == {"LOAD_ENVIRONMENT": "dev"}


def test_an_execution_that_succeeds_without_a_manifest_is_a_failure(aws: Aws, clock: SteppedClock, pace: Pace) -> None:
    watch = Watch(aws, clock, pace)
    clock.turns = [lambda: aws.end(EXTRACT, NAME, "SUCCEEDED")]
    assert watch.run() is ExitStatus.WORK_FAILED
    assert watch.state.error == (
        "the execution succeeded, but s3://raw-dumps/dev/dev-1/etl-dump/manifest.json does not exist"
    )


def test_a_manifest_of_another_stage_is_not_taken_for_the_dump(aws: Aws, clock: SteppedClock, pace: Pace) -> None:
    watch = Watch(aws, clock, pace)
    aws.clients["s3"].put_object(
        Bucket="raw-dumps", Key="dev/dev-1/etl-dump/manifest.json", Body=manifest(NAME, "clean").text()
    )
    clock.turns = [lambda: aws.end(EXTRACT, NAME, "SUCCEEDED")]
    assert watch.run() is ExitStatus.WORK_FAILED
    assert watch.state.error == (
        "s3://raw-dumps: manifest of dev/dev-1/etl-dump is 'clean', and only 'raw' is taken here"
    )


def test_a_manifest_that_may_not_be_told_from_an_absent_one_says_so(
    aws: Aws, clock: SteppedClock, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> Any:
        raise _aws_error("AccessDenied", "GetObject")

    watch = Watch(aws, clock, pace)
    monkeypatch.setattr(watch.account.s3, "get_object", refuse)
    clock.turns = [lambda: aws.end(EXTRACT, NAME, "SUCCEEDED")]
    assert watch.run() is ExitStatus.WORK_FAILED
    assert watch.state.error == (
        "the execution succeeded, but s3://raw-dumps/dev/dev-1/etl-dump/manifest.json "
        "does not exist or may not be read (403)"
    )


def test_every_read_of_a_manifest_names_the_account_that_must_own_the_bucket(
    aws: Aws, clock: SteppedClock, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    watch = Watch(aws, clock, pace)
    aws.put_manifest(manifest(NAME))
    real = watch.account.s3.get_object
    monkeypatch.setattr(watch.account.s3, "get_object", lambda **how: asked.append(how) or real(**how))
    clock.turns = [lambda: aws.end(EXTRACT, NAME, "SUCCEEDED")]
    assert watch.run() is ExitStatus.DONE
    assert {how["ExpectedBucketOwner"] for how in asked} == {ACCOUNT}


def test_a_failure_is_told_in_the_words_of_the_program(aws: Aws, clock: SteppedClock, pace: Pace) -> None:
    watch = Watch(aws, clock, pace)

    def fail() -> None:
        said = {"program": "pg_dump", "execution_id": f"arn:aws:states:x:{NAME}"}
        aws.log("pg_dump", event="failed", error="no space: /scratch has 1 MiB free", exit_code=73, **said)
        aws.log("pg_dump", event="failed", error="somebody else's", exit_code=65, execution_id="arn:x:dev-12")
        aws.end(EXTRACT, NAME, "FAILED", error="Extract.Failed", cause="see the log")

    clock.turns = [fail]
    assert watch.run() is ExitStatus.WORK_FAILED
    assert watch.state.error == "no space: /scratch has 1 MiB free"


def test_a_failure_that_may_pass_has_its_own_exit_status(aws: Aws, clock: SteppedClock, pace: Pace) -> None:
    watch = Watch(aws, clock, pace)

    def fail() -> None:
        aws.log("pg_dump", event="failed", error="AWS could not be reached", exit_code=75, execution_id=f"x:{NAME}")
        aws.end(EXTRACT, NAME, "FAILED")

    clock.turns = [fail]
    assert watch.run() is ExitStatus.UNKNOWN
    assert watch.state.state is State.FAILED


def test_without_the_programs_words_only_codes_of_the_cause_are_shown(
    aws: Aws, clock: SteppedClock, pace: Pace
) -> None:
    watch = Watch(aws, clock, pace)
    task = {"StopCode": "EssentialContainerExited", "Containers": [{"ExitCode": 65, "Reason": "secret words"}]}
    clock.turns = [lambda: aws.end(EXTRACT, NAME, "FAILED", error="Extract.Failed", cause=json.dumps(task))]
    assert watch.run() is ExitStatus.WORK_FAILED
    assert watch.state.error == "Extract.Failed: EssentialContainerExited, exit code 65"


@pytest.mark.parametrize(
    ("status", "exit_status"),
    [("TIMED_OUT", ExitStatus.TIMED_OUT), ("ABORTED", ExitStatus.ABORTED), ("FAILED", ExitStatus.WORK_FAILED)],
)
def test_the_exit_status_says_how_an_execution_ended(
    aws: Aws, clock: SteppedClock, pace: Pace, status: str, exit_status: ExitStatus
) -> None:
    watch = Watch(aws, clock, pace)
    clock.turns = [lambda: aws.end(EXTRACT, NAME, status)]
    assert watch.run() is exit_status


def test_progress_is_read_from_the_tasks_log(aws: Aws, clock: SteppedClock, pace: Pace) -> None:
    watch = Watch(aws, clock, pace)
    progress = {"event": "progress", "stage": "extract", "step": "dumping", "execution_id": f"arn:x:{NAME}"}

    def go_on() -> None:
        aws.log("pg_dump", **progress, bytes_done=10, bytes_total=None, tables_done=1, tables_total=2)
        aws.log("pg_dump", **progress, bytes_done=20, bytes_total=None, tables_done=2, tables_total=2)

    def end() -> None:
        aws.put_manifest(manifest(NAME))
        aws.end(EXTRACT, NAME, "SUCCEEDED")

    clock.turns = [go_on, end]
    assert watch.run() is ExitStatus.DONE
    progressed = [event.document() for event in watch.events if event.document()["event"] == "stage_progressed"]
    assert progressed == [
        {
            "event": "stage_progressed",
            "at": "2026-01-02T03:04:06Z",
            "stage": "extract",
            "step": "dumping",
            "bytes_done": 20,
            "bytes_total": None,
            "tables_done": 2,
            "tables_total": 2,
        }
    ]


def test_a_log_that_may_not_be_read_is_said_once_and_done_without(
    aws: Aws, clock: SteppedClock, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(aws, clock, pace)

    def refuse(**_: Any) -> Any:
        raise _aws_error("AccessDeniedException", "FilterLogEvents")

    monkeypatch.setattr(watch.account.logs, "filter_log_events", refuse)
    aws.put_manifest(manifest(NAME))
    clock.turns = [lambda: None, lambda: aws.end(EXTRACT, NAME, "SUCCEEDED")]
    assert watch.run() is ExitStatus.DONE
    assert watch.said() == ["stage_started", "the log /etl/pg_dump may not be read: states only", "stage_ended"]


def test_a_second_start_under_the_same_name_reattaches(aws: Aws, clock: SteppedClock, pace: Pace) -> None:
    Watch(aws, clock, pace).followed.begin()
    again = Watch(aws, clock, pace)
    aws.put_manifest(manifest(NAME))
    clock.turns = [lambda: aws.end(EXTRACT, NAME, "SUCCEEDED")]
    assert again.run() is ExitStatus.DONE
    assert again.state.note == "was started before: reattached"
    assert aws.executions(EXTRACT) == [NAME]


@pytest.mark.parametrize(("status", "exit_status"), [("SUCCEEDED", 0), ("FAILED", 1), ("ABORTED", 4)])
def test_what_has_ended_is_said_to_have_ended_and_not_run_again(
    aws: Aws, clock: SteppedClock, pace: Pace, status: str, exit_status: int
) -> None:
    Watch(aws, clock, pace).followed.begin()
    aws.put_manifest(manifest(NAME))
    aws.end(EXTRACT, NAME, status)
    again = Watch(aws, clock, pace)
    assert again.run() == exit_status
    assert again.state.note.startswith("had ended before, at ")
    assert again.state.note.endswith(": not run again")
    assert aws.executions(EXTRACT) == [NAME]


def test_a_name_that_stands_for_another_input_is_refused(aws: Aws, clock: SteppedClock, pace: Pace) -> None:
    aws.clients["stepfunctions"].start_execution(
        stateMachineArn=aws.outputs[EXTRACT], name=NAME, input='{"LOAD_ENVIRONMENT": "sbx"}'
    )
    with pytest.raises(RefusedError) as refused:
        Watch(aws, clock, pace).run()
    assert str(refused.value) == (
        'execution dev-1 exists with another input, {"LOAD_ENVIRONMENT": "sbx"}: take another --execution-name'
    )


def test_a_start_that_another_caller_won_reattaches(
    aws: Aws, clock: SteppedClock, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    Watch(aws, clock, pace).followed.begin()
    aws.put_manifest(manifest(NAME))
    aws.end(EXTRACT, NAME, "SUCCEEDED")
    again = Watch(aws, clock, pace)
    _failing(again, "describe_execution", [_aws_error("ExecutionDoesNotExist")], monkeypatch)
    assert again.run() is ExitStatus.DONE
    assert again.state.was_started_before


def test_nothing_that_cannot_be_found_is_loaded(aws: Aws, clock: SteppedClock, pace: Pace) -> None:
    with pytest.raises(RefusedError) as refused:
        Watch(aws, clock, pace, Stage.LOAD).run()
    assert str(refused.value) == ("nothing to load: s3://dev-dumps/dev/dev-1/etl-dump/manifest.json does not exist")
    assert aws.executions(LOAD) == []


def test_a_load_is_started_with_the_prefix_of_the_clean_dump(aws: Aws, clock: SteppedClock, pace: Pace) -> None:
    aws.put_manifest(manifest(NAME, "clean"))
    watch = Watch(aws, clock, pace, Stage.LOAD)
    clock.turns = [lambda: aws.end(LOAD, NAME, "SUCCEEDED")]
    assert watch.run() is ExitStatus.DONE
    described = aws.clients["stepfunctions"].describe_execution(executionArn=watch.state.work)
    assert json.loads(described["input"]) == {"LOAD_FILENAME": "dev/dev-1/etl-dump"}


def test_throttling_and_a_lost_network_are_borne_with(
    aws: Aws, clock: SteppedClock, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(aws, clock, pace)
    aws.put_manifest(manifest(NAME))

    def break_down() -> None:
        errors = [_aws_error("ThrottlingException"), EndpointConnectionError(endpoint_url="https://states")]
        _failing(watch, "describe_execution", errors, monkeypatch)

    clock.turns = [break_down, lambda: None, lambda: aws.end(EXTRACT, NAME, "SUCCEEDED")]
    assert watch.run() is ExitStatus.DONE
    assert watch.said() == [
        "stage_started",
        "cannot be watched just now (ThrottlingException); still trying",
        "can be seen again",
        "stage_ended",
    ]


def test_patience_begins_anew_each_time_it_can_be_seen(
    aws: Aws, clock: SteppedClock, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(aws, clock, pace)
    aws.put_manifest(manifest(NAME))

    def break_down() -> None:
        _failing(watch, "describe_execution", [_aws_error("ThrottlingException")] * 3, monkeypatch)

    # Blind for 3 seconds of 4, many times over: never for the 5 at a stretch that would end it.
    clock.turns = [*[break_down, *[lambda: None] * 3] * 4, lambda: aws.end(EXTRACT, NAME, "SUCCEEDED")]
    assert watch.run() is ExitStatus.DONE


def test_an_execution_that_waits_for_a_redrive_has_not_ended(aws: Aws, clock: SteppedClock, pace: Pace) -> None:
    watch = Watch(aws, clock, pace)
    aws.put_manifest(manifest(NAME))
    clock.turns = [
        lambda: aws.end(EXTRACT, NAME, "PENDING_REDRIVE"),
        lambda: None,
        lambda: aws.end(EXTRACT, NAME, "SUCCEEDED"),
    ]
    assert watch.run() is ExitStatus.DONE


def test_an_execution_that_is_shown_late_is_followed_with_its_log(
    aws: Aws, clock: SteppedClock, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(aws, clock, pace)
    _failing(watch, "describe_execution", [_aws_error("ExecutionDoesNotExist")] * 3, monkeypatch)

    def fail() -> None:
        aws.log("pg_dump", event="failed", error="the reason", exit_code=65, execution_id=f"x:{NAME}")
        aws.end(EXTRACT, NAME, "FAILED")

    clock.turns = [lambda: None, fail]
    assert watch.run() is ExitStatus.WORK_FAILED
    assert watch.state.error == "the reason"
    assert watch.said()[1] == "cannot be watched just now (the execution is not shown yet); still trying"


def test_every_page_of_the_log_is_read(
    aws: Aws, clock: SteppedClock, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(aws, clock, pace)
    first = {"events": [{"eventId": "1", "timestamp": 1, "message": "not JSON"}], "nextToken": "more"}
    message = json.dumps({"event": "failed", "error": "on the second page", "execution_id": f"x:{NAME}"})
    second = {"events": [{"eventId": "2", "timestamp": 2, "message": message}]}
    pages = {None: first, "more": second}
    monkeypatch.setattr(watch.account.logs, "filter_log_events", lambda **how: pages[how.get("nextToken")])
    clock.turns = [lambda: aws.end(EXTRACT, NAME, "FAILED")]
    assert watch.run() is ExitStatus.WORK_FAILED
    assert watch.state.error == "on the second page"


def test_what_cannot_be_seen_for_long_ends_as_unknown_and_never_as_success(
    aws: Aws, clock: SteppedClock, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(aws, clock, pace)
    aws.put_manifest(manifest(NAME))

    def break_down() -> None:
        aws.end(EXTRACT, NAME, "SUCCEEDED")
        _failing(watch, "describe_execution", [_aws_error("InternalError")] * 99, monkeypatch)

    clock.turns = [break_down]
    assert watch.run() is ExitStatus.UNKNOWN
    assert watch.state.error == (
        "could not be watched for 5.0 s (InternalError); it may go on: run the same command again"
    )


def test_credentials_that_grew_too_old_are_read_again(
    aws: Aws, clock: SteppedClock, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(aws, clock, pace)
    aws.put_manifest(manifest(NAME))
    stale = watch.account.step_functions

    def expire() -> None:
        # The stale client never recovers: only a new one can see the execution.
        _failing(watch, "describe_execution", [_aws_error("ExpiredTokenException")] * 99, monkeypatch)
        aws.end(EXTRACT, NAME, "SUCCEEDED")

    clock.turns = [expire]
    assert watch.run() is ExitStatus.DONE
    assert watch.account.step_functions is not stale


def test_waiting_that_takes_too_long_leaves_the_execution_running(aws: Aws, clock: SteppedClock, pace: Pace) -> None:
    watch = Watch(aws, clock, pace, patience=10)
    assert watch.run() is ExitStatus.TIMED_OUT
    assert watch.state.error == "execution dev-1 goes on: the same command watches it again"
    assert clock.seconds == 10
    assert aws.clients["stepfunctions"].describe_execution(executionArn=watch.state.work)["status"] == "RUNNING"


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_an_interrupt_stops_the_execution(aws: Aws, clock: SteppedClock, pace: Pace) -> None:
    watch = Watch(aws, clock, pace)
    clock.turns = [_interrupt]
    assert watch.run() is ExitStatus.ABORTED
    assert watch.state.error == "interrupted; execution dev-1 was stopped"
    assert aws.clients["stepfunctions"].describe_execution(executionArn=watch.state.work)["status"] == "ABORTED"


def _already_over(aws: Aws, watch: Watch, output: str, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt right after the execution has ended; it stays so, as AWS has it, where moto would abort it."""
    monkeypatch.setattr(watch.account.step_functions, "stop_execution", lambda **_: {})

    def end() -> None:
        aws.end(output, NAME, status)
        raise KeyboardInterrupt

    watch.conductor.clock.turns = [end]  # type: ignore[attr-defined]  # a SteppedClock


@pytest.mark.parametrize(
    ("stage", "status", "ephemeral", "fate"),
    [
        (Stage.EXTRACT, "SUCCEEDED", False, "succeeded already: its dump will be transformed, and nothing loads it"),
        (Stage.EXTRACT, "SUCCEEDED", True, "succeeded already"),
        (Stage.LOAD, "SUCCEEDED", False, "succeeded already: the target is replaced"),
        (Stage.LOAD, "FAILED", False, "failed already"),
        (Stage.EXTRACT, "TIMED_OUT", False, "timed out already"),
    ],
)
def test_an_interrupt_after_the_end_says_how_it_had_ended(
    aws: Aws,
    clock: SteppedClock,
    pace: Pace,
    monkeypatch: pytest.MonkeyPatch,
    stage: Stage,
    status: str,
    ephemeral: bool,
    fate: str,
) -> None:
    aws.put_manifest(manifest(NAME, "clean"))
    watch = Watch(aws, clock, pace, stage)
    watch.followed.is_ephemeral = ephemeral
    _already_over(aws, watch, LOAD if stage is Stage.LOAD else EXTRACT, status, monkeypatch)
    assert watch.run() is ExitStatus.ABORTED
    assert watch.state.error == f"interrupted; execution dev-1 had {fate}"


def test_an_execution_that_does_not_end_at_once_was_only_told_to_stop(
    aws: Aws, clock: SteppedClock, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(aws, clock, pace)
    monkeypatch.setattr(watch.account.step_functions, "stop_execution", lambda **_: {})
    clock.turns = [_interrupt]
    assert watch.run() is ExitStatus.ABORTED
    assert watch.state.error == "interrupted; execution dev-1 was told to stop"


def test_an_execution_that_nobody_sees_after_an_interrupt_was_only_told_to_stop(
    aws: Aws, clock: SteppedClock, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(aws, clock, pace)

    def blind() -> None:
        _failing(watch, "describe_execution", [_aws_error("AccessDeniedException", "DescribeExecution")], monkeypatch)
        raise KeyboardInterrupt

    clock.turns = [blind]
    assert watch.run() is ExitStatus.ABORTED
    assert watch.state.error == "interrupted; execution dev-1 was told to stop"


def test_an_interrupt_may_leave_the_execution_running(aws: Aws, clock: SteppedClock, pace: Pace) -> None:
    watch = Watch(aws, clock, pace, detach_on_interrupt=True)
    clock.turns = [_interrupt]
    assert watch.run() is ExitStatus.ABORTED
    assert watch.state.error == "no longer watched; execution dev-1 goes on"
    assert aws.clients["stepfunctions"].describe_execution(executionArn=watch.state.work)["status"] == "RUNNING"


def test_an_interrupt_before_the_start_has_nothing_to_stop(aws: Aws, clock: SteppedClock, pace: Pace) -> None:
    watch = Watch(aws, clock, pace)
    watch.account.step_functions.meta.events.register("before-call.sfn.StartExecution", lambda **_: _interrupt())
    assert watch.run() is ExitStatus.ABORTED
    assert watch.state.error == "interrupted before it was started"


def test_an_interrupt_that_cannot_stop_the_execution_says_so(
    aws: Aws, clock: SteppedClock, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(aws, clock, pace)
    _failing(watch, "stop_execution", [_aws_error("AccessDeniedException", "StopExecution")], monkeypatch)
    clock.turns = [_interrupt]
    assert watch.run() is ExitStatus.ABORTED
    assert watch.state.error == (
        "interrupted, and execution dev-1 could NOT be stopped (AccessDeniedException): it may go on"
    )


def test_a_start_that_aws_refuses_is_one_line(
    aws: Aws, clock: SteppedClock, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(aws, clock, pace)
    _failing(watch, "start_execution", [_aws_error("AccessDeniedException", "StartExecution")], monkeypatch)
    with pytest.raises(CommandError) as refused:
        watch.run()
    assert str(refused.value) == "extract was not started: AWS answered AccessDeniedException"
