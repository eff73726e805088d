"""Secrets in moto."""

from __future__ import annotations

from etl_local.aws_resources.registry import Account, Inputs, Made, makes


@makes("aws:secretsmanager/secret:Secret")
def secret(account: Account, inputs: Inputs) -> Made:
    """A secret without a value; its identifier is its ARN."""
    name, tags = inputs.pop("name"), account.tag_list(inputs)
    inputs.pop("recoveryWindowInDays", None)  # of a deletion that a stand-in never asks for
    arn: str = account.client("secretsmanager").create_secret(
        Name=name, KmsKeyId=inputs.pop("kmsKeyId"), Description=inputs.pop("description", ""), Tags=tags
    )["ARN"]
    return arn, {"arn": arn}


@makes("aws:secretsmanager/secretVersion:SecretVersion")
def secret_version(account: Account, inputs: Inputs) -> Made:
    """The value of a secret."""
    identifier = inputs.pop("secretId")
    made = account.client("secretsmanager").put_secret_value(
        SecretId=identifier, SecretString=inputs.pop("secretString")
    )
    return f"{identifier}|{made['VersionId']}", {"arn": made["ARN"], "versionId": made["VersionId"]}


@makes("aws:secretsmanager/secretPolicy:SecretPolicy")
def secret_policy(account: Account, inputs: Inputs) -> Made:
    """Who may read a secret; recorded, like every policy of IAM's."""
    arn: str = inputs.pop("secretArn")
    account.client("secretsmanager").put_resource_policy(
        SecretId=arn,
        ResourcePolicy=inputs.pop("policy"),
        BlockPublicPolicy=inputs.pop("blockPublicPolicy", False),
    )
    return arn, {}
