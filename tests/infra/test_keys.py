"""Keys that may be lost: whoever disables one, opens it or schedules its end is told of."""

from tests.infra.conftest import Deploy
from tests.infra.engine import Deployment

ACCOUNT = "974531504241"


def test_the_topic_is_told_of_what_may_lose_the_key_of_raw_dumps(prod: Deployment) -> None:
    rule = prod.one("EventRule", "extract-bucket-data-events")
    assert rule.inputs["name"] == "postgres-etl-extract-dumps-key-prod"
    assert rule.document("eventPattern") == {
        "source": ["aws.kms"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {
            "eventName": ["DisableKey", "DisableKeyRotation", "PutKeyPolicy", "ScheduleKeyDeletion"],
            "resources": {"ARN": [f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/extract-bucket-data-key"]},
        },
    }
    assert prod.one("EventTarget", "extract-bucket-data-notice").inputs == {
        "rule": "postgres-etl-extract-dumps-key-prod",
        "targetId": "alarms",
        "arn": f"arn:aws:sns:eu-west-2:{ACCOUNT}:postgres-etl-alarms-prod",
        "inputTransformer": {
            "inputPaths": {"call": "$.detail.eventName", "caller": "$.detail.userIdentity.arn"},
            "inputTemplate": '"postgres-etl: <caller> called <call> on the key of extract-dumps"',
        },
    }
    alarm = prod.one("MetricAlarm", "extract-bucket-data-unheard-alarm").inputs
    assert (alarm["namespace"], alarm["metricName"]) == ("AWS/Events", "FailedInvocations")
    assert alarm["dimensions"] == {"RuleName": "postgres-etl-extract-dumps-key-prod"}


def test_the_salts_policy_closes_it_to_everybody_but_the_transform_and_who_deploys_it(prod: Deployment) -> None:
    salt = f"arn:aws:secretsmanager:eu-west-2:{ACCOUNT}:secret:postgres-etl-scrub-salt-prod-AbCdEf"
    policy = prod.one("SecretPolicy")
    assert policy.inputs["blockPublicPolicy"] is True
    assert policy.document("policy")["Statement"] == [
        {
            "Sid": "DenyReadingByOthers",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["secretsmanager:GetSecretValue"],
            "Resource": [salt],
            "Condition": {
                "ArnNotEquals": {
                    "aws:PrincipalArn": [
                        f"arn:aws:iam::{ACCOUNT}:role/postgres-etl-transform-prod",
                        f"arn:aws:iam::{ACCOUNT}:role/postgres-etl-deployer",
                    ]
                }
            },
        }
    ]


def test_a_shells_session_is_encrypted_and_logged(dev: Deployment, run: Deploy) -> None:
    account = "473251818902"
    key = f"arn:aws:kms:eu-west-2:{account}:key/operations-data-key"
    in_session = {"Null": {"kms:EncryptionContext:aws:ssm:SessionId": "false"}}
    assert dev.one("ecs/cluster:Cluster", "extract-task-cluster").inputs["configuration"] == {
        "executeCommandConfiguration": {
            "kmsKeyId": key,
            "logging": "OVERRIDE",
            "logConfiguration": {
                "cloudWatchEncryptionEnabled": True,
                "cloudWatchLogGroupName": "/postgres-etl/dev/pg_dump-shell",
            },
        }
    }
    task = dev.permissions("extract-task-task-policy")
    assert task["AllowLoggingShells"] == {
        "Action": ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
        "Resource": [f"arn:aws:logs:eu-west-2:{account}:log-group:/postgres-etl/dev/pg_dump-shell:*"],
    }
    assert task["AllowDecryptingShells"] == {"Action": ["kms:Decrypt"], "Resource": [key], "Condition": in_session}
    shells = {
        s["Sid"]: (s["Action"], s["Condition"])
        for s in dev.one("key:Key", "operations-data-key").document("policy")["Statement"]
        if "Shell" in s["Sid"]
    }
    tasks = [f"arn:aws:iam::{account}:role/postgres-etl-{stage}-task-dev" for stage in ("extract", "load")]
    assert shells == {
        "AllowTasksToTakeShells": (["kms:Decrypt"], {"ArnEquals": {"aws:PrincipalArn": tasks}, **in_session}),
        "AllowOpeningShells": (
            ["kms:GenerateDataKey"],
            {"StringEquals": {"kms:CallerAccount": account}, **in_session},
        ),
    }
    closed = run("dev", ecsExecEnabled=False)
    assert "configuration" not in closed.one("ecs/cluster:Cluster", "extract-task-cluster").inputs
    assert "ssm" not in repr(closed.resources)
