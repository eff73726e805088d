"""What the roles around a Fargate task may do: pull and log, run the task, sign in to a database, read one secret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from etl_infra.documents.iam import Statement, Text, allow, joined
from etl_infra.documents.key_conditions import SESSION, through
from etl_infra.naming import Home

EVENTS_RULE: Final = "StepFunctionsGetEventsForECSTaskRule"


def pull_images(repository_arns: Sequence[str]) -> list[Statement]:
    """Pull from these repositories."""
    return [
        # takes no resource: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
        allow("AllowSigningInToRegistries", ("ecr:GetAuthorizationToken",), ("*",)),
        allow(
            "AllowPullingImages",
            ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
            repository_arns,
        ),
    ]


def write_logs(log_group_arn: Text) -> Statement:
    """Write the streams of one log group."""
    return allow("AllowWritingLogs", ("logs:CreateLogStream", "logs:PutLogEvents"), (joined(log_group_arn, ":*"),))


def read_secret(sid: str, secret_arn: Text, home: Home) -> list[Statement]:
    """Read one secret, and use whatever key encrypts it, for it alone."""
    return [
        allow(f"AllowReading{sid}", ("secretsmanager:GetSecretValue",), (secret_arn,)),
        allow(
            f"AllowDecrypting{sid}",
            ("kms:Decrypt",),
            (home.arn("kms", "key/*"),),
            {"StringEquals": {"kms:EncryptionContext:SecretARN": secret_arn, **through(home, "secretsmanager")}},
        ),
    ]


def connect_to_database(home: Home, resource_id: Text, user: str) -> Statement:
    """Sign in to one instance as one user, by token."""
    arn = joined(home.arn("rds-db", "dbuser:"), resource_id, f"/{user}")
    return allow("AllowSigningInToDatabase", ("rds-db:connect",), (arn,))


def open_shell(log_group_arn: Text, key_arn: Text) -> list[Statement]:
    """ECS Exec: its channel, whose four actions take no resource, its log, and the key of both.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonmessagegatewayservice.html
    """
    return [
        allow(
            "AllowOpeningAShell",
            (
                "ssmmessages:CreateControlChannel",
                "ssmmessages:CreateDataChannel",
                "ssmmessages:OpenControlChannel",
                "ssmmessages:OpenDataChannel",
            ),
            ("*",),
        ),
        allow(
            "AllowLoggingShells",
            ("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
            (joined(log_group_arn, ":*"),),
        ),
        # takes no resource: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
        allow("AllowFindingShellLog", ("logs:DescribeLogGroups",), ("*",)),
        allow("AllowDecryptingShells", ("kms:Decrypt",), (key_arn,), {"Null": {SESSION: "false"}}),
    ]


def run_task(home: Home, cluster_name: str, family: str, role_arns: Sequence[Text]) -> list[Statement]:
    """Run one family on one cluster to its end, with these two roles (`ecs:runTask.sync`).

    https://docs.aws.amazon.com/step-functions/latest/dg/connect-ecs.html
    """
    tasks = home.arn("ecs", f"task/{cluster_name}/*")
    return [
        allow(
            "AllowStartingTask",
            ("ecs:RunTask",),
            (home.arn("ecs", f"task-definition/{family}:*"),),
            {"ArnEquals": {"ecs:cluster": home.arn("ecs", f"cluster/{cluster_name}")}},
        ),
        allow("AllowFollowingTask", ("ecs:DescribeTasks", "ecs:StopTask"), (tasks,)),
        # PropagateTags asks for it: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/supported-iam-actions-tagging.html
        allow("AllowTaggingNewTask", ("ecs:TagResource",), (tasks,), {"StringEquals": {"ecs:CreateAction": "RunTask"}}),
        allow(
            "AllowPassingTaskRoles",
            ("iam:PassRole",),
            role_arns,
            {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        ),
        allow(
            "AllowDotSyncExecutionOfEcsTasks",
            ("events:DescribeRule", "events:PutRule", "events:PutTargets"),
            (home.arn("events", f"rule/{EVENTS_RULE}"),),
        ),
    ]


def trace_and_log_executions() -> list[Statement]:
    """Deliver a state machine's logs and traces. None of these actions takes a resource.

    https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html and .../dg/concepts-xray-tracing.html
    """
    return [
        allow(
            "AllowDeliveringLogs",
            (
                "logs:CreateLogDelivery",
                "logs:DeleteLogDelivery",
                "logs:DescribeLogGroups",
                "logs:DescribeResourcePolicies",
                "logs:GetLogDelivery",
                "logs:ListLogDeliveries",
                "logs:PutResourcePolicy",
                "logs:UpdateLogDelivery",
            ),
            ("*",),
        ),
        allow(
            "AllowTracing",
            (
                "xray:GetSamplingRules",
                "xray:GetSamplingTargets",
                "xray:PutTelemetryRecords",
                "xray:PutTraceSegments",
            ),
            ("*",),
        ),
    ]
