"""DataKey: a KMS key for one class of data, that its account administers but cannot read with."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from etl_infra.documents.iam import Document
from etl_infra.naming import Home


@dataclass(frozen=True, kw_only=True)
class DataKeyArgs:
    """What a key is for, and its whole policy."""

    home: Home
    noun: str
    description: str
    policy: Document


class DataKey(pulumi.ComponentResource):
    """A customer managed key and its alias.

    Defaults:
        - rotated every year; thirty days between deletion and loss
        - the policy given is the whole policy: the account has no further right in it
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: DataKeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:DataKey", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = aws.kms.Key(
            f"{name}-key",
            description=args.description,
            enable_key_rotation=True,
            deletion_window_in_days=30,
            policy=pulumi.Output.json_dumps(args.policy),
            opts=child,
        )
        aws.kms.Alias(f"{name}-alias", name=f"alias/{args.home.name(args.noun)}", target_key_id=key.key_id, opts=child)
        self.arn = key.arn
        self.register_outputs({"arn": self.arn})
