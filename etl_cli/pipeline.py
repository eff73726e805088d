"""The pipeline as its watchers know it: its stages and what has happened to each, fed with events."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from etl_cli.ending import ExitStatus
from etl_cli.events import Ended, Event, Progressed, Stage, Started, State, Totals
from etl_cli.quantities import moment_text


def new_execution_name(environment: str, now: datetime) -> str:
    """A name that says for what and when, and that no other run has: `dev-20261122-120307-3f9a`."""
    return f"{environment}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@dataclass(slots=True)
class StageState:
    """What is known of one stage."""

    stage: Stage
    state: State = State.WAITING
    work: str = ""
    step: str = ""
    note: str = ""
    was_started_before: bool = False
    error: str = ""
    bytes_done: int | None = None
    bytes_total: int | None = None
    tables_done: int | None = None
    tables_total: int | None = None
    totals: Totals = field(default_factory=Totals)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_status: ExitStatus | None = None

    def seconds(self, now: datetime) -> float | None:
        """How long it has run or ran; None before it starts."""
        if self.started_at is None:
            return None
        return max(0.0, ((self.ended_at or now) - self.started_at).total_seconds())

    def document(self) -> dict[str, Any]:
        """The stage as the final report has it."""
        seconds = self.seconds(self.ended_at) if self.ended_at else None
        return {
            "stage": self.stage,
            "state": self.state,
            "work": self.work,
            "started_at": self.started_at and moment_text(self.started_at),
            "ended_at": self.ended_at and moment_text(self.ended_at),
            "seconds": seconds if seconds is None else round(seconds, 1),
            "bytes": self.totals.bytes,
            "rows": self.totals.rows,
            "tables": self.totals.tables,
            "note": self.note,
            "error": self.error,
        }

    def apply(self, event: Started | Progressed | Ended) -> None:
        """Take an event of this stage into account."""
        match event:
            case Started():
                self.state = State.RUNNING
                self.work = event.work or self.work
                self.note = event.note
                self.was_started_before = event.was_started_before
                self.started_at = event.since or self.started_at or event.at
            case Progressed():
                self.step = event.step
                self.bytes_done, self.bytes_total = event.bytes_done, event.bytes_total
                self.tables_done, self.tables_total = event.tables_done, event.tables_total
            case Ended():
                self.state = event.state
                self.error = event.error
                self.exit_status = event.exit_status
                self.totals = event.totals
                self.ended_at = event.until or event.at
                self.step = ""


@dataclass(slots=True)
class Pipeline:
    """One dump's way from source to target."""

    environment: str
    execution_name: str
    stages: dict[Stage, StageState] = field(default_factory=dict[Stage, StageState])

    @classmethod
    def of(cls, environment: str, execution_name: str, stages: Iterable[Stage] = tuple(Stage)) -> Pipeline:
        """A pipeline of which nothing has happened yet, its stages in their order."""
        asked = frozenset(stages)
        return cls(environment, execution_name, {stage: StageState(stage) for stage in Stage if stage in asked})

    def apply(self, event: Event) -> None:
        """Take an event into account."""
        if isinstance(event, Started | Progressed | Ended):
            self.stages[event.stage].apply(event)

    @property
    def state(self) -> State:
        """The state of the whole: the first stage that did not succeed decides."""
        return next((s.state for s in self.stages.values() if s.state is not State.SUCCEEDED), State.SUCCEEDED)

    @property
    def exit_status(self) -> ExitStatus:
        """What a command that followed it exits with."""
        for stage in self.stages.values():
            if stage.state is not State.SUCCEEDED:
                return stage.state.exit_status if stage.exit_status is None else stage.exit_status
        return ExitStatus.DONE
