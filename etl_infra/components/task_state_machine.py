"""TaskStateMachine: the state machine that runs one Fargate task, with its role, its log and its alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from etl_infra.components.metric_alarm import metric_alarm
from etl_infra.documents.iam import Statement, Text, allow, policy_document, service_trust
from etl_infra.documents.key_conditions import KeyConditions, for_log_delivery, for_machine, through
from etl_infra.documents.key_policy import USE
from etl_infra.documents.task_roles import trace_and_log_executions
from etl_infra.naming import Home, state_machine_log_group


@dataclass(frozen=True, kw_only=True)
class TaskStateMachineArgs:
    """A definition, and what its states do beside logging."""

    home: Home
    stage: str
    name: str
    definition: Mapping[str, Any]
    statements: Sequence[Statement]
    alarm_topic_arn: Text
    key_arn: Text
    log_retention_days: int


class TaskStateMachine(pulumi.ComponentResource):
    """A standard state machine.

    Defaults:
        - every event is logged, its data never; traced; definition and history encrypted with a customer managed key
        - the topic hears of executions that failed or timed out
    """

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: TaskStateMachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:TaskStateMachine", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self._home, self._name, self._key_arn = args.home, args.name, args.key_arn
        role = aws.iam.Role(
            f"{name}-role",
            name=args.home.name(f"{args.stage}-states"),
            assume_role_policy=pulumi.Output.json_dumps(
                service_trust("states.amazonaws.com", args.home, "states", f"stateMachine:{args.name}")
            ),
            opts=child,
        )
        policy = aws.iam.RolePolicy(
            f"{name}-policy",
            name="states",
            role=role.name,
            policy=pulumi.Output.json_dumps(
                policy_document(
                    *args.statements,
                    allow("AllowNotifying", ("sns:Publish",), (args.alarm_topic_arn,)),
                    self._use_key("AllowEncryptingNotices", USE, through(args.home, "sns")),
                    self._use_key("AllowEncryptingHistory", USE, for_machine(args.home, args.name)),
                    self._use_key("AllowEncryptingLogs", ("kms:GenerateDataKey",), for_log_delivery(args.home)),
                    *trace_and_log_executions(),
                )
            ),
            opts=child,
        )
        log_group = aws.cloudwatch.LogGroup(
            f"{name}-logs",
            name=state_machine_log_group(args.name),
            retention_in_days=args.log_retention_days,
            kms_key_id=args.key_arn,
            opts=child,
        )
        machine = aws.sfn.StateMachine(
            f"{name}-machine",
            name=args.name,
            type="STANDARD",
            role_arn=role.arn,
            definition=pulumi.Output.json_dumps(args.definition),
            logging_configuration={
                "level": "ALL",
                # input and output name dumps and hold whatever a caller sent
                "include_execution_data": False,
                "log_destination": pulumi.Output.concat(log_group.arn, ":*"),
            },
            tracing_configuration={"enabled": True},
            encryption_configuration={
                "type": "CUSTOMER_MANAGED_KMS_KEY",
                "kms_key_id": args.key_arn,
                "kms_data_key_reuse_period_seconds": 300,
            },
            # the service tries its role when the machine is made
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.arn = machine.arn
        for metric in ("ExecutionsFailed", "ExecutionsTimedOut"):
            metric_alarm(
                f"{name}-{metric}-alarm",
                physical_name=args.home.name(f"{args.stage}-{metric}"),
                metric=f"AWS/States:{metric}",
                dimensions={"StateMachineArn": machine.arn},
                threshold=0,
                topic_arn=args.alarm_topic_arn,
                opts=child,
            )
        self.register_outputs({"arn": self.arn})

    def start_executions(self, sid: str) -> Statement:
        """Start executions of this machine. Its key is its own role's business.

        https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html
        """
        return allow(f"AllowStarting{sid}", ("states:StartExecution",), (self.arn,))

    def drive_executions(self, sid: str) -> list[Statement]:
        """Start, describe and stop executions of this machine."""
        executions = self._home.arn("states", f"execution:{self._name}:*")
        return [
            self.start_executions(sid),
            allow(f"AllowFollowing{sid}", ("states:DescribeExecution", "states:StopExecution"), (executions,)),
        ]

    def _use_key(self, sid: str, actions: Sequence[str], only_when: KeyConditions) -> Statement:
        return allow(sid, actions, (self._key_arn,), {"StringEquals": only_when})
