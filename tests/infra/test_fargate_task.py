"""The task of a stage: its definition, its two roles, and its ways through the network."""

import pytest

from tests.infra.conftest import Deploy
from tests.infra.engine import Deployment

ACCOUNT = "974531504241"
BUCKET = f"arn:aws:s3:::postgres-etl-extract-prod-{ACCOUNT}"
KEY = f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/extract-bucket-data-key"
THROUGH_S3 = {"StringEquals": {"kms:ViaService": "s3.eu-west-2.amazonaws.com"}}


def test_the_task_definition_is_this(prod: Deployment) -> None:
    definition = dict(prod.one("TaskDefinition").inputs)
    del definition["containerDefinitions"]
    assert definition == {
        "family": "pg_dump",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "8192",
        "memory": "16384",
        "ephemeralStorage": {"sizeInGib": 200},
        "runtimePlatform": {"operatingSystemFamily": "LINUX", "cpuArchitecture": "X86_64"},
        "volumes": [{"name": "scratch"}],
        "executionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/postgres-etl-extract-execution-prod",
        "taskRoleArn": f"arn:aws:iam::{ACCOUNT}:role/postgres-etl-extract-task-prod",
        "skipDestroy": True,
    }
    assert prod.container("extract-task-definition") == {
        "name": "pg_dump",
        "image": f"{ACCOUNT}.dkr.ecr.eu-west-2.amazonaws.com/postgres-etl@sha256:{'1' * 64}",
        "command": ["python", "-m", "etl_runtime.pg_dump"],
        "essential": True,
        "cpu": 8192,
        "memory": 16384,
        "user": "10001:10001",
        "privileged": False,
        "readonlyRootFilesystem": True,
        "linuxParameters": {"capabilities": {"drop": ["ALL"]}, "initProcessEnabled": True},
        "mountPoints": [{"sourceVolume": "scratch", "containerPath": "/scratch", "readOnly": False}],
        "environment": [
            {"name": "AWS_REGION", "value": "eu-west-2"},
            {"name": "DB_AUTHENTICATION", "value": "iam"},
            {"name": "DB_HOST", "value": "marketplace-prod.example.com"},
            {"name": "DB_NAME", "value": "marketplace"},
            {"name": "DB_PORT", "value": "5432"},
            {"name": "DB_SSLMODE", "value": "verify-full"},
            {"name": "DB_USER", "value": "postgres_etl_reader"},
            {"name": "DUMP_JOBS", "value": "8"},
            {"name": "ENVIRONMENT_NAME", "value": "prod"},
            {"name": "EXTRACT_BUCKET", "value": f"postgres-etl-extract-prod-{ACCOUNT}"},
            {"name": "EXTRACT_BUCKET_OWNER", "value": ACCOUNT},
            {
                "name": "LOAD_BUCKETS",
                "value": '{"dev": {"bucket": "postgres-etl-load-dev-473251818902", "owner": "473251818902"},'
                ' "sbx": {"bucket": "postgres-etl-load-sbx-665505400356", "owner": "665505400356"}}',
            },
            {"name": "MOUNT_POINT", "value": "/scratch"},
            {"name": "TMPDIR", "value": "/scratch"},
        ],
        "secrets": [],
        "stopTimeout": 120,
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": "/postgres-etl/prod/pg_dump",
                "awslogs-region": "eu-west-2",
                "awslogs-stream-prefix": "pg_dump",
                "mode": "non-blocking",
                "max-buffer-size": "25m",
            },
        },
    }


def test_the_task_writes_dumps_reads_manifests_and_signs_in_as_one_user(prod: Deployment) -> None:
    assert prod.permissions("extract-task-task-policy") == {
        "AllowWritingDumps": {
            "Action": ["s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectTagging"],
            "Resource": [f"{BUCKET}/dev/*", f"{BUCKET}/sbx/*"],
        },
        "AllowListingDumps": {"Action": ["s3:ListBucket"], "Resource": [BUCKET]},
        "AllowReadingManifests": {
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": [f"{BUCKET}/dev/*/manifest.json", f"{BUCKET}/sbx/*/manifest.json"],
        },
        "AllowUsingBucketKey": {
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": [KEY],
            "Condition": THROUGH_S3,
        },
        "AllowSigningInToDatabase": {
            "Action": ["rds-db:connect"],
            "Resource": [f"arn:aws:rds-db:eu-west-2:{ACCOUNT}:dbuser:db-ADOPTED/postgres_etl_reader"],
        },
    }


