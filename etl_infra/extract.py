"""Extract: the source database, the bucket of raw dumps, the queue that announces them, the machine that takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from etl_runtime import contract
from etl_runtime.contract import Env

from etl_infra.components.database import Database, DatabaseArgs
from etl_infra.components.dump_queue import DumpQueue, DumpQueueArgs
from etl_infra.components.fargate_task import FargateTask, FargateTaskArgs
from etl_infra.components.nightly_run import NightlyRun, NightlyRunArgs
from etl_infra.components.private_bucket import PrivateBucket, PrivateBucketArgs
from etl_infra.components.task_state_machine import TaskStateMachine, TaskStateMachineArgs
from etl_infra.documents.container_definition import SCRATCH_PATH
from etl_infra.documents.database_environment import database_environment
from etl_infra.documents.extract_machine import ExtractMachine, extract_machine
from etl_infra.documents.iam import Text
from etl_infra.documents.state_machine import Failure, machine_timeout_seconds
from etl_infra.operations import Operations
from etl_infra.stack_settings import ExtractSettings, StackSettings, roles_outside_network

STAGE: Final = "extract"


@dataclass(frozen=True, kw_only=True)
class ExtractArgs:
    """The stack, its extract settings, and who hears of failures."""

    stack: StackSettings
    settings: ExtractSettings
    operations: Operations


class Extract(pulumi.ComponentResource):
    """Dumps a source database, which leaves a manifest in the bucket and its event in the queue."""

    load_buckets: Mapping[str, contract.LoadBucket]
    bucket: PrivateBucket
    queue: DumpQueue
    task: FargateTask
    state_machine: TaskStateMachine

    def __init__(self, name: str, args: ExtractArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:Extract", name, None, opts)
        stack, settings, home = args.stack, args.settings, args.stack.home
        self.load_buckets = settings.load_buckets
        child = pulumi.ResourceOptions(parent=self)
        database = Database(
            f"{name}-source",
            DatabaseArgs(
                home=home,
                noun="source",
                settings=settings.source,
                network=stack.network,
                log_key_arn=args.operations.key_arn,
                log_retention_days=stack.log_retention_days,
                deployer_role_arns=stack.deployer_role_arns,
                sign_in_role_arn=home.role_arn(f"{STAGE}-execution"),
                protected=stack.is_protected,
            ),
            child,
        )
        self.bucket = PrivateBucket(
            f"{name}-bucket",
            PrivateBucketArgs(
                home=home,
                stage=STAGE,
                retention_days=settings.raw_retention_days,
                writer_role_arns=[home.role_arn(f"{STAGE}-task")],
                reader_role_arns=_readers(stack),
                boundary=stack.boundary,
                role_arns_outside=roles_outside_network(stack, STAGE),
                access_log_bucket=stack.access_log_bucket,
                dump_reader_role_arns=[home.role_arn(contract.TRANSFORM_CONTAINER)] if stack.transform else [],
                protected=stack.is_protected,
            ),
            child,
        )
        self.queue = DumpQueue(
            f"{name}-queue",
            DumpQueueArgs(
                home=home,
                bucket=self.bucket,
                key_arn=args.operations.key_arn,
                alarm_topic_arn=args.operations.alarm_topic_arn,
                protected=stack.is_protected,
            ),
            child,
        )
        environment: dict[Env, Text] = {
            **database_environment(stack, settings.source, database.host, database.port),
            Env.MOUNT_POINT: SCRATCH_PATH,
            Env.EXTRACT_BUCKET: self.bucket.name,
            Env.EXTRACT_BUCKET_OWNER: home.account_id,
            Env.LOAD_BUCKETS: contract.load_buckets_text(settings.load_buckets),
            Env.DUMP_JOBS: str(settings.task.jobs),
        }
        self.task = FargateTask(
            f"{name}-task",
            FargateTaskArgs(
                home=home,
                stage=STAGE,
                container=contract.PG_DUMP_CONTAINER,
                program="etl_runtime.pg_dump",
                image=stack.images.migrator,
                repository_arns=stack.images.repository_arns,
                size=settings.task,
                environment=environment,
                database=database,
                statements=self.bucket.write_objects(sorted(settings.load_buckets)),
                network=stack.network,
                log_retention_days=stack.log_retention_days,
                log_key_arn=args.operations.key_arn,
                exec_enabled=stack.ecs_exec_enabled,
            ),
            child,
        )
        run = self.task.run()
        self.state_machine = TaskStateMachine(
            f"{name}-rds-to-s3",
            TaskStateMachineArgs(
                home=home,
                stage=STAGE,
                name=contract.EXTRACT_STATE_MACHINE_NAME,
                definition=extract_machine(
                    ExtractMachine(
                        run=run,
                        failure=Failure(
                            stage="Extract",
                            topic_arn=args.operations.alarm_topic_arn,
                            log_group=home.log_group(contract.PG_DUMP_CONTAINER),
                        ),
                        load_environments=list(settings.load_buckets),
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
        if settings.nightly:
            NightlyRun(
                f"{name}-nightly",
                NightlyRunArgs(
                    home=home,
                    settings=settings.nightly,
                    state_machine=self.state_machine,
                    alarm_topic_arn=args.operations.alarm_topic_arn,
                ),
                child,
            )
        self.register_outputs({})


def _readers(stack: StackSettings) -> list[str]:
    """The roles that decrypt what is in the bucket: the cleaning of dumps whole, Jenkins its manifests."""
    nouns = [contract.TRANSFORM_CONTAINER, contract.DISPATCHER_CONTAINER] if stack.transform else []
    return [stack.home.role_arn(noun) for noun in (*nouns, *(["jenkins"] if stack.access else []))]
