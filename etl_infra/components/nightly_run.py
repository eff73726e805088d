"""NightlyRun: the schedule by which a dump is taken without anybody asking."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from etl_runtime.contract import Env

from etl_infra.components.metric_alarm import metric_alarm
from etl_infra.components.task_state_machine import TaskStateMachine
from etl_infra.documents.iam import policy_document, service_trust
from etl_infra.naming import Home
from etl_infra.stack_settings import NightlySettings


@dataclass(frozen=True, kw_only=True)
class NightlyRunArgs:
    """When, for which load environment, by which machine, and who hears if it could not be started."""

    home: Home
    settings: NightlySettings
    state_machine: TaskStateMachine
    alarm_topic_arn: pulumi.Input[str]


class NightlyRun(pulumi.ComponentResource):
    """A schedule that starts one state machine.

    Defaults:
        - its role is assumed by this account's schedules of its own group, and may start that one machine
        - the topic hears of a start that was given up
    """

    def __init__(self, name: str, args: NightlyRunArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:NightlyRun", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        physical_name = args.home.name("nightly")
        group = aws.scheduler.ScheduleGroup(f"{name}-group", name=physical_name, opts=child)
        role = aws.iam.Role(
            f"{name}-role",
            name=physical_name,
            # of the group: a trust that names the schedule itself is refused
            # https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
            assume_role_policy=pulumi.Output.json_dumps(
                service_trust("scheduler.amazonaws.com", args.home, "scheduler", f"schedule-group/{physical_name}")
            ),
            opts=child,
        )
        policy = aws.iam.RolePolicy(
            f"{name}-policy",
            name="start-extract",
            role=role.name,
            policy=pulumi.Output.json_dumps(policy_document(args.state_machine.start_executions("Extract"))),
            opts=child,
        )
        aws.scheduler.Schedule(
            f"{name}-schedule",
            name=physical_name,
            group_name=group.name,
            description=f"Takes a dump for {args.settings.load_environment}",
            schedule_expression=args.settings.expression,
            schedule_expression_timezone=args.settings.timezone,
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": args.state_machine.arn,
                "role_arn": role.arn,
                "input": pulumi.Output.json_dumps({str(Env.LOAD_ENVIRONMENT): args.settings.load_environment}),
                "retry_policy": {"maximum_event_age_in_seconds": 3600, "maximum_retry_attempts": 10},
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        metric_alarm(
            f"{name}-alarm",
            physical_name=args.home.name("nightly-not-started"),
            metric="AWS/Scheduler:InvocationDroppedCount",
            dimensions={"ScheduleGroup": group.name},
            threshold=0,
            topic_arn=args.alarm_topic_arn,
            opts=child,
        )
        self.register_outputs({})
