"""The buckets of dumps: closed to the public, under a key of their own, and emptied in time."""

from typing import Any

from tests.infra.conftest import Deploy
from tests.infra.engine import Deployment

ACCOUNT = "974531504241"
BUCKET = f"arn:aws:s3:::postgres-etl-extract-prod-{ACCOUNT}"
KEY = f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/extract-bucket-data-key"


def test_the_extract_bucket_refuses_public_access(prod: Deployment) -> None:
    assert prod.one("BucketPublicAccessBlock").inputs == {
        "bucket": f"postgres-etl-extract-prod-{ACCOUNT}",
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    }
    assert prod.one("BucketOwnershipControls").inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}


def test_the_extract_bucket_keeps_versions_under_a_key_of_its_own(prod: Deployment) -> None:
    assert prod.one("BucketVersioning").inputs["versioningConfiguration"] == {"status": "Enabled"}
    assert prod.one("BucketServerSideEncryptionConfiguration").inputs["rules"] == [
        {
            "applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY},
            "bucketKeyEnabled": True,
            "blockedEncryptionTypes": ["SSE-C"],
        }
    ]


def test_a_raw_dump_is_gone_after_its_days_and_unfinished_uploads_after_one(run: Deploy) -> None:
    assert run("prod", rawRetentionDays=2).one("BucketLifecycleConfiguration").inputs["rules"] == [
        {
            "id": "expire-dumps",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "expiration": {"days": 2},
            "noncurrentVersionExpiration": {"noncurrentDays": 1},
            "abortIncompleteMultipartUpload": {"daysAfterInitiation": 1},
        },
        {
            "id": "remove-delete-markers",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "expiration": {"expiredObjectDeleteMarker": True},
        },
    ]


def test_the_bucket_policy_denies_plaintext_other_keys_and_a_second_manifest_and_grants_nothing(
    prod: Deployment,
) -> None:
    def deny(sid: str, condition: dict[str, Any], resource: str = f"{BUCKET}/*") -> dict[str, Any]:
        return {
            "Sid": sid,
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:PutObject"],
            "Resource": [resource],
            "Condition": condition,
        }

    header, key_header = "s3:x-amz-server-side-encryption", "s3:x-amz-server-side-encryption-aws-kms-key-id"
    assert prod.one("BucketPolicy").document("policy") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "DenyPlaintextTransport",
                "Effect": "Deny",
                "Principal": "*",
                "Action": ["s3:*"],
                "Resource": [BUCKET, f"{BUCKET}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
            deny("DenyOtherEncryption", {"Null": {header: "false"}, "StringNotEquals": {header: "aws:kms"}}),
            deny("DenyOtherKey", {"Null": {key_header: "false"}, "StringNotEquals": {key_header: KEY}}),
            deny("DenyCallersOwnKey", {"Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "false"}}),
            deny(
                "DenyReplacingManifest",
                {"Bool": {"s3:ObjectCreationOperation": "true"}, "Null": {"s3:if-none-match": "true"}},
                f"{BUCKET}/*/manifest.json",
            ),
            {
                "Sid": "DenyReadingDumpsByOthers",
                "Effect": "Deny",
                "Principal": "*",
                "Action": ["s3:GetObject", "s3:GetObjectVersion"],
                "NotResource": [f"{BUCKET}/*/manifest.json"],
                "Condition": {
                    "ArnNotEquals": {"aws:PrincipalArn": [f"arn:aws:iam::{ACCOUNT}:role/postgres-etl-transform-prod"]}
                },
            },
        ],
    }


def test_without_a_transform_nobody_reads_a_raw_dump(run: Deploy) -> None:
    statements = run("prod", transformEnabled=False).one("BucketPolicy").document("policy")["Statement"]
    (deny,) = [s for s in statements if s["Sid"] == "DenyReadingDumpsByOthers"]
    assert "Condition" not in deny


def test_access_logs_are_kept_where_a_bucket_for_them_is_named(run: Deploy, prod: Deployment) -> None:
    assert not prod.all("BucketLogging")
    assert run("prod", accessLogBucket="logs").one("BucketLogging").inputs == {
        "bucket": f"postgres-etl-extract-prod-{ACCOUNT}",
        "targetBucket": "logs",
        "targetPrefix": f"postgres-etl-extract-prod-{ACCOUNT}/",
    }
