"""Operations: what operators hear and read, the alarm topic and the key of messages, notices, logs and history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from etl_runtime import contract

from etl_infra.components.data_key import DataKey, DataKeyArgs
from etl_infra.documents.iam import Statement
from etl_infra.documents.key_conditions import for_log_delivery, for_machine, through
from etl_infra.documents.key_policy import (
    KeyUse,
    allow_events,
    allow_log_delivery,
    allow_log_groups,
    allow_opening_shells,
    allow_service,
    key_policy,
    shell_uses,
)
from etl_infra.documents.topic_policy import alarm_topic_policy
from etl_infra.naming import bucket_arn, database_log_groups, state_machine_log_group
from etl_infra.stack_settings import StackSettings


@dataclass(frozen=True, kw_only=True)
class OperationsArgs:
    """Who hears of alarms, and what the key's policy has to name."""

    stack: StackSettings
    alarm_emails: Sequence[str]
    log_groups: Sequence[str]
    uses: Sequence[KeyUse]
    services: Sequence[Statement]

    @classmethod
    def of(cls, settings: StackSettings) -> OperationsArgs:
        """Name the users of the stages that are on, and of them alone."""
        home = settings.home
        stages = [
            (stage, container, machine)
            for stage, container, machine, wanted in (
                ("extract", contract.PG_DUMP_CONTAINER, contract.EXTRACT_STATE_MACHINE_NAME, settings.extract),
                ("load", contract.PG_RESTORE_CONTAINER, contract.LOAD_STATE_MACHINE_NAME, settings.load),
            )
            if wanted
        ]
        uses = [*_uses_of_machines(settings, {stage: machine for stage, _, machine in stages})]
        services = [
            allow_service("AllowAlarms", "cloudwatch.amazonaws.com", home, home.arn("cloudwatch", "alarm:*")),
            allow_events(home.alarm_topic_arn()),
            allow_log_delivery(home),
        ]
        if settings.extract:
            # who redrives dead letters reads and sends them
            uses.append(
                KeyUse(
                    sid="AllowDeployersThroughSqs",
                    role_arns=settings.deployer_role_arns,
                    only_when=through(home, "sqs"),
                )
            )
            bucket = bucket_arn(home.bucket("extract").name)
            services.append(allow_service("AllowBucketEvents", "s3.amazonaws.com", home, bucket))
        if settings.ecs_exec_enabled:
            uses.append(shell_uses([home.role_arn(f"{stage}-task") for stage, _, _ in stages]))
            services.append(allow_opening_shells(home))
        if settings.transform:
            uses.append(
                KeyUse(
                    sid="AllowDispatcherThroughSqs",
                    role_arns=(home.role_arn(contract.DISPATCHER_CONTAINER),),
                    only_when=through(home, "sqs"),
                    actions=("kms:Decrypt", "kms:GenerateDataKey"),
                )
            )
        return cls(
            stack=settings,
            alarm_emails=settings.alarm_emails,
            log_groups=[*_log_groups(settings, [stage[1:] for stage in stages])],
            uses=uses,
            services=services,
        )


class Operations(pulumi.ComponentResource):
    """One topic and one key of a stack.

    Defaults:
        - the topic takes notices from this account's alarms, key events and state machines alone, over TLS, encrypted
        - the key holds no dump: messages, notices, logs and histories carry ids, never rows
    """

    key_arn: pulumi.Output[str]
    alarm_topic_arn: pulumi.Output[str]

    def __init__(self, name: str, args: OperationsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:Operations", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        home = args.stack.home
        self.key_arn = DataKey(
            f"{name}-data",
            DataKeyArgs(
                home=home,
                noun="operations",
                description="Messages, notices, logs and histories of the pipeline",
                policy=key_policy(home, args.uses, allow_log_groups(home, args.log_groups), *args.services),
                protected=args.stack.is_protected,
            ),
            child,
        ).arn
        topic = aws.sns.Topic(f"{name}-topic", name=home.name("alarms"), kms_master_key_id=self.key_arn, opts=child)
        self.alarm_topic_arn = topic.arn
        aws.sns.TopicPolicy(
            f"{name}-topic-policy",
            arn=topic.arn,
            policy=pulumi.Output.json_dumps(alarm_topic_policy(home, topic.arn)),
            opts=child,
        )
        for address in args.alarm_emails:
            aws.sns.TopicSubscription(
                f"{name}-topic-{address}", topic=topic.arn, protocol="email", endpoint=address, opts=child
            )
        self.register_outputs({"alarm_topic_arn": self.alarm_topic_arn})


def _uses_of_machines(settings: StackSettings, machines: Mapping[str, str]) -> Iterator[KeyUse]:
    """Those who make state machines, drive them and read their histories, and the machines themselves.

    Args:
        settings: of the stack.
        machines: stage → the name of its machine.
    """
    home = settings.home
    roles = {stage: home.role_arn(f"{stage}-states") for stage in machines}
    yield KeyUse(
        sid="AllowDeployersThroughStepFunctions",
        role_arns=settings.deployer_role_arns,
        only_when=through(home, "states"),
    )
    if settings.access:
        yield KeyUse(
            sid="AllowJenkinsThroughStepFunctions",
            role_arns=(home.role_arn("jenkins"),),
            only_when=through(home, "states"),
            actions=("kms:Decrypt",),
        )
    for stage, machine in machines.items():
        yield KeyUse(
            sid=f"Allow{stage.capitalize()}Machine", role_arns=(roles[stage],), only_when=for_machine(home, machine)
        )
    yield KeyUse(
        sid="AllowMachinesToDeliverLogs",
        role_arns=list(roles.values()),
        only_when=for_log_delivery(home),
        actions=("kms:GenerateDataKey",),
    )
    yield KeyUse(sid="AllowMachinesThroughSns", role_arns=list(roles.values()), only_when=through(home, "sns"))


def _log_groups(settings: StackSettings, stages: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Every log group that the key encrypts: of containers, shells, state machines and created databases."""
    home = settings.home
    for container, machine in stages:
        yield home.log_group(container)
        yield state_machine_log_group(machine)
        if settings.ecs_exec_enabled:
            yield home.shell_log_group(container)
    if settings.extract and settings.extract.source.new:
        yield from database_log_groups(home.name("source")).values()
    if settings.load and settings.load.target.new:
        yield from database_log_groups(home.name("target")).values()
