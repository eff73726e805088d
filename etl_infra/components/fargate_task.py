"""FargateTask: one program as a task definition, with its cluster, roles, log group and way out of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from etl_runtime.contract import SCRATCH_VOLUME, Env

from etl_infra.components.database import Database
from etl_infra.components.private_subnets import private_subnets
from etl_infra.documents.container_definition import Container, container_definition
from etl_infra.documents.iam import Statement, Text, policy_document, service_trust
from etl_infra.documents.state_machine import FargateRun
from etl_infra.documents.task_roles import open_shell, pull_images, read_secret, run_task, write_logs
from etl_infra.naming import Home
from etl_infra.stack_settings import NetworkSettings, TaskSettings


@dataclass(frozen=True, kw_only=True)
class FargateTaskArgs:
    """One program, the database that it works on, and what its role may do besides signing in there."""

    home: Home
    stage: str
    container: str
    program: str
    image: str
    repository_arns: Sequence[str]
    size: TaskSettings
    environment: Mapping[Env, Text]
    database: Database
    statements: Sequence[Statement]
    network: NetworkSettings
    log_retention_days: int
    log_key_arn: Text
    exec_enabled: bool


class FargateTask(pulumi.ComponentResource):
    """A task definition whose family and container carry the same name.

    Defaults:
        - private: no way in; out to the database, the AWS endpoints and S3 alone
        - two roles: the execution role pulls, logs and reads the sign-in secret; the task role is the program's own
        - not root, no capability, read-only root, an encrypted log group
        - no shell; where a setting allows one, all that is typed and shown in it is encrypted and logged
    """

    cluster_name: str
    task_role_name: pulumi.Output[str]
    log_group_name: pulumi.Output[str]
    task_definition_arn: pulumi.Output[str]
    security_group_id: pulumi.Output[str]

    def __init__(self, name: str, args: FargateTaskArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:FargateTask", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self._args = args
        self._subnet_ids = private_subnets(args.network, self)
        self.cluster_name = args.home.name(args.stage)
        log_group = self._log_group(f"{name}-logs", args.home.log_group(args.container))
        shell_log_group = (
            self._log_group(f"{name}-shell-logs", args.home.shell_log_group(args.container))
            if args.exec_enabled
            else None
        )
        self._cluster = aws.ecs.Cluster(
            f"{name}-cluster",
            name=self.cluster_name,
            settings=[{"name": "containerInsights", "value": "enabled"}],
            configuration={
                "execute_command_configuration": {
                    "kms_key_id": args.log_key_arn,
                    "logging": "OVERRIDE",
                    "log_configuration": {
                        "cloud_watch_encryption_enabled": True,
                        "cloud_watch_log_group_name": shell_log_group.name,
                    },
                }
            }
            if shell_log_group
            else None,
            opts=child,
        )
        self.log_group_name = log_group.name
        secret_arn = args.database.credentials_secret_arn
        secrets: dict[Env, Text] = {Env.DB_CREDENTIALS: secret_arn} if secret_arn else {}
        self._execution_role = self._role(
            f"{name}-execution",
            "execution",
            [
                *pull_images(args.repository_arns),
                write_logs(log_group.arn),
                *(read_secret("SignInSecret", secret_arn, args.home) if secret_arn else ()),
            ],
        )
        self._task_role = self._role(
            f"{name}-task",
            "task",
            [
                *args.statements,
                *args.database.sign_in(),
                *(open_shell(shell_log_group.arn, args.log_key_arn) if shell_log_group else ()),
            ],
        )
        definition = aws.ecs.TaskDefinition(
            f"{name}-definition",
            family=args.container,
            requires_compatibilities=["FARGATE"],
            network_mode="awsvpc",
            cpu=str(args.size.cpu),
            memory=str(args.size.memory_mib),
            ephemeral_storage={"size_in_gib": args.size.storage_gib},
            runtime_platform={"operating_system_family": "LINUX", "cpu_architecture": "X86_64"},
            volumes=[{"name": SCRATCH_VOLUME}],
            execution_role_arn=self._execution_role.arn,
            task_role_arn=self._task_role.arn,
            container_definitions=pulumi.Output.json_dumps(
                [container_definition(self._container(log_group.name, secrets))]
            ),
            # an execution that is under way may still start its second attempt from the revision that it knows
            skip_destroy=True,
            opts=child,
        )
        self.task_definition_arn = definition.arn
        self.security_group_id = self._security_group(name)
        self.register_outputs({"task_definition_arn": self.task_definition_arn})

    def run(self) -> FargateRun:
        """What a state machine needs to run the task."""
        return FargateRun(
            cluster_arn=self._cluster.arn,
            task_definition_arn=self.task_definition_arn,
            subnet_ids=self._subnet_ids,
            security_group_id=self.security_group_id,
            container=self._args.container,
            timeout_seconds=self._args.size.timeout_minutes * 60,
            exec_enabled=self._args.exec_enabled,
        )

    def run_task(self) -> list[Statement]:
        """Run this task to its end."""
        return run_task(
            self._args.home,
            self.cluster_name,
            self._args.container,
            (self._task_role.arn, self._execution_role.arn),
        )

    def _container(self, log_group: Text, secrets: Mapping[Env, Text]) -> Container:
        args = self._args
        return Container(
            name=args.container,
            image=args.image,
            program=args.program,
            cpu=args.size.cpu,
            memory_mib=args.size.memory_mib,
            environment=args.environment,
            secrets=secrets,
            log_group=log_group,
            region=args.home.region,
            exec_enabled=args.exec_enabled,
        )

    def _log_group(self, name: str, physical_name: str) -> aws.cloudwatch.LogGroup:
        return aws.cloudwatch.LogGroup(
            name,
            name=physical_name,
            retention_in_days=self._args.log_retention_days,
            kms_key_id=self._args.log_key_arn,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _role(self, name: str, noun: str, statements: Sequence[Statement]) -> aws.iam.Role:
        role = aws.iam.Role(
            f"{name}-role",
            name=self._args.home.name(f"{self._args.stage}-{noun}"),
            assume_role_policy=pulumi.Output.json_dumps(
                service_trust("ecs-tasks.amazonaws.com", self._args.home, "ecs", "*")
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.iam.RolePolicy(
            f"{name}-policy",
            name=noun,
            role=role.name,
            policy=pulumi.Output.json_dumps(policy_document(*statements)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return role

    def _security_group(self, name: str) -> pulumi.Output[str]:
        args, child = self._args, pulumi.ResourceOptions(parent=self)
        group = aws.ec2.SecurityGroup(
            f"{name}-security-group",
            name=args.home.name(f"{args.stage}-task"),
            description=f"Task {args.container}: no way in, out to its database and to AWS endpoints",
            vpc_id=args.network.vpc_id,
            opts=child,
        )
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-to-database",
            description="Postgres",
            security_group_id=group.id,
            ip_protocol="tcp",
            from_port=args.database.port,
            to_port=args.database.port,
            referenced_security_group_id=args.database.security_group_id,
            opts=child,
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-into-database",
            description=f"Task {args.container}",
            security_group_id=args.database.security_group_id,
            ip_protocol="tcp",
            from_port=args.database.port,
            to_port=args.database.port,
            referenced_security_group_id=group.id,
            opts=child,
        )
        for cidr in args.network.aws_endpoint_cidrs:
            aws.vpc.SecurityGroupEgressRule(
                f"{name}-to-endpoints-{cidr}",
                description="Interface endpoints of AWS services",
                security_group_id=group.id,
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                cidr_ipv4=cidr,
                opts=child,
            )
        s3 = aws.ec2.get_managed_prefix_list_output(
            name=f"com.amazonaws.{args.home.region}.s3", opts=pulumi.InvokeOutputOptions(parent=self)
        )
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-to-s3",
            description="S3 gateway endpoint",
            security_group_id=group.id,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            prefix_list_id=s3.id,
            opts=child,
        )
        return group.id
