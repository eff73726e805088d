"""A state machine run by moto's interpreter, with tasks that end as a script says instead of running."""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import TimeoutSeconds
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_callback
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_aws_sdk import (
    StateTaskServiceAwsSdk,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_ecs import (
    StateTaskServiceEcs,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

from etl_local.patching import replaced
from etl_local.sdk_error_bridge import named_errors

ACCOUNT: Final = "123456789012"
"""moto's own."""

REGION: Final = "eu-west-2"
NOT_STARTED: Final = "the task could not be started"
STOPPED_AT_START: Final = "the task stopped before its container ran"
HANGS: Final = "the task goes on and on"
_DEADLINE_SECONDS: Final = 30
_parsed = functools.cache(AmazonStateLanguageParser.parse)
"""A third of an execution's time; what comes of it holds nothing of an execution."""


@dataclass
class Ended:
    """How an execution ended, and what it did until then.

    Attributes:
        status: of the execution.
        error: its error's name, "" if it succeeded.
        states: those it entered, in order.
        runs: the parameters of each attempt to run the task.
        waits: seconds that it would have waited before each new attempt.
        notices: what the topic heard.
    """

    status: str
    error: str
    states: list[str]
    runs: list[dict[str, Any]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


@dataclass
class Script:
    """Outcomes of the attempts to run the task, in order: an exit code, or one of the words above."""

    outcomes: Sequence[int | str]
    runs: list[dict[str, Any]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    @contextlib.contextmanager
    def played(self) -> Iterator[None]:
        """Let no task run, no wait last, and no task that is to hang have more than a second of its hours."""
        hours: Callable[..., int] = TimeoutSeconds._eval_seconds

        def second(timeout: TimeoutSeconds, **named: Any) -> int:
            return 1 if HANGS in self.outcomes and timeout.timeout_seconds > 600 else hours(timeout, **named)

        with (
            replaced(StateTaskServiceEcs, "_eval_service_task", self._start()),
            replaced(StateTaskServiceEcs, "_build_sync_resolver", self._follow()),
            replaced(retrier_decl, "time", SimpleNamespace(sleep=self.waits.append)),
            replaced(state_task_service_callback, "_DELAY_SECONDS_SYNC_CONDITION_CHECK", 0.02),
            replaced(TimeoutSeconds, "_eval_seconds", second),
        ):
            yield

    def _start(self) -> Callable[..., None]:
        def eval_service_task(
            service: StateTaskServiceEcs, env: Any, normalised_parameters: dict[str, Any], **_: Any
        ) -> None:
            self.runs.append(normalised_parameters)
            if self._outcome == NOT_STARTED:
                raise _failure(service, env, CustomErrorName("ECS.AmazonECSException"), "no capacity")
            env.stack.append({"Tasks": [{"TaskArn": "task"}]})

        return eval_service_task

    def _follow(self) -> Callable[..., Callable[[], Any]]:
        def build_sync_resolver(service: StateTaskServiceEcs, env: Any, **_: Any) -> Callable[[], Any]:
            env.stack.pop()
            outcome = self._outcome

            def ended() -> dict[str, Any] | None:
                if outcome == HANGS:
                    return None
                if outcome == 0:
                    return {"Containers": [{"ExitCode": 0}], "LastStatus": "STOPPED"}
                task: dict[str, Any] = {"Containers": [{}], "StopCode": "TaskFailedToStart"}
                if outcome != STOPPED_AT_START:
                    task = {"Containers": [{"ExitCode": outcome}], "StopCode": "EssentialContainerExited"}
                error = StatesErrorName(StatesErrorNameType.StatesTaskFailed)
                raise _failure(service, env, error, json.dumps(task, separators=(",", ":")))

            return ended

        return build_sync_resolver

    @property
    def _outcome(self) -> int | str:
        return self.outcomes[len(self.runs) - 1]


@contextlib.contextmanager
def _s3_answering(status: int) -> Iterator[None]:
    """Let S3 answer each question with an HTTP status; 0 lets moto answer."""
    answer: Callable[..., None] = StateTaskServiceAwsSdk._eval_service_task

    def eval_service_task(service: StateTaskServiceAwsSdk, **arguments: Any) -> None:
        if status:
            metadata = {"HTTPStatusCode": status, "RequestId": "0"}
            raise ClientError({"Error": {"Message": ""}, "ResponseMetadata": metadata}, "HeadObject")  # type: ignore[arg-type]  # what moto reads
        answer(service, **arguments)

    with replaced(StateTaskServiceAwsSdk, "_eval_service_task", eval_service_task):
        yield


def _failure(service: StateTaskServiceEcs, env: Any, error: Any, cause: str) -> FailureEventException:
    details = TaskFailedEventDetails(
        resourceType=service._get_sfn_resource_type(),
        resource=service._get_sfn_resource(),
        error=error.error_name,
        cause=cause,
    )
    event = FailureEvent(
        env=env,
        error_name=error,
        event_type=HistoryEventType.TaskFailed,
        event_details=EventDetails(taskFailedEventDetails=details),  # type: ignore[call-arg]  # a TypedDict's fields
    )
    return FailureEventException(event)


def execute(
    definition: dict[str, Any],
    given: Any,
    outcomes: Sequence[int | str],
    *,
    objects: Sequence[tuple[str, str]] = (),
    topic: str = "",
    name: str = "nightly-1",
    s3_status: int = 0,
) -> Ended:
    """Run a definition to its end.

    Args:
        definition: as it is deployed.
        given: the execution's input.
        outcomes: of the task, see `Script`.
        objects: (bucket, key) of what is in S3; "" as key makes the bucket alone.
        topic: name of the topic that is there, "" for none.
        name: of the execution.
        s3_status: an HTTP status that S3 answers whatever it is asked; 0 for what is true.

    Raises:
        TimeoutError: it did not end.
    """
    script = Script(outcomes)
    interpreted = mock_aws(config={"stepfunctions": {"execute_state_machine": True}})
    parsed_once = replaced(AmazonStateLanguageParser, "parse", staticmethod(_parsed))
    with interpreted, named_errors(), parsed_once, script.played(), _s3_answering(s3_status):
        _fill(objects)
        mailbox = _mailbox(topic) if topic else ""
        client = boto3.client("stepfunctions", region_name=REGION)
        machine = client.create_state_machine(
            name="machine", definition=json.dumps(definition), roleArn=f"arn:aws:iam::{ACCOUNT}:role/states"
        )["stateMachineArn"]
        arn = client.start_execution(stateMachineArn=machine, name=name, input=json.dumps(given))["executionArn"]
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while (ended := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
            if time.monotonic() > deadline:
                raise TimeoutError(arn)
            time.sleep(0.02)
        events = client.get_execution_history(executionArn=arn, maxResults=1000)["events"]
        return Ended(
            status=ended["status"],
            error=ended.get("error", ""),
            states=[e["stateEnteredEventDetails"]["name"] for e in events if "stateEnteredEventDetails" in e],
            runs=script.runs,
            waits=script.waits,
            notices=_heard(mailbox) if mailbox else [],
        )


def _fill(objects: Sequence[tuple[str, str]]) -> None:
    s3 = boto3.client("s3", region_name=REGION)
    for bucket in sorted({bucket for bucket, _ in objects}):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    for bucket, key in objects:
        if key:
            s3.put_object(Bucket=bucket, Key=key, Body=b"{}")


def _mailbox(topic: str) -> str:
    sns, sqs = boto3.client("sns", region_name=REGION), boto3.client("sqs", region_name=REGION)
    url = sqs.create_queue(QueueName="mailbox")["QueueUrl"]
    arn = sns.create_topic(Name=topic)["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:mailbox")
    return url


def _heard(url: str) -> list[str]:
    sqs = boto3.client("sqs", region_name=REGION)
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"])["Message"] for message in messages]
