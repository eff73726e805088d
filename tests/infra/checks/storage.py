"""Buckets, and what else holds data: how long, for whom, and what guards it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from etl_runtime import contract

from tests.infra.checks.registry import check, condition, denies, each, of_each_bucket, statements
from tests.infra.engine import Deployment, Registered

PUBLIC_DOORS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
ROLE = "arn:aws:iam::473251818902:role/postgres-etl"
HOLDS_DATA = (
    "s3/bucket:Bucket",
    "key:Key",
    "sqs/queue:Queue",
    "secretsmanager/secret:Secret",
    "rds/instance:Instance",
)
GUARDS_DATA = (
    "BucketLifecycleConfiguration",
    "BucketOwnershipControls",
    "BucketPolicy",
    "BucketPublicAccessBlock",
    "BucketServerSideEncryptionConfiguration",
    "BucketVersioning",
    "QueuePolicy",
    "RedriveAllowPolicy",
    "SecretPolicy",
    "SecretVersion",
)
HEADER = "s3:x-amz-server-side-encryption"


@check("a bucket refuses public access by each of the four doors")
def _(d: Deployment) -> Iterator[str]:
    return of_each_bucket(
        d, "BucketPublicAccessBlock", lambda r: all(r.inputs.get(door) is True for door in PUBLIC_DOORS)
    )


@check("a bucket's owner owns every object in it")
def _(d: Deployment) -> Iterator[str]:
    wanted = {"objectOwnership": "BucketOwnerEnforced"}
    return of_each_bucket(d, "BucketOwnershipControls", lambda r: r.inputs["rule"] == wanted)


@check("a bucket keeps versions")
def _(d: Deployment) -> Iterator[str]:
    return of_each_bucket(d, "BucketVersioning", lambda r: r.inputs["versioningConfiguration"]["status"] == "Enabled")


@check("a bucket is encrypted with a key of its own, named by its ARN")
def _(d: Deployment) -> Iterator[str]:
    used: list[str] = []
    for resource in d.all("BucketServerSideEncryptionConfiguration"):
        (rule,) = resource.inputs["rules"]
        default = rule["applyServerSideEncryptionByDefault"]
        key = default.get("kmsMasterKeyId", "")
        if default["sseAlgorithm"] != "aws:kms" or ":key/" not in key or key in used:
            yield resource.name
        used.append(key)
    yield from of_each_bucket(d, "BucketServerSideEncryptionConfiguration", bool)


@check("a bucket asks KMS once for many objects")
def _(d: Deployment) -> Iterator[str]:
    return each(
        d, "BucketServerSideEncryptionConfiguration", lambda r: r.inputs["rules"][0].get("bucketKeyEnabled") is True
    )


@check("a bucket takes no key of a caller's")
def _(d: Deployment) -> Iterator[str]:
    yield from each(
        d,
        "BucketServerSideEncryptionConfiguration",
        lambda r: r.inputs["rules"][0].get("blockedEncryptionTypes") == ["SSE-C"],
    )
    key = f"{HEADER}-customer-algorithm"
    yield from of_each_bucket(
        d, "BucketPolicy", lambda r: denies(r.document("policy"), "s3:PutObject", "Null", key, "false")
    )


@check("a bucket denies plaintext transport")
def _(d: Deployment) -> Iterator[str]:
    return of_each_bucket(
        d, "BucketPolicy", lambda r: denies(r.document("policy"), "s3:*", "Bool", "aws:SecureTransport", "false")
    )


@check("a bucket denies encryption with another key, or without KMS")
def _(d: Deployment) -> Iterator[str]:
    keys = {
        r.inputs["bucket"]: r.inputs["rules"][0]["applyServerSideEncryptionByDefault"].get("kmsMasterKeyId")
        for r in d.all("BucketServerSideEncryptionConfiguration")
    }
    for resource in d.all("BucketPolicy"):
        policy, key = resource.document("policy"), keys.get(resource.inputs["bucket"])
        for header, value in ((HEADER, "aws:kms"), (f"{HEADER}-aws-kms-key-id", key)):
            found = [s for s in statements(policy, "Deny") if condition(s, "StringNotEquals", header) is not None]
            is_given = [condition(s, "Null", header) for s in found] == ["false"]
            if not is_given or (key and condition(found[0], "StringNotEquals", header) != value):
                yield f"{resource.name}: {header}"


@check("a manifest is written once, parts of an upload apart")
def _(d: Deployment) -> Iterator[str]:
    for resource in d.all("BucketPolicy"):
        found = [
            s
            for s in statements(resource.document("policy"), "Deny")
            if condition(s, "Null", "s3:if-none-match") == "true"
            and condition(s, "Bool", "s3:ObjectCreationOperation") == "true"
            and all(pattern.endswith(f"/*/{contract.MANIFEST_NAME}") for pattern in s["Resource"])
        ]
        if not found:
            yield resource.name


@check("a bucket that has an organisation denies everybody outside of it")
def _(d: Deployment) -> Iterator[str]:
    return of_each_bucket(
        d,
        "BucketPolicy",
        lambda r: denies(r.document("policy"), "s3:*", "StringNotEquals", "aws:PrincipalOrgID", "o-a1b2c3d4e5"),
    )


@check("a bucket that has a network denies reading and writing from outside of it")
def _(d: Deployment) -> Iterator[str]:
    for action in ("s3:GetObject", "s3:PutObject"):
        yield from of_each_bucket(
            d,
            "BucketPolicy",
            lambda r, action=action: denies(
                r.document("policy"), action, "StringNotEquals", "aws:SourceVpce", ["vpce-0a000000000000000"]
            ),
        )


@check("a bucket admits nobody but roles that it names")
def _(d: Deployment) -> Iterator[str]:
    for resource in d.all("BucketPolicy"):
        for statement in statements(resource.document("policy")):
            if not condition(statement, "ArnEquals", "aws:PrincipalArn"):
                yield f"{resource.name}: {statement['Sid']}"


def in_force(resource: Registered) -> list[dict[str, Any]]:
    """The lifecycle rules that are on, and for every object."""
    return [
        rule for rule in resource.inputs["rules"] if (rule["status"], rule["filter"]) == ("Enabled", {"prefix": ""})
    ]


@check("a raw dump is gone after 14 days at most, a cleaned one after a year")
def _(d: Deployment) -> Iterator[str]:
    for resource in d.all("BucketLifecycleConfiguration"):
        longest = 14 if "-extract-" in resource.inputs["bucket"] else 365
        days = [rule.get("expiration", {}).get("days") for rule in in_force(resource)]
        if not any(number and number <= longest for number in days):
            yield resource.name
    yield from of_each_bucket(d, "BucketLifecycleConfiguration", bool)


@check("an old version is gone a day after it was replaced")
def _(d: Deployment) -> Iterator[str]:
    wanted = {"noncurrentDays": 1}
    return each(
        d,
        "BucketLifecycleConfiguration",
        lambda r: (
            any(rule.get("noncurrentVersionExpiration") == wanted for rule in r.inputs["rules"])
            and any(rule.get("expiration") == {"expiredObjectDeleteMarker": True} for rule in in_force(r))
        ),
    )


@check("an unfinished upload is gone after a day")
def _(d: Deployment) -> Iterator[str]:
    wanted = {"daysAfterInitiation": 1}
    return each(
        d,
        "BucketLifecycleConfiguration",
        lambda r: any(rule.get("abortIncompleteMultipartUpload") == wanted for rule in r.inputs["rules"]),
    )


@check("a protected bucket is not deleted with what is in it")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "s3/bucket:Bucket", lambda r: r.inputs.get("forceDestroy") is False)


@check("access to a bucket is logged")
def _(d: Deployment) -> Iterator[str]:
    return of_each_bucket(
        d,
        "BucketLogging",
        lambda r: (r.inputs["targetBucket"], r.inputs.get("targetPrefix")) == ("access-logs", f"{r.inputs['bucket']}/"),
    )


@check("what holds data is protected and retained in a protected environment")
def _(d: Deployment) -> Iterator[str]:
    for kind in HOLDS_DATA:
        yield from each(d, kind, lambda r: r.protect and r.retain)


@check("what guards data is retained with it, and nothing else is protected")
def _(d: Deployment) -> Iterator[str]:
    for kind in GUARDS_DATA:
        yield from each(d, kind, lambda r: r.retain)
    holding = {id(r) for kind in HOLDS_DATA for r in d.all(kind)}
    yield from (r.name for r in d.resources if r.protect and id(r) not in holding)


@check("of a dump one role reads more than its manifest")
def _(d: Deployment) -> Iterator[str]:
    for policy in d.all("BucketPolicy"):
        stage, bucket = policy.name.partition("-")[0], policy.inputs["bucket"]
        reader = {"extract": "transform", "load": "load-task"}[stage]
        wanted = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "NotResource": [f"arn:aws:s3:::{bucket}/*/{contract.MANIFEST_NAME}"],
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": [f"{ROLE}-{reader}-prod"]}},
        }
        if wanted not in [{key: s[key] for key in s if key != "Sid"} for s in policy.document("policy")["Statement"]]:
            yield policy.name
