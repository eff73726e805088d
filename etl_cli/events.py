"""The events of a pipeline: what may happen to its stages, each with the moment and its form in JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from etl_cli.ending import ExitStatus
from etl_cli.quantities import moment_text


class Stage(StrEnum):
    """The stages, in the order in which they run."""

    EXTRACT = "extract"
    TRANSFORM = "transform"
    LOAD = "load"


class State(StrEnum):
    """How far a stage is, or how it ended."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    ABORTED = "aborted"
    UNKNOWN = "unknown"

    @property
    def exit_status(self) -> ExitStatus:
        """What a command exits with when a stage ends so."""
        return {
            State.SUCCEEDED: ExitStatus.DONE,
            State.FAILED: ExitStatus.WORK_FAILED,
            State.TIMED_OUT: ExitStatus.TIMED_OUT,
            State.ABORTED: ExitStatus.ABORTED,
        }.get(self, ExitStatus.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Totals:
    """What a stage moved; None where nobody said."""

    bytes: int | None = None
    rows: int | None = None
    tables: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at a moment."""

    at: datetime

    def document(self) -> dict[str, Any]:
        """The event as JSON has it; the key `event` names its kind."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """A stage's work is under way.

    Attributes:
        stage: the stage.
        work: what does it: an execution's ARN, or `namespace/job`; empty while the stage waits for its Job.
        note: what a reader should know; empty if nothing.
        was_started_before: whether it was found rather than started.
        since: when the work began, where that is known and other than `at`.
    """

    stage: Stage
    work: str
    note: str = ""
    was_started_before: bool = False
    since: datetime | None = None

    def document(self) -> dict[str, Any]:
        """See `Event.document`."""
        return {
            "event": "stage_started",
            "at": moment_text(self.at),
            "stage": self.stage,
            "work": self.work,
            "since": moment_text(self.since or self.at),
            "was_started_before": self.was_started_before,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed(Event):
    """A stage's program said how far it is. Totals are None where it does not know them."""

    stage: Stage
    step: str
    bytes_done: int | None = None
    bytes_total: int | None = None
    tables_done: int | None = None
    tables_total: int | None = None

    def document(self) -> dict[str, Any]:
        """See `Event.document`."""
        return {
            "event": "stage_progressed",
            "at": moment_text(self.at),
            "stage": self.stage,
            "step": self.step,
            "bytes_done": self.bytes_done,
            "bytes_total": self.bytes_total,
            "tables_done": self.tables_done,
            "tables_total": self.tables_total,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed(Event):
    """Something a person should know that changes no state."""

    text: str
    stage: Stage | None = None

    def document(self) -> dict[str, Any]:
        """See `Event.document`."""
        return {"event": "noticed", "at": moment_text(self.at), "stage": self.stage, "text": self.text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Event):
    """A stage ended.

    Attributes:
        stage: the stage.
        state: how.
        error: why, in one line; empty if it succeeded.
        exit_status: what the command exits with, where the state alone does not say; else None.
        totals: what was moved.
        until: when the work itself ended, where that is known and other than `at`.
    """

    stage: Stage
    state: State
    error: str = ""
    exit_status: ExitStatus | None = None
    totals: Totals = Totals()
    until: datetime | None = None

    def document(self) -> dict[str, Any]:
        """See `Event.document`."""
        return {
            "event": "stage_ended",
            "at": moment_text(self.at),
            "stage": self.stage,
            "state": self.state,
            "until": moment_text(self.until or self.at),
            "bytes": self.totals.bytes,
            "rows": self.totals.rows,
            "tables": self.totals.tables,
            "error": self.error,
        }
