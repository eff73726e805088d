"""What the roles of the transform stage may do in load buckets, which belong to whatever account the config names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from etl_runtime.contract import MANIFEST_NAME, LoadBucket

from etl_infra.documents.bucket_policy import READ_OBJECT, WRITE_OBJECT, manifests_of
from etl_infra.documents.iam import Statement, allow
from etl_infra.documents.key_conditions import through
from etl_infra.documents.key_policy import USE
from etl_infra.naming import Home, bucket_arn


def write_cleaned_dumps(home: Home, buckets: Mapping[str, LoadBucket]) -> list[Statement]:
    """Write each environment's dumps below its own prefix of its own bucket, and see which are there already."""
    places = [f"{bucket_arn(bucket.name)}/{environment}/*" for environment, bucket in sorted(buckets.items())]
    return [
        allow("AllowWritingCleanedDumps", WRITE_OBJECT, places),
        allow("AllowReadingCleanedManifests", READ_OBJECT, [f"{place}/{MANIFEST_NAME}" for place in places]),
        _list(buckets),
        _use_keys(home, buckets, USE),
    ]


def read_cleaned_manifests(home: Home, buckets: Mapping[str, LoadBucket]) -> list[Statement]:
    """See which cleaned dumps exist."""
    manifests = [manifests_of(bucket_arn(bucket.name)) for _, bucket in sorted(buckets.items())]
    return [
        allow("AllowReadingCleanedManifests", READ_OBJECT, manifests),
        _list(buckets),
        _use_keys(home, buckets, ("kms:Decrypt",)),
    ]


def _list(buckets: Mapping[str, LoadBucket]) -> Statement:
    """Without it S3 answers 403 instead of 404 for a manifest that is not there yet."""
    arns = [bucket_arn(bucket.name) for _, bucket in sorted(buckets.items())]
    return allow("AllowListingCleanedDumps", ("s3:ListBucket",), arns)


def _use_keys(home: Home, buckets: Mapping[str, LoadBucket], actions: Sequence[str]) -> Statement:
    # The keys' ids are their accounts' business; what each may encrypt is fixed by the bucket in its context:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html#encryption-context
    owners = sorted({bucket.owner for bucket in buckets.values()})
    return allow(
        "AllowUsingLoadBucketKeys",
        actions,
        [f"arn:aws:kms:{home.region}:{owner}:key/*" for owner in owners],
        {
            "StringEquals": {
                "kms:EncryptionContext:aws:s3:arn": [bucket_arn(bucket.name) for _, bucket in sorted(buckets.items())],
                **through(home, "s3"),
            }
        },
    )
