"""Load: the bucket of cleaned dumps, the target database, the machine that restores one into the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
from etl_runtime import contract
from etl_runtime.contract import Env

from etl_infra.components.database import Database, DatabaseArgs
from etl_infra.components.fargate_task import FargateTask, FargateTaskArgs
from etl_infra.components.private_bucket import PrivateBucket, PrivateBucketArgs
from etl_infra.components.task_state_machine import TaskStateMachine, TaskStateMachineArgs
from etl_infra.documents.container_definition import SCRATCH_PATH
from etl_infra.documents.database_environment import database_environment
from etl_infra.documents.iam import Text
from etl_infra.documents.load_machine import LoadMachine, load_machine
from etl_infra.documents.state_machine import Failure, machine_timeout_seconds
from etl_infra.operations import Operations
from etl_infra.stack_settings import LoadSettings, StackSettings, roles_outside_network

STAGE: Final = "load"


@dataclass(frozen=True, kw_only=True)
class LoadArgs:
    """The stack, its load settings, and who hears of failures."""

    stack: StackSettings
    settings: LoadSettings
    operations: Operations


class Load(pulumi.ComponentResource):
    """Restores cleaned dumps, which transform roles of any account leave in the bucket, into a target database."""

    bucket: PrivateBucket
    task: FargateTask
    state_machine: TaskStateMachine

    def __init__(self, name: str, args: LoadArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:Load", name, None, opts)
        stack, settings, home = args.stack, args.settings, args.stack.home
        child = pulumi.ResourceOptions(parent=self)
        database = Database(
            f"{name}-target",
            DatabaseArgs(
                home=home,
                noun="target",
                settings=settings.target,
                network=stack.network,
                log_key_arn=args.operations.key_arn,
                log_retention_days=stack.log_retention_days,
                deployer_role_arns=stack.deployer_role_arns,
                sign_in_role_arn=home.role_arn(f"{STAGE}-execution"),
                protected=stack.is_protected,
            ),
            child,
        )
        own_readers = [f"{STAGE}-task", *(["jenkins"] if stack.access else [])]
        self.bucket = PrivateBucket(
            f"{name}-bucket",
            PrivateBucketArgs(
                home=home,
                stage=STAGE,
                retention_days=settings.clean_retention_days,
                writer_role_arns=(),
                reader_role_arns=[home.role_arn(noun) for noun in own_readers],
                admitted_writer_role_arns=settings.transform_role_arns,
                admitted_reader_role_arns=settings.dispatcher_role_arns,
                boundary=stack.boundary,
                role_arns_outside=roles_outside_network(stack, STAGE),
                access_log_bucket=stack.access_log_bucket,
                dump_reader_role_arns=[home.role_arn(f"{STAGE}-task")],
                protected=stack.is_protected,
            ),
            child,
        )
        environment: dict[Env, Text] = {
            **database_environment(stack, settings.target, database.host, database.port),
            Env.MOUNT_POINT: SCRATCH_PATH,
            Env.LOAD_BUCKET: self.bucket.name,
            Env.LOAD_BUCKET_OWNER: home.account_id,
            Env.RESTORE_JOBS: str(settings.task.jobs),
            Env.RESTORE_MODE: settings.mode,
            Env.ALLOWED_RULES: ",".join(settings.allowed_rules),
            Env.KEEP_PREVIOUS_HOURS: str(settings.keep_previous_hours),
            Env.KEEP_PREVIOUS_MOST: str(settings.keep_previous_most),
            Env.DB_STORAGE_GIB: database.storage_gib.apply(str),
            Env.PROTECTED_ACCOUNTS: ",".join(stack.protection.account_ids),
        }
        if settings.protected_load_target:
            environment[Env.PROTECTED_LOAD_TARGET] = settings.protected_load_target
        if settings.post_load_scripts:
            environment[Env.POST_LOAD_SCRIPTS] = settings.post_load_scripts
        self.task = FargateTask(
            f"{name}-task",
            FargateTaskArgs(
                home=home,
                stage=STAGE,
                container=contract.PG_RESTORE_CONTAINER,
                program="etl_runtime.pg_restore",
                image=stack.images.migrator,
                repository_arns=stack.images.repository_arns,
                size=settings.task,
                environment=environment,
                database=database,
                statements=self.bucket.read_objects(f"{home.environment}/"),
                network=stack.network,
                log_retention_days=stack.log_retention_days,
                log_key_arn=args.operations.key_arn,
                exec_enabled=stack.ecs_exec_enabled,
            ),
            child,
        )
        run = self.task.run()
        self.state_machine = TaskStateMachine(
            f"{name}-s3-to-rds",
            TaskStateMachineArgs(
                home=home,
                stage=STAGE,
                name=contract.LOAD_STATE_MACHINE_NAME,
                definition=load_machine(
                    LoadMachine(
                        run=run,
                        failure=Failure(
                            stage="Load",
                            topic_arn=args.operations.alarm_topic_arn,
                            log_group=home.log_group(contract.PG_RESTORE_CONTAINER),
                        ),
                        environment=home.environment,
                        closed_account_ids=[
                            account
                            for account in stack.protection.account_ids
                            if not (settings.protected_load_target and account == home.account_id)
                        ],
                        bucket=self.bucket.name,
                        bucket_owner=home.account_id,
                        timeout_seconds=machine_timeout_seconds(run),
                    )
                ),
                statements=[*self.task.run_task(), self.bucket.find_manifests()],
                alarm_topic_arn=args.operations.alarm_topic_arn,
                key_arn=args.operations.key_arn,
                log_retention_days=stack.log_retention_days,
            ),
            child,
        )
        self.register_outputs({})
