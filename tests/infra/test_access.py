"""Access: what Jenkins may do with the pipeline, which is little."""

from tests.infra.conftest import Deploy
from tests.infra.engine import Deployment

DEV = "473251818902"
PROD = "974531504241"


def test_jenkins_starts_describes_and_stops_executions_and_reads_manifests(dev: Deployment) -> None:
    expected = {}
    for stage, machine in (("Extract", "rds-to-s3"), ("Load", "s3-to-rds")):
        bucket = f"arn:aws:s3:::postgres-etl-{stage.lower()}-dev-{DEV}"
        expected |= {
            f"AllowStarting{stage}": {
                "Action": ["states:StartExecution"],
                "Resource": [f"arn:aws:states:eu-west-2:{DEV}:stateMachine:postgres-etl-{machine}"],
            },
            f"AllowFollowing{stage}": {
                "Action": ["states:DescribeExecution", "states:StopExecution"],
                "Resource": [f"arn:aws:states:eu-west-2:{DEV}:execution:postgres-etl-{machine}:*"],
            },
            f"AllowReading{stage}Manifests": {
                "Action": ["s3:GetObject", "s3:GetObjectVersion"],
                "Resource": [f"{bucket}/*/manifest.json"],
            },
            f"AllowDecrypting{stage}Manifests": {
                "Action": ["kms:Decrypt"],
                "Resource": [f"arn:aws:kms:eu-west-2:{DEV}:key/{stage.lower()}-bucket-data-key"],
                "Condition": {"StringEquals": {"kms:ViaService": "s3.eu-west-2.amazonaws.com"}},
            },
        }
    expected["AllowDecryptingHistory"] = {
        "Action": ["kms:Decrypt"],
        "Resource": [f"arn:aws:kms:eu-west-2:{DEV}:key/operations-data-key"],
        "Condition": {"StringEquals": {"kms:ViaService": "states.eu-west-2.amazonaws.com"}},
    }
    assert dev.permissions("access-policy") == expected


def test_in_production_jenkins_has_no_right_in_a_load(prod: Deployment) -> None:
    assert not [sid for sid in prod.permissions("access-policy") if "Load" in sid]


def test_only_the_named_roles_become_jenkins(prod: Deployment) -> None:
    assert prod.one("iam/role:Role", "access-role").document("assumeRolePolicy") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AllowNamedRoles",
                "Effect": "Allow",
                "Principal": {"AWS": [f"arn:aws:iam::{PROD}:role/jenkins-agent"]},
                "Action": "sts:AssumeRole",
            }
        ],
    }


def test_without_a_principal_there_is_no_role_and_no_key_names_it(run: Deploy) -> None:
    deployment = run("prod", jenkinsPrincipalArns=[])
    assert not deployment.all("PipelineAccess")
    assert "jenkins" not in repr(deployment.resources)
    assert "jenkins_role_arn" not in deployment.exports
