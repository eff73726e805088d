"""DataKey: a KMS key for one class of data, that its account administers but cannot read with."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from etl_infra.components.metric_alarm import metric_alarm
from etl_infra.components.protection import holding_data
from etl_infra.documents.iam import Document
from etl_infra.documents.key_events import NOTICE, NOTICE_PATHS, key_event_pattern, key_event_rule
from etl_infra.naming import Home


@dataclass(frozen=True, kw_only=True)
class DataKeyArgs:
    """What a key is for, its whole policy, and whether what it encrypts is protected."""

    home: Home
    noun: str
    description: str
    policy: Document
    protected: bool


class DataKey(pulumi.ComponentResource):
    """A customer managed key and its alias.

    Defaults:
        - rotated every year; thirty days between deletion and loss
        - the policy given is the whole policy: the account has no further right in it
        - the alarm topic hears of whoever disables it, changes its policy or schedules its deletion, and of a notice
          that could not be given
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
            opts=holding_data(self, protected=args.protected),
        )
        aws.kms.Alias(f"{name}-alias", name=f"alias/{args.home.name(args.noun)}", target_key_id=key.key_id, opts=child)
        self.arn = key.arn
        rule = aws.cloudwatch.EventRule(
            f"{name}-events",
            name=key_event_rule(args.noun, args.home),
            description=f"Calls after which the key may be lost: {args.description}",
            event_pattern=pulumi.Output.json_dumps(key_event_pattern(key.arn)),
            opts=child,
        )
        aws.cloudwatch.EventTarget(
            f"{name}-notice",
            rule=rule.name,
            target_id="alarms",
            arn=args.home.alarm_topic_arn(),
            input_transformer={"input_paths": NOTICE_PATHS, "input_template": NOTICE % args.noun},
            opts=child,
        )
        metric_alarm(
            f"{name}-unheard-alarm",
            physical_name=args.home.name(f"{args.noun}-key-unheard"),
            metric="AWS/Events:FailedInvocations",
            dimensions={"RuleName": rule.name},
            threshold=0,
            topic_arn=args.home.alarm_topic_arn(),
            opts=child,
        )
        self.register_outputs({"arn": self.arn})
