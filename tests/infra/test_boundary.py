"""The limits that a stack may set: from where dumps are reached at all."""

from typing import Any

from tests.infra.conftest import Deploy
from tests.infra.engine import Deployment

ACCOUNT = "974531504241"
BUCKET = f"arn:aws:s3:::postgres-etl-extract-prod-{ACCOUNT}"


def denied(deployment: Deployment) -> dict[str, Any]:
    """What the extract bucket denies to everybody, by Sid."""
    policy = deployment.one("BucketPolicy", "extract-bucket-policy").document("policy")
    return {s["Sid"]: s for s in policy["Statement"] if s["Sid"].startswith("DenyOutside")}


def test_without_a_setting_no_limit_is_set(prod: Deployment) -> None:
    assert denied(prod) == {}


def test_nobody_outside_of_the_organisation_reaches_a_bucket(run: Deploy) -> None:
    assert denied(run("prod", organisationId="o-a1b2c3d4e5")) == {
        "DenyOutsideOrganisation": {
            "Sid": "DenyOutsideOrganisation",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:*"],
            "Resource": [BUCKET, f"{BUCKET}/*"],
            "Condition": {
                "StringNotEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"},
                # S3 itself, when it delivers a log, is of no organisation
                "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
            },
        }
    }


def test_a_dump_is_read_and_written_through_the_named_endpoints_alone(run: Deploy) -> None:
    endpoints = ["vpce-0a000000000000000", "vpce-0b000000000000000"]
    assert denied(run("prod", s3VpcEndpointIds=endpoints)) == {
        "DenyOutsideOwnNetwork": {
            "Sid": "DenyOutsideOwnNetwork",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"],
            "Resource": [f"{BUCKET}/*"],
            "Condition": {
                "StringNotEquals": {"aws:SourceVpce": endpoints},
                # both read manifests alone, as their own policies say
                "ArnNotEquals": {
                    "aws:PrincipalArn": [
                        f"arn:aws:iam::{ACCOUNT}:role/postgres-etl-extract-states-prod",
                        f"arn:aws:iam::{ACCOUNT}:role/postgres-etl-jenkins-prod",
                    ]
                },
            },
        }
    }
