"""Extract or load as a watcher follows it: an execution of a state machine, its task's log, the dump it is about."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from etl_runtime.contract import DumpPrefix

from etl_cli.aws import AWS_ERRORS, command_error, error_code
from etl_cli.clock import Clock, Every, Pace
from etl_cli.dumps import Dumps, totals_of
from etl_cli.ending import CommandError, RefusedError
from etl_cli.events import Ended, Event, Noticed, Stage, Started, State, Totals
from etl_cli.program_log import Failure, LogLine
from etl_cli.quantities import moment_text
from etl_cli.sight import Sight
from etl_cli.state_machine import Execution, StateMachine
from etl_cli.task_log import TaskLog

_STOPPING_SECONDS = 5
"""How long to look whether an execution has stopped: what ends this command by SIGTERM may soon send SIGKILL."""


def _finding(execution: Execution) -> str:
    if execution.ended_at is None:
        return "was started before: reattached"
    return f"had ended before, at {moment_text(execution.ended_at)}: not run again"


@dataclass(slots=True, kw_only=True)
class ExecutionStage:
    """Starts an execution, or finds the one that was started before, and follows it to its end.

    Attributes:
        stage: EXTRACT or LOAD.
        machine: what runs it.
        prefix: the dump that is made or loaded; its execution name is the execution's.
        document: the execution's input.
        dumps: where the manifest of that dump is: what extract must leave, what load must find; None for an
            execution that is about no dump.
        open_log: makes the log of the task from the execution; returns None where there is no log to read.
        clock: the time.
        pace: how often to look, and how long to be patient.
        is_ephemeral: whether what is deployed is taken down with the run, so that nothing goes on after it.
    """

    stage: Stage
    machine: StateMachine
    prefix: DumpPrefix
    document: dict[str, str]
    dumps: Dumps | None
    open_log: Callable[[Execution], TaskLog | None]
    clock: Clock
    pace: Pace
    is_ephemeral: bool = False
    _sight: Sight = field(init=False)
    _look: Every = field(init=False)
    _log: TaskLog | None = field(default=None, init=False)
    _failure: Failure | None = field(default=None, init=False)
    _ended: Execution | None = field(default=None, init=False)
    _ended_seen_at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Set up sight and rhythm."""
        self._sight = Sight(self.clock, self.stage, self.pace.blind)
        self._look = Every(self.clock, self.pace.state)

    def begin(self) -> list[Event]:
        """Start it, or reattach to it.

        Raises:
            RefusedError: there is no dump to load, or the execution's name is taken by another.
            CommandError: AWS could not be asked.
        """
        name = self.prefix.execution_name
        try:
            if self.dumps and self.stage is Stage.LOAD and self.dumps.find(self.prefix) is None:
                raise RefusedError(f"nothing to load: {self.dumps.absence(self.prefix)}")
            execution, is_new = self.machine.start(name, self.document)
        except AWS_ERRORS as error:
            raise command_error(f"{self.stage} was not started", error) from None
        started = Started(
            at=self.clock.now(),
            stage=self.stage,
            work=self.machine.execution_arn(name),
            note="" if is_new or execution is None else _finding(execution),
            was_started_before=not is_new,
            since=execution.started_at if execution else None,
        )
        if execution is not None:
            self._log = self.open_log(execution)
        return [started]

    def poll(self) -> list[Event]:
        """What happened since the last look; the last event is an `Ended` when it is over."""
        events = self._read_log()
        if self._ended is None and self._look.is_due():
            try:
                execution = self.machine.find(self.prefix.execution_name)
            except AWS_ERRORS as error:
                self.machine.account.learn_from(error)
                return [*events, *self._sight.lost(error_code(error))]
            if execution is None:  # Step Functions is eventually consistent
                return [*events, *self._sight.lost("the execution is not shown yet")]
            events += self._sight.seen()
            self._log = self._log or self.open_log(execution)
            if execution.state is not State.RUNNING:
                self._ended, self._ended_seen_at = execution, self.clock.monotonic()
                events += self._read_log()
        if self._ended is not None:
            events += self._verdict(self._ended)
        return events

    def interrupt(self, *, detach: bool) -> list[Event]:
        """Stop the execution, or with `detach` leave it running."""
        name = self.prefix.execution_name
        if detach:
            error = f"no longer watched; execution {name} goes on"
        else:
            try:
                was_there = self.machine.stop(name)
                error = f"interrupted; {self._fate()}" if was_there else "interrupted before it was started"
            except AWS_ERRORS as fault:
                error = f"interrupted, and execution {name} could NOT be stopped ({error_code(fault)}): it may go on"
        return [Ended(at=self.clock.now(), stage=self.stage, state=State.ABORTED, error=error)]

    def _fate(self) -> str:
        """What became of an execution that was told to stop: one that had ended before stays as it is."""
        name, execution = self.prefix.execution_name, None
        until = self.clock.monotonic() + (0 if self.is_ephemeral else min(self.pace.settle, _STOPPING_SECONDS))
        with suppress(*AWS_ERRORS):
            execution = self.machine.find(name)
            while (execution is None or execution.state is State.RUNNING) and self.clock.monotonic() < until:
                self.clock.sleep(self.pace.progress)
                execution = self.machine.find(name)
        match execution.state if execution else State.UNKNOWN:
            case State.ABORTED:
                return f"execution {name} was stopped"
            case State.SUCCEEDED if self.is_ephemeral:
                return f"execution {name} had succeeded already"
            case State.SUCCEEDED if self.stage is Stage.EXTRACT:
                return f"execution {name} had succeeded already: its dump will be transformed, and nothing loads it"
            case State.SUCCEEDED:
                return f"execution {name} had succeeded already: the target is replaced"
            case State.FAILED | State.TIMED_OUT as state:
                return f"execution {name} had {'failed' if state is State.FAILED else 'timed out'} already"
            case _:
                return f"execution {name} was told to stop"

    def timed_out(self) -> str:
        """What to say when waiting has become too long."""
        if self.is_ephemeral:
            return f"execution {self.prefix.execution_name} takes too long"
        return f"execution {self.prefix.execution_name} goes on: the same command watches it again"

    def _read_log(self) -> list[Event]:
        if self._log is None:
            return []
        was_readable, lines = self._log.is_readable, self._log.new_lines()
        events: list[Event] = []
        if was_readable and not self._log.is_readable:
            text = f"the log {self._log.group} may not be read: states only"
            events.append(Noticed(at=self.clock.now(), stage=self.stage, text=text))
        self._failure = next((f for f in map(LogLine.failure, reversed(lines)) if f), self._failure)
        progress = [line.progress(self.stage, self.clock.now()) for line in lines]
        return events + [p for p in progress if p is not None][-1:]

    def _verdict(self, execution: Execution) -> list[Event]:
        waited = self.clock.monotonic() - self._ended_seen_at
        if execution.state is State.SUCCEEDED:
            return self._success(execution, waited)
        if execution.state is not State.FAILED:
            return [self._end(execution, execution.state, execution.reason)]
        can_say_more = self._failure is None and self._log is not None and self._log.is_readable
        # The program's own line arrives in CloudWatch some seconds after the task has ended.
        if can_say_more and waited < self.pace.settle / 2:
            return []
        return [self._end(execution, State.FAILED, self._failure.error if self._failure else execution.reason)]

    def _success(self, execution: Execution, waited: float) -> list[Event]:
        """A good end of the execution is one of the stage only once the dump's manifest is seen."""
        if self.dumps is None:
            return [self._end(execution, State.SUCCEEDED)]
        try:
            manifest = self.dumps.find(self.prefix)
        except AWS_ERRORS as error:
            self.dumps.account.learn_from(error)
            return self._sight.lost(error_code(error))
        except CommandError as error:
            return [self._end(execution, State.FAILED, str(error))]
        if manifest is not None:
            return [self._end(execution, State.SUCCEEDED, totals=totals_of(manifest))]
        if waited < self.pace.settle:
            return []
        missing = f"the execution succeeded, but {self.dumps.absence(self.prefix)}"
        return [self._end(execution, State.FAILED, missing)]

    def _end(self, execution: Execution, state: State, error: str = "", totals: Totals | None = None) -> Ended:
        is_good = state is State.SUCCEEDED
        return Ended(
            at=self.clock.now(),
            stage=self.stage,
            state=state,
            error="" if is_good else error or f"the execution {execution.state}",
            exit_status=self._failure.exit_status if self._failure and state is State.FAILED else None,
            totals=totals or Totals(),
            until=execution.ended_at,
        )
