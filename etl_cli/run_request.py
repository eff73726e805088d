"""One run as it was asked for: which dump, which stages, by whom; it becomes a conductor once all of it is checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from etl_runtime.contract import (
    DUMP_FILENAME,
    PG_DUMP_CONTAINER,
    PG_RESTORE_CONTAINER,
    ContractError,
    DumpPrefix,
    Env,
    LoadBucket,
)

from etl_cli.aws import AWS_ERRORS, Account
from etl_cli.clock import Clock, Pace
from etl_cli.conductor import Conductor, Followed, Listener
from etl_cli.dumps import Dumps
from etl_cli.ending import RefusedError
from etl_cli.events import Stage
from etl_cli.execution_stage import ExecutionStage
from etl_cli.pipeline import Pipeline
from etl_cli.queues import depth
from etl_cli.stack_outputs import Deployment, StackOutputs
from etl_cli.state_machine import Execution, StateMachine
from etl_cli.task_log import TaskLog
from etl_cli.transform_jobs import TransformJobs
from etl_cli.transform_stage import TransformStage


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What to run, and how to reach it.

    Attributes:
        environment: the environment to load into.
        execution_name: the name of both executions.
        stages: those to run, in their order.
        deployment: what is deployed.
        extract_profile: AWS profile for the extract stack's account; None for the environment's credentials.
        load_profile: the same for the load stack's.
        kubeconfig: Kubernetes configuration; None for the usual one.
        kube_context: a context of it; None for its current one.
        timeout_minutes: how long to wait for all of it.
        detach_on_interrupt: whether Ctrl-C leaves running what runs.
        pace: how often to look.
        is_ephemeral: whether what is deployed is taken down with the run, so that nothing goes on after it.
        undone: the execution whose load is undone, for a run of the load stage that does that and loads nothing.
    """

    environment: str
    execution_name: str
    stages: tuple[Stage, ...]
    deployment: Deployment
    extract_profile: str | None = None
    load_profile: str | None = None
    kubeconfig: Path | None = None
    kube_context: str | None = None
    timeout_minutes: float = 12 * 60
    detach_on_interrupt: bool = False
    pace: Pace = field(default_factory=Pace)
    is_ephemeral: bool = False
    undone: str = ""

    @property
    def prefix(self) -> DumpPrefix:
        """The dump that it is about: LOAD_FILENAME, and the place in both buckets.

        Raises:
            RefusedError: the environment or the execution name is not of the agreed form.
        """
        try:
            return DumpPrefix(self.environment, self.execution_name, DUMP_FILENAME)
        except ContractError as error:
            raise RefusedError(str(error)) from None

    @property
    def pipeline(self) -> Pipeline:
        """A pipeline of its stages, of which nothing has happened yet."""
        return Pipeline.of(self.environment, self.execution_name, self.stages)

    def check(self) -> None:
        """See that all of it can be done, without asking anybody yet.

        Raises:
            RefusedError: something cannot, or must not.
        """
        _ = self.prefix
        self.deployment.check(self.environment, self.stages)

    def conductor(self, pipeline: Pipeline, listeners: Sequence[Listener], clock: Clock) -> Conductor:
        """What runs it, once credentials and the way to the cluster are seen to be good. Nothing has started yet.

        Raises:
            RefusedError: no valid credentials, those of another account, or no Kubernetes configuration.
            CommandError: AWS cannot be reached.
        """
        self.check()
        make: dict[Stage, Callable[[Clock], Followed]] = {
            Stage.EXTRACT: self._extract,
            Stage.TRANSFORM: self._transform,
            Stage.LOAD: self._load,
        }
        return Conductor(
            pipeline=pipeline,
            stages=[make[stage](clock) for stage in self.stages],
            listeners=listeners,
            clock=clock,
            pace=self.pace,
            patience=self.timeout_minutes * 60,
            detach_on_interrupt=self.detach_on_interrupt,
        )

    def _account(self, stage: Stage) -> Account:
        profile = self.load_profile if stage is Stage.LOAD else self.extract_profile
        return Account(profile, self.deployment.of(stage).text("region"))

    def _machine(self, stage: Stage, output: str) -> StateMachine:
        machine = StateMachine(self._account(stage), self.deployment.of(stage).text(output))
        machine.account.check(machine.arn)
        return machine

    def _raw_dumps(self, account: Account) -> Dumps:
        outputs = self.deployment.of(Stage.EXTRACT)
        arn = outputs.optional_text("extract_state_machine_arn")
        owner = arn.split(":")[4] if arn else ""
        return Dumps(account, LoadBucket(outputs.text("extract_bucket"), owner), "raw")

    def _clean_dumps(self) -> Dumps:
        bucket = self.deployment.load_bucket(self.environment)
        stage = Stage.LOAD if self.deployment.load else Stage.EXTRACT
        return Dumps(self._account(stage), bucket, "clean")

    def _extract(self, clock: Clock) -> Followed:
        outputs, machine = self.deployment.of(Stage.EXTRACT), self._machine(Stage.EXTRACT, "extract_state_machine_arn")
        return ExecutionStage(
            stage=Stage.EXTRACT,
            machine=machine,
            prefix=self.prefix,
            document={Env.LOAD_ENVIRONMENT: self.environment},
            dumps=self._raw_dumps(machine.account),
            open_log=self._log(machine.account, outputs, "extract_log_group", PG_DUMP_CONTAINER),
            clock=clock,
            pace=self.pace,
            is_ephemeral=self.is_ephemeral,
        )

    def _transform(self, clock: Clock) -> Followed:
        outputs, account = self.deployment.of(Stage.TRANSFORM), self._account(Stage.TRANSFORM)
        letters = outputs.optional_text("dead_letter_queue_url")

        def undelivered() -> int | None:
            try:
                return depth(account, letters).waiting if letters else None
            except AWS_ERRORS:
                return None

        return TransformStage(
            jobs=TransformJobs(outputs.text("transform_namespace"), self.kubeconfig, self.kube_context),
            prefix=self.prefix,
            raw=self._raw_dumps(account),
            clean=self._clean_dumps(),
            undelivered=undelivered,
            clock=clock,
            pace=self.pace,
            is_ephemeral=self.is_ephemeral,
        )

    def _load(self, clock: Clock) -> Followed:
        outputs, machine = self.deployment.of(Stage.LOAD), self._machine(Stage.LOAD, "load_state_machine_arn")
        return ExecutionStage(
            stage=Stage.LOAD,
            machine=machine,
            prefix=self.prefix,
            document={Env.ROLLBACK: self.undone} if self.undone else {Env.LOAD_FILENAME: str(self.prefix)},
            dumps=None if self.undone else self._clean_dumps(),
            open_log=self._log(machine.account, outputs, "load_log_group", PG_RESTORE_CONTAINER),
            clock=clock,
            pace=self.pace,
            is_ephemeral=self.is_ephemeral,
        )

    def _log(
        self, account: Account, outputs: StackOutputs, group_output: str, container: str
    ) -> Callable[[Execution], TaskLog | None]:
        group = outputs.optional_text(group_output)
        return lambda execution: (
            TaskLog(account, group, container, self.execution_name, execution.started_at) if group else None
        )
