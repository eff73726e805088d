"""The AWS resources of the Pulumi program, made in moto: one function a type, one module a service."""

from etl_local.aws_resources import (
    account,
    cloudwatch,
    ec2,
    ecs,
    events,
    iam,
    kms,
    s3,
    secrets_manager,
    sns,
    sqs,
    step_functions,
)
from etl_local.aws_resources.registry import Account, UnknownResourceError, answer, make

__all__ = [
    "Account",
    "UnknownResourceError",
    "account",
    "answer",
    "cloudwatch",
    "ec2",
    "ecs",
    "events",
    "iam",
    "kms",
    "make",
    "s3",
    "secrets_manager",
    "sns",
    "sqs",
    "step_functions",
]