def test_the_execution_role_pulls_from_the_three_repositories_and_writes_one_log(prod: Deployment) -> None:
    repositories = [
        f"arn:aws:ecr:eu-west-2:{account}:repository/postgres-etl{tail}"
        for account in ("473251818902", "665505400356", "974531504241")
        for tail in ("", ":*")
    ]
    assert prod.permissions("extract-task-execution-policy") == {
        "AllowSigningInToRegistries": {"Action": ["ecr:GetAuthorizationToken"], "Resource": ["*"]},
        "AllowPullingImages": {
            "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "Resource": repositories,
        },
        "AllowWritingLogs": {
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": [f"arn:aws:logs:eu-west-2:{ACCOUNT}:log-group:/postgres-etl/prod/pg_dump:*"],
        },
    }


def test_a_sign_in_secret_is_given_by_reference_to_the_execution_role_alone(run: Deploy) -> None:
    secret = f"arn:aws:secretsmanager:eu-west-2:{ACCOUNT}:secret:reader-AbCdEf"
    deployment = run("prod", sourceAuthentication="secret", sourceCredentialsSecretArn=secret)
    assert deployment.container("extract-task-definition")["secrets"] == [
        {"name": "DB_CREDENTIALS", "valueFrom": secret}
    ]
    execution = deployment.permissions("extract-task-execution-policy")
    assert execution["AllowReadingSignInSecret"] == {"Action": ["secretsmanager:GetSecretValue"], "Resource": [secret]}
    assert execution["AllowDecryptingSignInSecret"] == {
        "Action": ["kms:Decrypt"],
        "Resource": [f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/*"],
        "Condition": {
            "StringEquals": {
                "kms:EncryptionContext:SecretARN": secret,
                "kms:ViaService": "secretsmanager.eu-west-2.amazonaws.com",
            }
        },
    }
    assert "AllowSigningInToDatabase" not in deployment.permissions("extract-task-task-policy")


def test_a_shell_can_be_opened_only_where_the_setting_says_so(run: Deploy, prod: Deployment) -> None:
    assert "ssmmessages" not in repr(prod.all("RolePolicy"))
    opened = run("prod", ecsExecEnabled=True)
    assert opened.permissions("extract-task-task-policy")["AllowOpeningAShell"] == {
        "Action": [
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
        ],
        "Resource": ["*"],
    }
    assert opened.container("extract-task-definition")["readonlyRootFilesystem"] is False
    machine = opened.one("StateMachine").document("definition")
    assert machine["States"]["DumpSourceDatabase"]["Parameters"]["EnableExecuteCommand"] is True


@pytest.mark.parametrize("role", ["extract-task-task-role", "extract-task-execution-role"])
def test_the_tasks_roles_are_assumed_by_this_accounts_tasks_alone(role: str, prod: Deployment) -> None:
    assert prod.one("iam/role:Role", role).document("assumeRolePolicy") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AllowServiceOfThisAccount",
                "Effect": "Allow",
                "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": ACCOUNT},
                    "ArnLike": {"aws:SourceArn": f"arn:aws:ecs:eu-west-2:{ACCOUNT}:*"},
                },
            }
        ],
    }


def test_the_task_goes_to_its_database_and_to_aws_and_nobody_comes_to_it(prod: Deployment) -> None:
    group, database = "extract-task-security-group-id", "sg-0db0000000000000a"
    ways = [
        (rule.inputs["fromPort"], rule.inputs["toPort"], rule.inputs["ipProtocol"],
         rule.inputs.get("referencedSecurityGroupId") or rule.inputs.get("cidrIpv4") or rule.inputs["prefixListId"])
        for rule in prod.all("SecurityGroupEgressRule") if rule.inputs["securityGroupId"] == group
    ]  # fmt: skip
    assert sorted(ways) == [
        (443, 443, "tcp", "10.30.48.0/24"),
        (443, 443, "tcp", "10.30.49.0/24"),
        (443, 443, "tcp", "pl-0500000000000000a"),
        (5432, 5432, "tcp", database),
    ]
    (ingress,) = prod.all("SecurityGroupIngressRule")
    assert (ingress.inputs["securityGroupId"], ingress.inputs["referencedSecurityGroupId"]) == (database, group)
    assert not {"ingress", "egress"} & set(prod.one("ec2/securityGroup:SecurityGroup").inputs)


@pytest.mark.parametrize(
    ("subnets", "fault"),
    [
        (["subnet-0f00000000000000a", "subnet-0d00000000000000b"], "subnet-0d0+b are not of vpc-0f0"),
        (["subnet-0f00000000000000a", "subnet-0f00000000000001a"], "in eu-west-2a, and a task needs a second zone"),
    ],
)
def test_subnets_of_another_network_or_of_one_zone_stop_the_preview(
    subnets: list[str], fault: str, run: Deploy
) -> None:
    with pytest.raises(Exception, match=fault):
        run("prod", preview=True, privateSubnetIds=subnets)
