"""The conductor of a run: takes the stages in their order, each to its end, and tells everyone what happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from etl_cli.clock import Clock, Pace
from etl_cli.ending import CommandError
from etl_cli.events import Ended, Event, Stage, State
from etl_cli.pipeline import Pipeline

Listener = Callable[[Pipeline, Event], None]


class Followed(Protocol):
    """One stage that can be followed."""

    @property
    def stage(self) -> Stage:
        """Which it is."""
        ...

    def begin(self) -> list[Event]:
        """Start it or find it; raises `CommandError` if that cannot be done."""
        ...

    def poll(self) -> list[Event]:
        """What happened since the last look, an `Ended` last when it is over."""
        ...

    def interrupt(self, *, detach: bool) -> list[Event]:
        """Stop it, or with `detach` only stop watching; ends with an `Ended`."""
        ...

    def timed_out(self) -> str:
        """What to say of it when waiting has become too long."""
        ...


@dataclass(slots=True, kw_only=True)
class Conductor:
    """Runs stages one after another until one does not succeed.

    Attributes:
        pipeline: what is known; kept up to date.
        stages: those to run, in order.
        listeners: told of each event after the pipeline knows it.
        clock: the time.
        pace: how often to look.
        patience: seconds after which waiting ends; the work goes on then.
        detach_on_interrupt: whether Ctrl-C leaves running what runs.
    """

    pipeline: Pipeline
    stages: Sequence[Followed]
    listeners: Sequence[Listener]
    clock: Clock
    pace: Pace
    patience: float
    detach_on_interrupt: bool = False
    _deadline: float = field(default=0.0, init=False)

    def run(self) -> Pipeline:
        """Run the stages; the pipeline says how each ended.

        Raises:
            CommandError: the first of the stages could not begin, so nothing happened.
        """
        self._deadline = self.clock.monotonic() + self.patience
        for stage in self.stages:
            try:
                self._follow(stage)
            except KeyboardInterrupt:
                self._tell(stage.interrupt(detach=self.detach_on_interrupt))
            except CommandError as error:
                if stage is self.stages[0]:
                    raise
                self._tell(
                    [
                        Ended(
                            at=self.clock.now(),
                            stage=stage.stage,
                            state=State.FAILED,
                            error=str(error),
                            exit_status=error.status,
                        )
                    ]
                )
            if self.pipeline.stages[stage.stage].state is not State.SUCCEEDED:
                break
        return self.pipeline

    def _follow(self, stage: Followed) -> None:
        is_over = self._tell(stage.begin())
        while not is_over:
            is_over = self._tell(stage.poll())
            if is_over:
                break
            if self.clock.monotonic() >= self._deadline:
                is_over = self._tell(
                    [Ended(at=self.clock.now(), stage=stage.stage, state=State.TIMED_OUT, error=stage.timed_out())]
                )
                break
            self.clock.sleep(self.pace.progress)

    def _tell(self, events: Sequence[Event]) -> bool:
        for event in events:
            self.pipeline.apply(event)
            for listener in self.listeners:
                listener(self.pipeline, event)
        return any(isinstance(event, Ended) for event in events)
