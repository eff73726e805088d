"""Operations: the keys, which their account administers without reading, and the topic that hears of failures."""

from typing import Any

from tests.infra.conftest import Deploy
from tests.infra.engine import Deployment

ACCOUNT = "974531504241"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/postgres-etl"
DEPLOYER = f"{ROLE}-deployer"
TOPIC = f"arn:aws:sns:eu-west-2:{ACCOUNT}:postgres-etl-alarms-prod"
LOGS = f"arn:aws:logs:eu-west-2:{ACCOUNT}:*"
MACHINE = f"arn:aws:states:eu-west-2:{ACCOUNT}:stateMachine:postgres-etl-rds-to-s3"
DECRYPT = ["kms:Decrypt"]
USE = ["kms:Decrypt", "kms:GenerateDataKey"]


def key_statements(deployment: Deployment, key: str) -> dict[str, Any]:
    """The statements of a key's policy by Sid; every one is about the key itself."""
    statements = deployment.one("key:Key", key).document("policy")["Statement"]
    assert all(s["Resource"] == ["*"] and s["Effect"] == "Allow" for s in statements)
    return {
        s["Sid"]: {key: value for key, value in s.items() if key not in ("Sid", "Resource", "Effect")}
        for s in statements
    }


def used(*roles: str, actions: list[str] = USE, **equal: str) -> dict[str, Any]:
    """A use by named roles; a role with a slash stands as it is."""
    return {
        "Principal": {"AWS": [ROOT]},
        "Action": actions,
        "Condition": {
            "ArnEquals": {"aws:PrincipalArn": [role if "/" in role else f"{ROLE}-{role}-prod" for role in roles]},
            "StringEquals": equal,
        },
    }


def through(service: str, *roles: str, actions: list[str] = USE) -> dict[str, Any]:
    return used(*roles, actions=actions, **{"kms:ViaService": f"{service}.eu-west-2.amazonaws.com"})


def of_service(service: str, source_arn: str) -> dict[str, Any]:
    return {
        "Principal": {"Service": service},
        "Action": USE,
        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": source_arn}},
    }


def test_every_key_rotates_and_is_lost_only_after_thirty_days(run: Deploy) -> None:
    for key in run("dev", sourceInstanceIdentifier=None, sourceCreate=True).all("key:Key"):
        assert key.inputs["enableKeyRotation"] is True, key.name
        assert key.inputs["deletionWindowInDays"] == 30, key.name


def test_the_account_administers_every_key_and_reads_with_none(prod: Deployment) -> None:
    for key in prod.all("key:Key"):
        administration = key_statements(prod, key.name)["AllowAccountToAdministerWithoutReading"]
        assert administration["Principal"] == {"AWS": ROOT}
        assert not {"kms:Decrypt", "kms:GenerateDataKey", "kms:Encrypt", "kms:CreateGrant", "kms:*"} & set(
            administration["Action"]
        ), key.name
        assert {"kms:PutKeyPolicy", "kms:DescribeKey", "kms:ScheduleKeyDeletion"} <= set(administration["Action"])


def test_raw_dumps_are_encrypted_by_their_task_and_decrypted_by_the_pipeline_alone(prod: Deployment) -> None:
    found = key_statements(prod, "extract-bucket-data-key")
    del found["AllowAccountToAdministerWithoutReading"]
    assert found == {
        "AllowWritersThroughS3": through("s3", "extract-task"),
        "AllowReadersThroughS3": through("s3", "transform", "dispatcher", "jenkins", actions=["kms:Decrypt"]),
    }


def test_the_operations_key_serves_messages_notices_logs_and_histories(prod: Deployment) -> None:
    found = key_statements(prod, "operations-data-key")
    del found["AllowAccountToAdministerWithoutReading"]
    assert found == {
        "AllowDeployersThroughStepFunctions": through("states", DEPLOYER),
        "AllowJenkinsThroughStepFunctions": through("states", "jenkins", actions=DECRYPT),
        # a state machine's role asks the key itself: through a service it would be refused
        "AllowExtractMachine": used("extract-states", **{"kms:EncryptionContext:aws:states:stateMachineArn": MACHINE}),
        "AllowMachinesToDeliverLogs": used(
            "extract-states", actions=["kms:GenerateDataKey"], **{"kms:EncryptionContext:SourceArn": LOGS}
        ),
        "AllowMachinesThroughSns": through("sns", "extract-states"),
        "AllowDeployersThroughSqs": through("sqs", DEPLOYER),
        "AllowDispatcherThroughSqs": through("sqs", "dispatcher"),
        "AllowLogGroups": {
            "Principal": {"Service": "logs.eu-west-2.amazonaws.com"},
            "Action": [
                "kms:Decrypt",
                "kms:Encrypt",
                "kms:GenerateDataKey",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
            ],
            "Condition": {
                "StringEquals": {
                    "kms:EncryptionContext:aws:logs:arn": [
                        f"arn:aws:logs:eu-west-2:{ACCOUNT}:log-group:/postgres-etl/prod/pg_dump",
                        f"arn:aws:logs:eu-west-2:{ACCOUNT}:log-group:/aws/vendedlogs/states/postgres-etl-rds-to-s3",
                    ]
                }
            },
        },
        "AllowAlarms": of_service("cloudwatch.amazonaws.com", f"arn:aws:cloudwatch:eu-west-2:{ACCOUNT}:alarm:*"),
        "AllowKeyEvents": {
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": USE,
            "Condition": {"StringEquals": {"kms:EncryptionContext:aws:sns:topicArn": TOPIC}},
        },
        "AllowLogDelivery": {
            "Principal": {"Service": "delivery.logs.amazonaws.com"},
            "Action": DECRYPT,
            "Condition": {"StringEquals": {"kms:EncryptionContext:SourceArn": LOGS}},
        },
        "AllowBucketEvents": of_service("s3.amazonaws.com", f"arn:aws:s3:::postgres-etl-extract-prod-{ACCOUNT}"),
    }


