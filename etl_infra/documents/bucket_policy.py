"""Bucket policies: what no request may do to a private bucket, and which roles of other accounts may do what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from etl_runtime import contract

from etl_infra.documents.iam import Document, Statement, Text, account_root, allow, deny, joined, policy_document
from etl_infra.stack_settings import BoundarySettings

ANYONE: Final = "*"
ENCRYPTION_HEADER: Final = "s3:x-amz-server-side-encryption"
KEY_HEADER: Final = "s3:x-amz-server-side-encryption-aws-kms-key-id"
READ_OBJECT: Final = ("s3:GetObject", "s3:GetObjectVersion")
WRITE_OBJECT: Final = ("s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectTagging")


def bucket_policy(bucket_arn: Text, key_arn: Text, *grants: Statement) -> Document:
    """The policy of a private bucket: TLS, this key and no other, a manifest written once; then what else is given."""
    objects = objects_of(bucket_arn)
    return policy_document(
        deny(
            "DenyPlaintextTransport",
            ("s3:*",),
            (bucket_arn, objects),
            {"Bool": {"aws:SecureTransport": "false"}},
            ANYONE,
        ),
        # "given, and another": a request that names no key gets the bucket's own by default encryption, and a negated
        # operator alone matches a request without the header as well
        deny(
            "DenyOtherEncryption", ("s3:PutObject",), (objects,), _given_and_not(ENCRYPTION_HEADER, "aws:kms"), ANYONE
        ),
        deny("DenyOtherKey", ("s3:PutObject",), (objects,), _given_and_not(KEY_HEADER, key_arn), ANYONE),
        deny(
            "DenyCallersOwnKey",
            ("s3:PutObject",),
            (objects,),
            {"Null": {"s3:x-amz-server-side-encryption-customer-algorithm": "false"}},
            ANYONE,
        ),
        deny(
            "DenyReplacingManifest",
            ("s3:PutObject",),
            (manifests_of(bucket_arn),),
            # parts of a multipart upload carry no If-None-Match and create no object:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
            {"Bool": {"s3:ObjectCreationOperation": "true"}, "Null": {"s3:if-none-match": "true"}},
            ANYONE,
        ),
        *grants,
    )


def deny_reading_dumps(bucket_arn: Text, reader_role_arns: Sequence[str]) -> Statement:
    """Nobody reads more of a dump than its manifest, but these roles; without any, nobody at all.

    The key's policy cannot say it: with a bucket key the bucket, not the object, is what a decryption names.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html
    """
    statement = deny(
        "DenyReadingDumpsByOthers",
        READ_OBJECT,
        (),
        {"ArnNotEquals": {"aws:PrincipalArn": list(reader_role_arns)}} if reader_role_arns else None,
        ANYONE,
    )
    del statement["Resource"]
    return {**statement, "NotResource": [manifests_of(bucket_arn)]}


def deny_outside(bucket_arn: Text, boundary: BoundarySettings, role_arns_outside: Sequence[str]) -> list[Statement]:
    """What the limits that a stack sets deny to everybody beyond them.

    Args:
        bucket_arn: the bucket.
        boundary: the limits; those that are not set deny nothing.
        role_arns_outside: roles that work from outside of every VPC: Step Functions' own, and Jenkins'. Their policies
            let them read manifests alone.
    """
    statements: list[Statement] = []
    if boundary.organisation_id:
        statements.append(
            deny(
                "DenyOutsideOrganisation",
                ("s3:*",),
                (bucket_arn, objects_of(bucket_arn)),
                {
                    "StringNotEquals": {"aws:PrincipalOrgID": boundary.organisation_id},
                    "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
                },
                ANYONE,
            )
        )
    if boundary.vpc_endpoint_ids:
        # objects alone: whoever deploys sets the bucket up from elsewhere
        conditions: dict[str, dict[str, list[str]]] = {
            "StringNotEquals": {"aws:SourceVpce": list(boundary.vpc_endpoint_ids)}
        }
        if role_arns_outside:
            conditions["ArnNotEquals"] = {"aws:PrincipalArn": list(role_arns_outside)}
        statements.append(
            deny(
                "DenyOutsideOwnNetwork",
                (*READ_OBJECT, "s3:PutObject"),
                (objects_of(bucket_arn),),
                conditions,
                ANYONE,
            )
        )
    return statements


def grant_writers(bucket_arn: Text, role_arns: Sequence[str]) -> list[Statement]:
    """Roles, of whatever account, that fill a bucket, and see which dumps are in it already."""
    if not role_arns:
        return []
    who = _roles(role_arns)
    return [
        allow("AllowWritingObjects", WRITE_OBJECT, (objects_of(bucket_arn),), *who),
        allow("AllowWritersToReadManifests", READ_OBJECT, (manifests_of(bucket_arn),), *who),
        allow("AllowWritersToList", ("s3:ListBucket",), (bucket_arn,), *who),
    ]


def grant_manifest_readers(bucket_arn: Text, role_arns: Sequence[str]) -> list[Statement]:
    """Roles, of whatever account, that read which dumps exist, and no dump."""
    if not role_arns:
        return []
    who = _roles(role_arns)
    return [
        allow("AllowReadingManifests", READ_OBJECT, (manifests_of(bucket_arn),), *who),
        allow("AllowManifestReadersToList", ("s3:ListBucket",), (bucket_arn,), *who),
    ]


def objects_of(bucket_arn: Text) -> Text:
    """The ARN pattern of every object of a bucket."""
    return joined(bucket_arn, "/*")


def manifests_of(bucket_arn: Text) -> Text:
    """The ARN pattern of every manifest of a bucket."""
    return joined(bucket_arn, f"/*/{contract.MANIFEST_NAME}")


def _given_and_not(key: str, value: Text) -> dict[str, dict[str, Text]]:
    return {"Null": {key: "false"}, "StringNotEquals": {key: value}}


def _roles(role_arns: Sequence[str]) -> tuple[dict[str, dict[str, list[str]]], dict[str, list[str]]]:
    """Condition and principal for roles that may not exist yet: S3 refuses a principal that it cannot find."""
    accounts = sorted({arn.split(":")[4] for arn in role_arns})
    return (
        {"ArnEquals": {"aws:PrincipalArn": list(role_arns)}},
        {"AWS": [account_root(account)["AWS"] for account in accounts]},
    )
