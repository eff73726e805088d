"""Amazon States Language (JSONPath) fragments: one Fargate task run to its end, looked after, and answered for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pulumi
from etl_runtime import contract

from etl_infra.documents.iam import Text

State: TypeAlias = dict[str, Any]
States: TypeAlias = dict[str, State]

ERROR_PATH: Final = "$.error"

START_RETRY: Final[Mapping[str, Any]] = {
    "ErrorEquals": ["ECS.AmazonECSException", "AmazonECS.Unknown", "ECS.ServerException", "ECS.SdkClientException"],
    "IntervalSeconds": 30,
    "MaxAttempts": 6,
    "BackoffRate": 2,
    "MaxDelaySeconds": 600,
    "JitterStrategy": "FULL",
}
"""A task that did not start may be tried again; one that ran and failed would fail again (no `States.TaskFailed`)."""

READ_RETRY: Final[Mapping[str, Any]] = {
    "ErrorEquals": ["S3.SdkClientException"],
    "IntervalSeconds": 5,
    "MaxAttempts": 3,
    "BackoffRate": 2,
    "JitterStrategy": "FULL",
}

S3_ANSWERS: Final = ("S3.NoSuchKeyException", "S3.S3Exception")
"""Names of what S3 answered: of a missing key, and of anything that a HEAD, which has no body, leaves without a code.
https://github.com/aws/aws-sdk-java-v2/issues/297"""

WORTH_A_SECOND_ATTEMPT: Final = (f'*"ExitCode":{int(contract.ExitCode.TRANSIENT)}*', '*"StopCode":"TaskFailedToStart"*')
"""Patterns in the text of a stopped task. They are matched as text, since States.StringToJson fails uncatchably on
anything that is not JSON."""


@dataclass(frozen=True, kw_only=True)
class FargateRun:
    """What one run of a task needs: where it runs, and how long (seconds) one attempt may take."""

    cluster_arn: Text
    task_definition_arn: Text
    subnet_ids: pulumi.Input[Sequence[str]]
    security_group_id: Text
    container: str
    timeout_seconds: int
    exec_enabled: bool


@dataclass(frozen=True, kw_only=True)
class Failure:
    """How a machine answers for a failure: its own error names, and the topic that hears of it."""

    stage: str
    topic_arn: Text
    log_group: str


def machine(comment: str, start_at: str, timeout_seconds: int, states: States) -> dict[str, Any]:
    """A whole definition. Without `TimeoutSeconds` an execution may last a year."""
    return {"Comment": comment, "StartAt": start_at, "TimeoutSeconds": timeout_seconds, "States": states}


def machine_timeout_seconds(run: FargateRun) -> int:
    """Time for both attempts, the waiting of their retries, and the states around them."""
    waiting = int(START_RETRY["MaxAttempts"]) * int(START_RETRY["MaxDelaySeconds"])
    return 2 * (run.timeout_seconds + waiting) + 600


def two_attempts(name: str, comment: str, run: FargateRun, environment: Sequence[dict[str, Text]], then: str) -> States:
    """A task that is run to its end, and once more when its end was of a passing kind.

    Args:
        name: state of the first attempt; the second is called `<name>Again`.
        comment: what the task does.
        run: where and how it runs.
        environment: container overrides, from `given` and `taken`.
        then: state after success.
    """
    task = _task(comment, run, environment, then)
    to_second_attempt = {
        "ErrorEquals": ["States.TaskFailed"],
        "ResultPath": ERROR_PATH,
        "Next": "IsFailureWorthASecondAttempt",
    }
    return {
        name: {**task, "Catch": [to_second_attempt, *task["Catch"]]},
        "IsFailureWorthASecondAttempt": {
            "Type": "Choice",
            "Comment": "Exit code 75 and a task that never started pass by themselves; nothing else does.",
            "Choices": [
                {
                    "And": [
                        {"Variable": f"{ERROR_PATH}.Cause", "IsPresent": True},
                        {
                            "Or": [
                                {"Variable": f"{ERROR_PATH}.Cause", "StringMatches": pattern}
                                for pattern in WORTH_A_SECOND_ATTEMPT
                            ]
                        },
                    ],
                    "Next": f"{name}Again",
                }
            ],
            "Default": "NotifyFailure",
        },
        f"{name}Again": {**task, "Comment": f"{comment} Second and last attempt."},
    }


def one_attempt(name: str, comment: str, run: FargateRun, environment: Sequence[dict[str, Text]], then: str) -> States:
    """A task that is run to its end, of whatever kind that is: for work at which somebody is waiting.

    Args:
        name: its state.
        comment: what the task does.
        run: where and how it runs.
        environment: container overrides, from `given` and `taken`.
        then: state after success.
    """
    return {name: _task(comment, run, environment, then)}