def test_the_salts_key_is_used_by_the_transform_and_by_who_deploys_it(prod: Deployment) -> None:
    found = key_statements(prod, "transform-salt-data-key")
    del found["AllowAccountToAdministerWithoutReading"]
    assert found == {
        "AllowDeployersThroughSecretsManager": through("secretsmanager", DEPLOYER),
        "AllowTransformThroughSecretsManager": through("secretsmanager", "transform", actions=DECRYPT),
    }


def test_a_created_databases_key_is_used_by_who_deploys_it_and_by_who_reads_its_master_secret(run: Deploy) -> None:
    created = run("prod", sourceInstanceIdentifier=None, sourceCreate=True, sourceAuthentication="secret")
    found = key_statements(created, "extract-source-data-key")
    del found["AllowAccountToAdministerWithoutReading"]
    deployers = used(DEPLOYER)["Condition"]["ArnEquals"]
    services = {"kms:ViaService": [f"{service}.eu-west-2.amazonaws.com" for service in ("rds", "secretsmanager")]}
    condition = {"ArnEquals": deployers, "StringEquals": services}
    assert found == {
        "AllowDeployersThroughRds": {"Principal": {"AWS": [ROOT]}, "Action": USE, "Condition": condition},
        "AllowGrantsForRds": {
            "Principal": {"AWS": [ROOT]},
            "Action": ["kms:CreateGrant"],
            "Condition": {**condition, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        },
        "AllowReadingMasterSecret": through("secretsmanager", "extract-execution", actions=DECRYPT),
    }
    by_token = run("prod", sourceInstanceIdentifier=None, sourceCreate=True)
    assert "AllowReadingMasterSecret" not in key_statements(by_token, "extract-source-data-key")


def test_every_log_group_is_encrypted_and_ends(dev: Deployment) -> None:
    groups = {group.inputs["name"]: group.inputs for group in dev.all("LogGroup")}
    assert set(groups) == {
        "/postgres-etl/dev/pg_dump",
        "/postgres-etl/dev/pg_dump-shell",
        "/postgres-etl/dev/pg_restore",
        "/postgres-etl/dev/pg_restore-shell",
        "/aws/vendedlogs/states/postgres-etl-rds-to-s3",
        "/aws/vendedlogs/states/postgres-etl-s3-to-rds",
    }
    for group in groups.values():
        assert group["retentionInDays"] == 30
        assert group["kmsKeyId"] == "arn:aws:kms:eu-west-2:473251818902:key/operations-data-key"


def test_the_topic_is_encrypted_and_takes_this_accounts_alarms_alone(prod: Deployment) -> None:
    assert prod.one("Topic").inputs == {
        "name": "postgres-etl-alarms-prod",
        "kmsMasterKeyId": f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/operations-data-key",
    }
    assert prod.one("TopicPolicy").document("policy") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AllowAlarmsOfThisAccount",
                "Effect": "Allow",
                "Principal": {"Service": "cloudwatch.amazonaws.com"},
                "Action": ["sns:Publish"],
                "Resource": [TOPIC],
                "Condition": {
                    "ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:eu-west-2:{ACCOUNT}:alarm:*"},
                    "StringEquals": {"aws:SourceAccount": ACCOUNT},
                },
            },
            {
                # EventBridge gives no source to judge: with a condition no notice would arrive
                "Sid": "AllowKeyEvents",
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": ["sns:Publish"],
                "Resource": [TOPIC],
            },
            {
                "Sid": "DenyPlaintextTransport",
                "Effect": "Deny",
                "Principal": "*",
                "Action": ["sns:Publish"],
                "Resource": [TOPIC],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
        ],
    }


def test_each_address_hears_of_alarms(prod: Deployment) -> None:
    assert [(s.inputs["protocol"], s.inputs["endpoint"]) for s in prod.all("TopicSubscription")] == [
        ("email", "data-platform-prod@example.com")
    ]
