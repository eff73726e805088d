"""The states that both machines have, as the tests expect them."""

from typing import Any

START_RETRY = {
    "ErrorEquals": ["ECS.AmazonECSException", "AmazonECS.Unknown", "ECS.ServerException", "ECS.SdkClientException"],
    "IntervalSeconds": 30,
    "MaxAttempts": 6,
    "BackoffRate": 2,
    "MaxDelaySeconds": 600,
    "JitterStrategy": "FULL",
}
TO_FAILURE = {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "NotifyFailure"}
TO_SECOND_ATTEMPT = {
    "ErrorEquals": ["States.TaskFailed"],
    "ResultPath": "$.error",
    "Next": "IsFailureWorthASecondAttempt",
}


def attempt(account: str, stack: str, stage: str, container: str, environment: list[Any]) -> dict[str, Any]:
    """A state that runs the task, without its comment and its Catch."""
    digit = {"prod": "f", "sbx": "5"}[stack]
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::ecs:runTask.sync",
        "Parameters": {
            "LaunchType": "FARGATE",
            "PlatformVersion": "LATEST",
            "Cluster": f"arn:aws:ecs:eu-west-2:{account}:cluster/postgres-etl-{stage}-{stack}",
            "TaskDefinition": f"arn:aws:ecs:eu-west-2:{account}:task-definition/{container}:1",
            "NetworkConfiguration": {
                "AwsvpcConfiguration": {
                    "Subnets": [f"subnet-0{digit}00000000000000a", f"subnet-0{digit}00000000000000b"],
                    "SecurityGroups": [f"{stage}-task-security-group-id"],
                    "AssignPublicIp": "DISABLED",
                }
            },
            "PropagateTags": "TASK_DEFINITION",
            "Overrides": {"ContainerOverrides": [{"Name": container, "Environment": environment}]},
        },
        "TimeoutSeconds": 21600,
        "Retry": [START_RETRY],
        "ResultPath": None,
    }


def find_manifest(bucket: str, owner: str, key: str) -> dict[str, Any]:
    """A state that asks for a manifest, without its comment and its Next."""
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:s3:headObject",
        "Parameters": {"Bucket": bucket, "ExpectedBucketOwner": owner, "Key.$": key},
        "TimeoutSeconds": 60,
        "Retry": [
            {
                "ErrorEquals": ["S3.SdkClientException"],
                "IntervalSeconds": 5,
                "MaxAttempts": 3,
                "BackoffRate": 2,
                "JitterStrategy": "FULL",
            }
        ],
        "Catch": [TO_FAILURE],
        "ResultPath": None,
    }


def is_worth_a_second_attempt(name: str) -> dict[str, Any]:
    return {
        "Type": "Choice",
        "Comment": "Exit code 75 and a task that never started pass by themselves; nothing else does.",
        "Choices": [
            {
                "And": [
                    {"Variable": "$.error.Cause", "IsPresent": True},
                    {
                        "Or": [
                            {"Variable": "$.error.Cause", "StringMatches": '*"ExitCode":75*'},
                            {"Variable": "$.error.Cause", "StringMatches": '*"StopCode":"TaskFailedToStart"*'},
                        ]
                    },
                ],
                "Next": f"{name}Again",
            }
        ],
        "Default": "NotifyFailure",
    }


def failure(stage: str, topic: str, log_group: str) -> dict[str, Any]:
    """The two states that answer for a failure."""
    return {
        "NotifyFailure": {
            "Type": "Task",
            "Comment": "Names the execution and nothing else: a message may reach any mailbox.",
            "Resource": "arn:aws:states:::sns:publish",
            "Parameters": {
                "TopicArn": topic,
                "Subject": f"postgres-etl: {stage} failed",
                "Message.$": f"States.Format('{stage} failed in execution {{}}', $$.Execution.Id)",
            },
            "TimeoutSeconds": 60,
            "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": None, "Next": "ReportFailure"}],
            "ResultPath": None,
            "Next": "ReportFailure",
        },
        "ReportFailure": {
            "Type": "Fail",
            "Error": f"{stage}.Failed",
            "Cause": f"The execution's history, or the task's last event in log group {log_group}, says why.",
        },
    }
