"""The transform as a watcher follows it: the Job that the dispatcher makes for a dump, the clean dump it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from etl_runtime.contract import DumpPrefix

from etl_cli.aws import AWS_ERRORS, command_error, error_code
from etl_cli.clock import Clock, Every, Pace
from etl_cli.dumps import Dumps, totals_of
from etl_cli.ending import CommandError, RefusedError
from etl_cli.events import Ended, Event, Progressed, Stage, Started, State
from etl_cli.program_log import Failure, LogLine
from etl_cli.quantities import seconds_text
from etl_cli.sight import Sight
from etl_cli.transform_jobs import KUBERNETES_ERRORS, TransformJob, TransformJobs, kubernetes_error


@dataclass(slots=True, kw_only=True)
class TransformStage:
    """Waits for the Job of an execution and follows it. Starts nothing itself, and ends nothing.

    Attributes:
        jobs: where Jobs are looked for.
        prefix: the dump.
        raw: where it comes from.
        clean: where it goes.
        undelivered: how many messages wait in the dead-letter queue; None where that may not be asked.
        clock: the time.
        pace: how often to look, and how long to be patient.
        is_ephemeral: whether what is deployed is taken down with the run, the Job with it.
    """

    jobs: TransformJobs
    prefix: DumpPrefix
    raw: Dumps
    clean: Dumps
    undelivered: Callable[[], int | None]
    clock: Clock
    pace: Pace
    is_ephemeral: bool = False
    stage: Stage = field(default=Stage.TRANSFORM, init=False)
    _sight: Sight = field(init=False)
    _sight_of_dumps: Sight = field(init=False)
    _look: Every = field(init=False)
    _job: TransformJob | None = field(default=None, init=False)
    _failure: Failure | None = field(default=None, init=False)
    _told: Progressed | None = field(default=None, init=False)
    _began: float = field(default=0.0, init=False)
    _over_since: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Set up sight and rhythm."""
        self._sight = Sight(self.clock, self.stage, self.pace.blind)
        self._sight_of_dumps = Sight(self.clock, self.stage, self.pace.blind)
        self._look = Every(self.clock, self.pace.state)

    def begin(self) -> list[Event]:
        """Begin to wait.

        Raises:
            RefusedError: there is no raw dump, so no Job will ever come.
            CommandError: AWS could not be asked.
        """
        self._began = self.clock.monotonic()
        try:
            if self.clean.find(self.prefix) is None and self.raw.find(self.prefix) is None:
                raise RefusedError(f"nothing to transform: {self.raw.absence(self.prefix)}")
        except AWS_ERRORS as error:
            raise command_error("the dump cannot be looked for", error) from None
        return [Started(at=self.clock.now(), stage=self.stage, work="", note="waiting for its Job")]

    def poll(self) -> list[Event]:
        """What happened since the last look; the last event is an `Ended` when it is over."""
        if not self._look.is_due():
            return self._read_log() if self._job else []
        try:
            found = self.jobs.of_execution(self.prefix.execution_name)
        except KUBERNETES_ERRORS as error:
            # The dump itself tells whether the work was done, whatever becomes of the Job and its cluster.
            seen, is_absent = self._look_for_clean()
            return seen + (self._sight.lost(kubernetes_error(error)) if is_absent else [])
        events = self._sight.seen()
        if len(found) > 1:
            names = ", ".join(job.name for job in found)
            return [*events, self._end(State.FAILED, f"{len(found)} Jobs claim this execution: {names}")]
        if not found:
            seen, is_absent = self._look_for_clean()
            return events + seen + (self._without_job() if is_absent else [])
        job = found[0]
        if self._job is None:
            events.append(
                Started(
                    at=self.clock.now(),
                    stage=self.stage,
                    work=f"{self.jobs.namespace}/{job.name}",
                    since=job.created_at,
                )
            )
        self._job = job
        progress = self._read_log()
        return events + (progress if job.state is State.RUNNING else self._verdict(job))

    def interrupt(self, *, detach: bool) -> list[Event]:
        """Stop watching. The Job is the dispatcher's and stays: a cleaned dump that nothing loads does no harm."""
        del detach
        error = "no longer watched; nothing is dispatched yet"
        if self.is_ephemeral:
            error = "interrupted"
        elif self._job is not None:
            error = (
                f"no longer watched; Job {self._job.name} goes on, and nothing loads what it leaves "
                f"(`kubectl -n {self.jobs.namespace} delete job {self._job.name}` ends it)"
            )
        return [Ended(at=self.clock.now(), stage=self.stage, state=State.ABORTED, error=error)]

    def timed_out(self) -> str:
        """What to say when waiting has become too long."""
        if self.is_ephemeral:
            return f"Job {self._job.name} takes too long" if self._job else "no Job has come for this dump"
        if self._job is None:
            return "no Job has come for this dump yet: the same command watches for it again"
        return f"Job {self._job.name} goes on: the same command watches it again"

    def _read_log(self) -> list[Event]:
        if self._job is None:
            return []
        lines = self.jobs.log(self._job)
        self._failure = next((f for f in map(LogLine.failure, reversed(lines)) if f), self._failure)
        said = [p for p in (line.progress(self.stage, self.clock.now()) for line in lines) if p is not None]
        # The end of the log is read again at each look, so the last word may be one that was told before.
        if not said or (self._told is not None and replace(said[-1], at=self._told.at) == self._told):
            return []
        self._told = said[-1]
        return [said[-1]]

    def _look_for_clean(self) -> tuple[list[Event], bool]:
        """The good end if there is a clean manifest; and whether there surely is none, so that other ends count."""
        try:
            manifest = self.clean.find(self.prefix)
        except AWS_ERRORS as error:
            self.clean.account.learn_from(error)
            return self._sight_of_dumps.lost(error_code(error)), False
        except CommandError as error:
            return [self._end(State.FAILED, str(error))], False
        if manifest is None:
            return self._sight_of_dumps.seen(), True
        ended = Ended(
            at=self.clock.now(),
            stage=self.stage,
            state=State.SUCCEEDED,
            totals=totals_of(manifest),
            until=self._job.ended_at if self._job else None,
        )
        return [ended], False

    def _verdict(self, job: TransformJob) -> list[Event]:
        if job.state is State.SUCCEEDED:
            seen, is_absent = self._look_for_clean()
            missing = f"Job {job.name} completed, but {self.clean.absence(self.prefix)}"
            return seen + (self._unless_settling(missing) if is_absent else [])
        if self._failure:
            return [self._end(job.state, self._failure.error)]
        # What never got so far as to say something itself: an evicted pod, a node that is gone.
        message = self.jobs.pod_message(job)
        reason = f"Job {job.name} failed" + (f" ({job.reason})" if job.reason else "")
        return [self._end(job.state, f"{reason}: {message}" if message else reason)]

    def _without_job(self) -> list[Event]:
        if self._job is not None:
            missing = f"Job {self._job.name} is gone, and {self.clean.absence(self.prefix)}"
            return self._unless_settling(missing)
        waited = self.clock.monotonic() - self._began
        if waited < self.pace.dispatch:
            return []
        depth = self.undelivered()
        letters = "its depth may not be read" if depth is None else f"it holds {depth}"
        error = (
            f"never dispatched: no Job in {seconds_text(waited)}; look at the dead-letter queue ({letters}) "
            "and at the dispatcher's log"
        )
        return [self._end(State.FAILED, error)]

    def _unless_settling(self, error: str) -> list[Event]:
        """An end without a manifest counts only once it has had the time to be seen."""
        now = self.clock.monotonic()
        self._over_since = now if self._over_since is None else self._over_since
        return [self._end(State.FAILED, error)] if now - self._over_since >= self.pace.settle else []

    def _end(self, state: State, error: str) -> Ended:
        return Ended(
            at=self.clock.now(),
            stage=self.stage,
            state=state,
            error=error,
            exit_status=self._failure.exit_status if self._failure and state is State.FAILED else None,
            until=self._job.ended_at if self._job else None,
        )
