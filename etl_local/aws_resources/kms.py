"""KMS keys in moto."""

from __future__ import annotations

from etl_local.aws_resources.registry import Account, Inputs, Made, makes


@makes("aws:kms/key:Key")
def key(account: Account, inputs: Inputs) -> Made:
    """A customer managed key."""
    kms = account.client("kms")
    inputs.pop("deletionWindowInDays", None)  # of a deletion that a stand-in never asks for
    made = kms.create_key(
        Description=inputs.pop("description", ""),
        Policy=inputs.pop("policy"),
        Tags=account.tag_list(inputs, "TagKey", "TagValue"),
    )["KeyMetadata"]
    if inputs.pop("enableKeyRotation", False):
        kms.enable_key_rotation(KeyId=made["KeyId"])
    return made["KeyId"], {"arn": made["Arn"], "keyId": made["KeyId"]}


@makes("aws:kms/alias:Alias")
def alias(account: Account, inputs: Inputs) -> Made:
    """A readable name of a key."""
    name, target = inputs.pop("name"), inputs.pop("targetKeyId")
    account.client("kms").create_alias(AliasName=name, TargetKeyId=target)
    return name, {"arn": account.arn("kms", name), "targetKeyArn": account.arn("kms", f"key/{target}")}
