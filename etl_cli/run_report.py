"""The report of a run: how each stage ended, for people in a few lines and for machines as one object."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from etl_runtime.contract import DumpPrefix

from etl_cli.ending import CommandError, ExitStatus
from etl_cli.events import State
from etl_cli.pipeline import Pipeline
from etl_cli.quantities import moment_text, seconds_text


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """A pipeline that nobody follows any more.

    Attributes:
        pipeline: what is known of it.
        prefix: the dump.
        started_at: when following began.
        ended_at: when it ended.
        undone: the execution whose load was undone, where that was the run.
    """

    pipeline: Pipeline
    prefix: DumpPrefix
    started_at: datetime
    ended_at: datetime
    undone: str = ""

    def document(self) -> dict[str, Any]:
        """The report as one JSON object."""
        return {
            "event": "report",
            "environment": self.pipeline.environment,
            "execution_name": self.pipeline.execution_name,
            **({"undone": self.undone} if self.undone else {"load_filename": str(self.prefix)}),
            "state": self.pipeline.state,
            "exit_status": int(self.pipeline.exit_status),
            "started_at": moment_text(self.started_at),
            "ended_at": moment_text(self.ended_at),
            "seconds": round((self.ended_at - self.started_at).total_seconds(), 1),
            "stages": [stage.document() for stage in self.pipeline.stages.values()],
        }

    def write(self, path: Path) -> None:
        """Write the report to a file.

        Raises:
            CommandError: the file cannot be written.
        """
        try:
            path.write_text(json.dumps(self.document(), indent=2, ensure_ascii=False) + "\n")
        except OSError as error:
            status = self.pipeline.exit_status or ExitStatus.WORK_FAILED
            raise CommandError(f"the report cannot be written to {path}: {error.strerror}", status) from None

    def line(self) -> str:
        """What to say last."""
        took = seconds_text((self.ended_at - self.started_at).total_seconds())
        name = self.pipeline.execution_name
        ended = next((s for s in self.pipeline.stages.values() if s.state is not State.SUCCEEDED), None)
        if ended is None:
            if self.undone:
                return f"load {self.undone} is undone, in {took}: the database that it replaced is the live one again"
            *before, last = self.pipeline.stages
            done = f"{', '.join(before)} and {last}" if before else str(last)
            return f"{done} succeeded in {took}: {self.prefix}"
        how = "ended unknown" if ended.state is State.UNKNOWN else ended.state
        return f"run {name} {how} in the {ended.stage} after {took}"