def _task(comment: str, run: FargateRun, environment: Sequence[dict[str, Text]], then: str) -> State:
    task: State = {
        "Type": "Task",
        "Comment": comment,
        "Resource": "arn:aws:states:::ecs:runTask.sync",
        "Parameters": {
            "LaunchType": "FARGATE",
            "PlatformVersion": "LATEST",
            "Cluster": run.cluster_arn,
            "TaskDefinition": run.task_definition_arn,
            "NetworkConfiguration": {
                "AwsvpcConfiguration": {
                    "Subnets": run.subnet_ids,
                    "SecurityGroups": [run.security_group_id],
                    "AssignPublicIp": "DISABLED",
                }
            },
            "PropagateTags": "TASK_DEFINITION",
            "Overrides": {"ContainerOverrides": [{"Name": run.container, "Environment": list(environment)}]},
        },
        "TimeoutSeconds": run.timeout_seconds,
        "Retry": [dict(START_RETRY)],
        "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": ERROR_PATH, "Next": "NotifyFailure"}],
        "ResultPath": None,
        "Next": then,
    }
    if run.exec_enabled:
        task["Parameters"]["EnableExecuteCommand"] = True
    return task


def given(variable: contract.Env, value: Text) -> dict[str, Text]:
    """An environment variable whose value is known at deployment."""
    return {"Name": str(variable), "Value": value}


def taken(variable: contract.Env, path: str) -> dict[str, Text]:
    """An environment variable whose value an execution gives."""
    return {"Name": str(variable), "Value.$": path}


def find_manifest(
    comment: str, bucket: Text, bucket_owner: str, key_expression: str, then: str, unless_answered: str = ""
) -> State:
    """A state that succeeds only if a manifest is there, in a bucket of the account that must own it.

    Args:
        comment: what is looked for.
        bucket: where.
        bucket_owner: an account.
        key_expression: the key, as an intrinsic function of the input.
        then: state if it is there.
        unless_answered: state that judges what S3 answered if it is not; "" for a failure like any other.
    """
    catches: list[State] = [{"ErrorEquals": ["States.ALL"], "ResultPath": ERROR_PATH, "Next": "NotifyFailure"}]
    if unless_answered:
        catches.insert(0, {"ErrorEquals": list(S3_ANSWERS), "ResultPath": ERROR_PATH, "Next": unless_answered})
    return {
        "Type": "Task",
        "Comment": comment,
        "Resource": "arn:aws:states:::aws-sdk:s3:headObject",
        "Parameters": {"Bucket": bucket, "ExpectedBucketOwner": bucket_owner, "Key.$": key_expression},
        "TimeoutSeconds": 60,
        "Retry": [dict(READ_RETRY)],
        "Catch": catches,
        "ResultPath": None,
        "Next": then,
    }


def is_missing(comment: str, then: str) -> State:
    """A state that tells an object that is not there, or is not shown, from S3 not answering.

    S3 says 404 of a missing object to those alone who may list the bucket, and 403 to all others:
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
    """
    cause = f"{ERROR_PATH}.Cause"
    return {
        "Type": "Choice",
        "Comment": comment,
        "Choices": [
            {"Variable": cause, "StringMatches": f"*Status Code: {status}*", "Next": then} for status in (404, 403)
        ],
        "Default": "NotifyFailure",
    }


def refuse_input(stage: str, cause: str) -> State:
    """The end of an execution whose input is not what the machine takes."""
    return {"Type": "Fail", "Error": f"{stage}.InputRefused", "Cause": cause}


def answer_for_failure(failure: Failure) -> States:
    """Tell the topic which execution failed, ids only, then fail under a name of our own."""
    return {
        "NotifyFailure": {
            "Type": "Task",
            "Comment": "Names the execution and nothing else: a message may reach any mailbox.",
            "Resource": "arn:aws:states:::sns:publish",
            "Parameters": {
                "TopicArn": failure.topic_arn,
                "Subject": f"{contract.MIGRATOR_NAME}: {failure.stage} failed",
                "Message.$": f"States.Format('{failure.stage} failed in execution {{}}', $$.Execution.Id)",
            },
            "TimeoutSeconds": 60,
            "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "ReportFailure"}],
            "ResultPath": None,
            "Next": "ReportFailure",
        },
        "ReportFailure": {
            "Type": "Fail",
            "Error": f"{failure.stage}.Failed",
            "Cause": f"The execution's history, or the task's last event in log group {failure.log_group}, says why.",
        },
    }
