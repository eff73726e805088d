"""Access: the role by which Jenkins drives the pipeline, put together from what the stages let others do."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from etl_infra.documents.iam import Statement, allow, policy_document, role_trust
from etl_infra.documents.key_conditions import through
from etl_infra.extract import Extract
from etl_infra.load import Load
from etl_infra.operations import Operations
from etl_infra.stack_settings import AccessSettings, StackSettings


@dataclass(frozen=True, kw_only=True)
class PipelineAccessArgs:
    """The stack, who assumes the role, and the stages that it drives."""

    stack: StackSettings
    settings: AccessSettings
    operations: Operations
    extract: Extract | None
    load: Load | None


class PipelineAccess(pulumi.ComponentResource):
    """A role that starts, describes and stops executions of this stack's machines and reads manifests; nothing else."""

    role_arn: pulumi.Output[str]

    def __init__(self, name: str, args: PipelineAccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:PipelineAccess", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            f"{name}-role",
            name=args.stack.home.name("jenkins"),
            assume_role_policy=pulumi.Output.json_dumps(role_trust(args.settings.principal_arns)),
            opts=child,
        )
        aws.iam.RolePolicy(
            f"{name}-policy",
            name="drive-pipeline",
            role=role.name,
            policy=pulumi.Output.json_dumps(policy_document(*_statements(args))),
            opts=child,
        )
        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn})


def _statements(args: PipelineAccessArgs) -> list[Statement]:
    stages = (("Extract", args.extract), ("Load", args.load))
    return [
        statement
        for noun, stage in stages
        if stage is not None
        for statement in (*stage.state_machine.drive_executions(noun), *stage.bucket.read_manifests(noun))
    ] + [
        allow(
            "AllowDecryptingHistory",
            ("kms:Decrypt",),
            (args.operations.key_arn,),
            {"StringEquals": through(args.stack.home, "states")},
        )
    ]
