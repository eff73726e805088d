"""S3 resources in moto."""

from __future__ import annotations

import json

from etl_local.aws_resources.registry import Account, Inputs, Made, makes, pascal
from etl_local.bucket_policy import check_conditions

_ENCRYPTION_KEYS = {"sseAlgorithm": "SSEAlgorithm", "kmsMasterKeyId": "KMSMasterKeyID"}


@makes("aws:s3/bucket:Bucket")
def bucket(account: Account, inputs: Inputs) -> Made:
    """A bucket; whether it may be deleted while full does not matter here."""
    s3, name, tags = account.client("s3"), inputs.pop("bucket"), account.tag_list(inputs)
    inputs.pop("forceDestroy", None)
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": account.region})
    if tags:
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    return name, {
        "arn": f"arn:aws:s3:::{name}",
        "bucketDomainName": f"{name}.s3.amazonaws.com",
        "bucketRegionalDomainName": f"{name}.s3.{account.region}.amazonaws.com",
        "region": account.region,
    }


@makes("aws:s3/bucketVersioning:BucketVersioning")
def bucket_versioning(account: Account, inputs: Inputs) -> Made:
    """Whether old versions are kept."""
    name = inputs.pop("bucket")
    configuration = pascal(inputs.pop("versioningConfiguration"), {"mfaDelete": "MFADelete"})
    account.client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration=configuration)
    return name, {}


@makes("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
def bucket_encryption(account: Account, inputs: Inputs) -> Made:
    """The key with which objects are encrypted unless a request says otherwise."""
    name, rules = inputs.pop("bucket"), []
    for rule in inputs.pop("rules"):
        blocked = rule.get("blockedEncryptionTypes")
        converted = pascal({**rule, "blockedEncryptionTypes": None}, _ENCRYPTION_KEYS)
        rules.append({**converted, "BlockedEncryptionTypes": {"EncryptionType": blocked}} if blocked else converted)
    account.client("s3").put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules})
    return name, {}


@makes("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
def bucket_public_access_block(account: Account, inputs: Inputs) -> Made:
    """Four refusals of public access."""
    name = inputs.pop("bucket")
    names = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    configuration = pascal({key: inputs.pop(key, False) for key in names})
    account.client("s3").put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=configuration)
    return name, {}


@makes("aws:s3/bucketOwnershipControls:BucketOwnershipControls")
def bucket_ownership_controls(account: Account, inputs: Inputs) -> Made:
    """Who owns an object that another account wrote."""
    name, rule = inputs.pop("bucket"), pascal(inputs.pop("rule"))
    account.client("s3").put_bucket_ownership_controls(Bucket=name, OwnershipControls={"Rules": [rule]})
    return name, {}


@makes("aws:s3/bucketPolicy:BucketPolicy")
def bucket_policy(account: Account, inputs: Inputs) -> Made:
    """What requests are allowed and denied; a condition that the stand-in cannot judge is refused."""
    name, policy = inputs.pop("bucket"), inputs.pop("policy")
    check_conditions(json.loads(policy))
    account.client("s3").put_bucket_policy(Bucket=name, Policy=policy)
    return name, {}


@makes("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
def bucket_lifecycle(account: Account, inputs: Inputs) -> Made:
    """When objects and unfinished uploads go; recorded, but a stand-in does not live for a day."""
    name, rules = inputs.pop("bucket"), pascal(inputs.pop("rules"), {"id": "ID"})
    account.client("s3").put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    return name, {}


@makes("aws:s3/bucketNotification:BucketNotification")
def bucket_notification(account: Account, inputs: Inputs) -> Made:
    """Which queue hears of which new objects; S3 sends each a test event at once."""
    name, configurations = inputs.pop("bucket"), []
    for index, queue in enumerate(inputs.pop("queues")):
        rules = [
            {"Name": kind, "Value": value}
            for kind, value in (("prefix", queue.get("filterPrefix")), ("suffix", queue.get("filterSuffix")))
            if value
        ]
        configurations.append(
            {
                "Id": queue.get("id", f"queue-{index}"),
                "QueueArn": queue["queueArn"],
                "Events": queue["events"],
                "Filter": {"Key": {"FilterRules": rules}},
            }
        )
    account.client("s3").put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration={"QueueConfigurations": configurations}
    )
    return name, {}
