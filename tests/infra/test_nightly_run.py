"""The nightly run: a schedule that may start one machine, and says so when it could not."""

from tests.infra.conftest import Deploy
from tests.infra.engine import Deployment

ACCOUNT = "974531504241"
MACHINE = f"arn:aws:states:eu-west-2:{ACCOUNT}:stateMachine:postgres-etl-rds-to-s3"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/postgres-etl-nightly-prod"


def nightly(run: Deploy) -> Deployment:
    return run(
        "prod",
        nightlySchedule="cron(0 2 * * ? *)",
        nightlyTimezone="Europe/London",
        nightlyLoadEnvironment="sbx",
    )


def test_nothing_is_scheduled_unless_a_setting_says_when(prod: Deployment) -> None:
    assert not [resource for resource in prod.resources if resource.type.startswith("aws:scheduler/")]


def test_the_schedule_starts_a_dump_for_one_load_environment(run: Deploy) -> None:
    assert nightly(run).one("scheduler/schedule:Schedule").inputs == {
        "name": "postgres-etl-nightly-prod",
        "groupName": "postgres-etl-nightly-prod",
        "description": "Takes a dump for sbx",
        "scheduleExpression": "cron(0 2 * * ? *)",
        "scheduleExpressionTimezone": "Europe/London",
        "flexibleTimeWindow": {"mode": "OFF"},
        "target": {
            "arn": MACHINE,
            "roleArn": ROLE,
            "input": '{"LOAD_ENVIRONMENT": "sbx"}',
            "retryPolicy": {"maximumEventAgeInSeconds": 3600, "maximumRetryAttempts": 10},
        },
    }


def test_its_role_is_assumed_by_its_own_group_and_starts_that_one_machine(run: Deploy) -> None:
    deployment = nightly(run)
    assert deployment.one("iam/role:Role", "extract-nightly-role").document("assumeRolePolicy")["Statement"] == [
        {
            "Sid": "AllowServiceOfThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": "scheduler.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
                "ArnLike": {
                    "aws:SourceArn": f"arn:aws:scheduler:eu-west-2:{ACCOUNT}:schedule-group/postgres-etl-nightly-prod"
                },
            },
        }
    ]
    assert deployment.permissions("extract-nightly-policy") == {
        "AllowStartingExtract": {"Action": ["states:StartExecution"], "Resource": [MACHINE]},
    }


def test_the_topic_hears_of_a_night_without_a_start(run: Deploy) -> None:
    alarm = nightly(run).one("MetricAlarm", "extract-nightly-alarm").inputs
    assert (alarm["namespace"], alarm["metricName"]) == ("AWS/Scheduler", "InvocationDroppedCount")
    assert alarm["dimensions"] == {"ScheduleGroup": "postgres-etl-nightly-prod"}
