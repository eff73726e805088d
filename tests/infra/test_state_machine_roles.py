"""What stands around a state machine: its log, its key, its role and its time."""

from typing import Any

from tests.infra.conftest import Deploy
from tests.infra.engine import Deployment

PROD = "974531504241"
LOGS = f"arn:aws:logs:eu-west-2:{PROD}:log-group"


def definition(deployment: Deployment) -> dict[str, Any]:
    """The definition of a stack's only state machine."""
    return deployment.one("StateMachine").document("definition")


def test_a_machine_is_standard_logged_without_data_traced_and_encrypted(prod: Deployment) -> None:
    inputs = prod.one("StateMachine").inputs
    assert {key: value for key, value in inputs.items() if key != "definition"} == {
        "name": "postgres-etl-rds-to-s3",
        "type": "STANDARD",
        "roleArn": f"arn:aws:iam::{PROD}:role/postgres-etl-extract-states-prod",
        "loggingConfiguration": {
            "level": "ALL",
            "includeExecutionData": False,
            "logDestination": f"{LOGS}:/aws/vendedlogs/states/postgres-etl-rds-to-s3:*",
        },
        "tracingConfiguration": {"enabled": True},
        "encryptionConfiguration": {
            "type": "CUSTOMER_MANAGED_KMS_KEY",
            "kmsKeyId": f"arn:aws:kms:eu-west-2:{PROD}:key/operations-data-key",
            "kmsDataKeyReusePeriodSeconds": 300,
        },
    }


def test_the_machines_role_runs_one_family_on_one_cluster_and_nothing_more(prod: Deployment) -> None:
    key = [f"arn:aws:kms:eu-west-2:{PROD}:key/operations-data-key"]
    task = [f"arn:aws:ecs:eu-west-2:{PROD}:task/postgres-etl-extract-prod/*"]

    def allow(sid: str, actions: list[str], resources: list[str], condition: Any = None) -> dict[str, Any]:
        statement: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
        return statement | ({"Condition": condition} if condition else {})

    use = ["kms:Decrypt", "kms:GenerateDataKey"]
    of_machine = {
        "kms:EncryptionContext:aws:states:stateMachineArn": (
            f"arn:aws:states:eu-west-2:{PROD}:stateMachine:postgres-etl-rds-to-s3"
        )
    }
    of_delivery = {"kms:EncryptionContext:SourceArn": f"arn:aws:logs:eu-west-2:{PROD}:*"}
    through_sns = {"kms:ViaService": "sns.eu-west-2.amazonaws.com"}
    assert prod.one("RolePolicy", "extract-rds-to-s3-policy").document("policy") == {
        "Version": "2012-10-17",
        "Statement": [
            allow(
                "AllowStartingTask",
                ["ecs:RunTask"],
                [f"arn:aws:ecs:eu-west-2:{PROD}:task-definition/pg_dump:*"],
                {"ArnEquals": {"ecs:cluster": f"arn:aws:ecs:eu-west-2:{PROD}:cluster/postgres-etl-extract-prod"}},
            ),
            allow("AllowFollowingTask", ["ecs:DescribeTasks", "ecs:StopTask"], task),
            allow("AllowTaggingNewTask", ["ecs:TagResource"], task, {"StringEquals": {"ecs:CreateAction": "RunTask"}}),
            allow(
                "AllowPassingTaskRoles",
                ["iam:PassRole"],
                [f"arn:aws:iam::{PROD}:role/postgres-etl-extract-{role}-prod" for role in ("task", "execution")],
                {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
            ),
            allow(
                "AllowDotSyncExecutionOfEcsTasks",
                ["events:DescribeRule", "events:PutRule", "events:PutTargets"],
                [f"arn:aws:events:eu-west-2:{PROD}:rule/StepFunctionsGetEventsForECSTaskRule"],
            ),
            allow(
                "AllowFindingManifests",
                ["s3:GetObject"],
                [f"arn:aws:s3:::postgres-etl-extract-prod-{PROD}/*/manifest.json"],
            ),
            allow("AllowNotifying", ["sns:Publish"], [f"arn:aws:sns:eu-west-2:{PROD}:postgres-etl-alarms-prod"]),
            allow("AllowEncryptingNotices", use, key, {"StringEquals": through_sns}),
            allow("AllowEncryptingHistory", use, key, {"StringEquals": of_machine}),
            allow("AllowEncryptingLogs", ["kms:GenerateDataKey"], key, {"StringEquals": of_delivery}),
            allow(
                "AllowDeliveringLogs",
                [
                    "logs:CreateLogDelivery",
                    "logs:DeleteLogDelivery",
                    "logs:DescribeLogGroups",
                    "logs:DescribeResourcePolicies",
                    "logs:GetLogDelivery",
                    "logs:ListLogDeliveries",
                    "logs:PutResourcePolicy",
                    "logs:UpdateLogDelivery",
                ],
                ["*"],
            ),
            allow(
                "AllowTracing",
                [
                    "xray:GetSamplingRules",
                    "xray:GetSamplingTargets",
                    "xray:PutTelemetryRecords",
                    "xray:PutTraceSegments",
                ],
                ["*"],
            ),
        ],
    }


def test_the_machines_role_is_assumed_by_that_machine_alone(prod: Deployment) -> None:
    trust = prod.one("iam/role:Role", "extract-rds-to-s3-role").document("assumeRolePolicy")
    assert trust["Statement"] == [
        {
            "Sid": "AllowServiceOfThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": "states.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": PROD},
                "ArnLike": {"aws:SourceArn": f"arn:aws:states:eu-west-2:{PROD}:stateMachine:postgres-etl-rds-to-s3"},
            },
        }
    ]


def test_the_time_of_a_machine_covers_both_attempts(run: Deploy) -> None:
    machine = definition(run("sbx", loadTimeoutMinutes=10))
    assert machine["States"]["RestoreCleanedDump"]["TimeoutSeconds"] == 600
    assert machine["TimeoutSeconds"] > 2 * 600
