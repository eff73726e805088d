"""An observer of a deployment: looks at executions, Jobs, dumps and queues, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from etl_runtime.contract import DUMP_FILENAME, ContractError, DumpPrefix, Env, LoadBucket, execution_name

from etl_cli.aws import AWS_ERRORS, Account, error_code
from etl_cli.dumps import Dumps
from etl_cli.ending import CommandError, RefusedError
from etl_cli.events import Stage, State
from etl_cli.quantities import count_text
from etl_cli.queues import depth
from etl_cli.stack_outputs import Deployment, StackOutputs
from etl_cli.standing import RunStanding, Standing, Work
from etl_cli.state_machine import StateMachine
from etl_cli.transform_jobs import KUBERNETES_ERRORS, TransformJob, TransformJobs, kubernetes_error

_T = TypeVar("_T")
_LOOKED_THROUGH = 100
"""Executions of a machine that are looked through for those of one environment: each takes a call."""


@dataclass(slots=True, kw_only=True)
class Observer:
    """Looks at a deployment without changing it; what it may not see, it notes and leaves out.

    Attributes:
        deployment: what is deployed.
        profiles: AWS profile by the stage whose stack it is for; None for the environment's credentials.
        open_jobs: makes the reader of a namespace's Jobs.
    """

    deployment: Deployment
    profiles: Mapping[Stage, str | None]
    open_jobs: Callable[[str], TransformJobs]
    _accounts: dict[Stage, Account] = field(default_factory=dict[Stage, Account], init=False)
    _standing: Standing = field(default_factory=Standing, init=False)
    _is_cut: bool = field(default=False, init=False)

    def look(self, wanted: str | None, environment: str | None, most: int) -> Standing:
        """See how things stand.

        Args:
            wanted: one run by its name; None for the latest ones.
            environment: only runs for this environment; None for all.
            most: how many runs.

        Raises:
            RefusedError: there is no such run, or it is for another environment.
        """
        runs: dict[str, RunStanding] = {}
        for stage in (Stage.EXTRACT, Stage.LOAD):
            self._executions(runs, stage, wanted, environment, most)
        self._jobs(runs, wanted)
        latest = sorted(runs.values(), key=lambda run: max(work.started_at for work in run.work.values()), reverse=True)
        chosen = [run for run in latest if environment in (None, run.environment)][:most]
        if not chosen:
            self._standing.absence = self._absence(runs, wanted, environment)
        for run in chosen:
            self._dumps(run)
        self._standing.runs = chosen
        self._queues()
        return self._standing

    def _absence(self, runs: Mapping[str, RunStanding], wanted: str | None, environment: str | None) -> str:
        """Why there is no run to show, as far as all could be seen."""
        if self._standing.unseen:
            return "no run can be seen"
        if wanted and wanted in runs:
            raise RefusedError(f"run {wanted!a} loads into {runs[wanted].environment!a}, not into {environment!a}")
        if wanted:
            raise RefusedError(f"there is no run {wanted!a}")
        if environment is None:
            return "nothing has run yet"
        if self._is_cut:
            return f"none of the latest {_LOOKED_THROUGH} runs loads into {environment!a}"
        return f"no run loads into {environment!a}"

    def _try(self, what: str, look: Callable[[], _T]) -> _T | None:
        try:
            return look()
        except AWS_ERRORS as error:
            self._standing.unseen.append(f"{what}: {error_code(error)}")
        except KUBERNETES_ERRORS as error:
            self._standing.unseen.append(f"{what}: {kubernetes_error(error)}")
        except CommandError as error:
            self._standing.unseen.append(f"{what}: {error}")
        return None

    def _account(self, stage: Stage) -> Account:
        if stage not in self._accounts:
            self._accounts[stage] = Account(self.profiles.get(stage), self.deployment.of(stage).text("region"))
        return self._accounts[stage]

    def _outputs(self, stage: Stage) -> StackOutputs | None:
        return self.deployment.load if stage is Stage.LOAD else self.deployment.extract

    def _executions(
        self, runs: dict[str, RunStanding], stage: Stage, wanted: str | None, environment: str | None, most: int
    ) -> None:
        outputs = self._outputs(stage)
        arn = outputs and outputs.optional_text(f"{stage}_state_machine_arn")
        if outputs is None or not arn:
            return
        machine = StateMachine(self._account(stage), arn)
        for name in [wanted] if wanted else self._names(machine, stage, environment, most):
            execution = self._try(f"the {stage} of {name}", lambda name=name: machine.find(name))
            if execution is None:
                continue
            run = runs.setdefault(name, RunStanding(name))
            run.undone = _undone(execution.input)
            # A rollback names no environment: it is of the one that its machine's stack loads into.
            told = outputs.text("environment") if run.undone else _environment(execution.input)
            run.environment = run.environment or told
            run.work[stage] = Work(
                execution.state, execution.started_at, execution.ended_at, execution.reason, execution.arn
            )
            if environment and sum(stage in r.work and r.environment == environment for r in runs.values()) == most:
                return

    def _names(self, machine: StateMachine, stage: Stage, environment: str | None, most: int) -> list[str]:
        """The latest executions; for one environment many more, of which each must say by its input whether it is."""
        count = _LOOKED_THROUGH if environment else most
        names = self._try(f"executions of the {stage}", lambda: machine.latest(count)) or []
        self._is_cut = self._is_cut or len(names) == count
        return names

    def _jobs(self, runs: dict[str, RunStanding], wanted: str | None) -> None:
        namespace = self.deployment.extract and self.deployment.extract.optional_text("transform_namespace")
        if not namespace:
            return

        def look() -> list[tuple[TransformJob, str]]:
            jobs = self.open_jobs(namespace)
            found = jobs.of_execution(wanted) if wanted else jobs.all()
            # A log is a call: that of a run of its own, and of what runs now.
            return [(job, _said(jobs, job) if wanted or job.state is State.RUNNING else "") for job in found]

        for job, said in self._try("transform Jobs", look) or []:
            try:
                name = execution_name(job.execution_id)
            except ContractError:
                continue
            run = runs.setdefault(name, RunStanding(name))
            run.work[Stage.TRANSFORM] = Work(job.state, job.created_at, job.ended_at, said or job.reason, job.name)

    def _dumps(self, run: RunStanding) -> None:
        if run.undone:
            return
        try:
            prefix = DumpPrefix(run.environment, run.execution_name, DUMP_FILENAME)
        except ContractError:
            return
        extract = self.deployment.extract
        bucket = extract and extract.optional_text("extract_bucket")
        if bucket:
            raw = Dumps(self._account(Stage.EXTRACT), LoadBucket(bucket, ""), "raw")
            run.raw = self._try(f"the raw dump of {run.execution_name}", lambda: raw.find(prefix))
        account = self._account(Stage.LOAD if self.deployment.load else Stage.EXTRACT)
        run.clean = self._try(
            f"the clean dump of {run.execution_name}",
            lambda: Dumps(account, self.deployment.load_bucket(run.environment), "clean").find(prefix),
        )

    def _queues(self) -> None:
        extract = self.deployment.extract
        for attribute, output in (("queue", "dump_queue_url"), ("dead_letters", "dead_letter_queue_url")):
            url = extract and extract.optional_text(output)
            if url:
                found = self._try(output, lambda url=url: depth(self._account(Stage.EXTRACT), url))
                setattr(self._standing, attribute, found)


def _said(jobs: TransformJobs, job: TransformJob) -> str:
    """How far a Job that runs is, or why one failed, in its own last words; "" where it said nothing of the kind."""
    if job.state is State.SUCCEEDED:
        return ""
    lines = jobs.log(job)[::-1]
    if job.state is not State.RUNNING:
        return next((failure.error for line in lines if (failure := line.failure())), "")
    progress = next((p for line in lines if (p := line.progress(Stage.TRANSFORM, job.created_at))), None)
    if progress is None or not progress.tables_total:
        return progress.step if progress else ""
    return f"{progress.step}, {progress.tables_done or 0:,} of {count_text(progress.tables_total, 'table')}"


def _environment(document: Any) -> str:
    """The load environment that an execution's input names: itself, or as the first part of LOAD_FILENAME."""
    if not isinstance(document, dict):
        return ""
    return str(document.get(Env.LOAD_ENVIRONMENT) or str(document.get(Env.LOAD_FILENAME, "")).partition("/")[0])


def _undone(document: Any) -> str:
    """The load that an execution's input tells it to undo, "" for one that loads."""
    return str(document.get(Env.ROLLBACK, "")) if isinstance(document, dict) else ""
