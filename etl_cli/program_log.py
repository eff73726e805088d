"""What the programs say in their logs: one JSON object a line, of which a few kinds matter to a watcher."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from etl_runtime.contract import ExitCode

from etl_cli.ending import ExitStatus
from etl_cli.events import Progressed, Stage


@dataclass(frozen=True, slots=True)
class LogLine:
    """One event of a program."""

    event: str
    execution_id: str
    fields: dict[str, Any]

    @classmethod
    def parse(cls, text: str) -> LogLine | None:
        """Read a line; None where it is not an event (a library or an interpreter may print too)."""
        try:
            document = json.loads(text)
        except ValueError:
            return None
        if not isinstance(document, dict):
            return None
        fields = cast(dict[str, Any], document)
        event = fields.get("event")
        return cls(event, str(fields.get("execution_id", "")), fields) if isinstance(event, str) else None

    def is_of(self, execution_name: str) -> bool:
        """Whether it was said in this execution, whose name is the last part of its id."""
        return self.execution_id.rpartition(":")[2] == execution_name

    def progress(self, stage: Stage, at: datetime) -> Progressed | None:
        """How far the program says it is, if that is what it says."""
        if self.event != "progress":
            return None
        return Progressed(
            at=at,
            stage=stage,
            step=str(self.fields.get("step", "")),
            bytes_done=self._number("bytes_done"),
            bytes_total=self._number("bytes_total"),
            tables_done=self._number("tables_done"),
            tables_total=self._number("tables_total"),
        )

    def failure(self) -> Failure | None:
        """Why the program ended, if that is what it says."""
        if self.event != "failed":
            return None
        return Failure(str(self.fields.get("error", "no reason given")), self._number("exit_code"))

    def _number(self, name: str) -> int | None:
        value = self.fields.get(name)
        return int(value) if isinstance(value, int | float) else None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a program ended: one line, and its exit code if that is known."""

    error: str
    exit_code: int | None = None

    @property
    def exit_status(self) -> ExitStatus | None:
        """What the command exits with if the failure is a passing one; else None."""
        return ExitStatus.UNKNOWN if self.exit_code == ExitCode.TRANSIENT else None
