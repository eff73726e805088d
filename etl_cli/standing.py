"""How things stand: what ran lately and what came of it, as far as it could be seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from etl_runtime.manifest import Manifest

from etl_cli.dumps import totals_of
from etl_cli.events import Stage, State
from etl_cli.quantities import moment_text
from etl_cli.queues import Depth


@dataclass(frozen=True, slots=True)
class Work:
    """One stage of one run: how it stands, when it began and ended, how far it is or why it failed."""

    state: State
    started_at: datetime
    ended_at: datetime | None
    reason: str
    name: str

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "state": self.state,
            "started_at": moment_text(self.started_at),
            "ended_at": self.ended_at and moment_text(self.ended_at),
            "reason": self.reason,
            "name": self.name,
        }


@dataclass(slots=True)
class RunStanding:
    """What is known of one run; None for what has not happened or may not be seen.

    A rollback is a run, too: its work is that of the load's machine, and `undone` is the run whose load it undoes.
    """

    execution_name: str
    environment: str = ""
    undone: str = ""
    work: dict[Stage, Work] = field(default_factory=dict[Stage, Work])
    raw: Manifest | None = None
    clean: Manifest | None = None

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "execution_name": self.execution_name,
            "environment": self.environment,
            "undone": self.undone or None,
            **{stage: work.document() if (work := self.work.get(stage)) else None for stage in Stage},
            "raw": self.raw and _dump_document(self.raw),
            "clean": self.clean and _dump_document(self.clean),
        }


def _dump_document(manifest: Manifest) -> dict[str, Any]:
    totals = totals_of(manifest)
    document: dict[str, Any] = {"bytes": totals.bytes, "rows": totals.rows, "tables": totals.tables}
    if manifest.cleaning is not None:
        document |= {
            "rules_sha256": manifest.cleaning.rules_sha256,
            "proof": manifest.cleaning.proof.get("result"),
            "scrubbed_columns": len(manifest.cleaning.proof.get("columns", [])),
        }
    return document


@dataclass(slots=True)
class Standing:
    """What is known of a deployment.

    Attributes:
        runs: the latest first.
        absence: where there are none: why, in a few words.
        queue: depth of the dump queue.
        dead_letters: depth of the dead-letter queue.
        unseen: what could not be looked at, one line each.
    """

    runs: list[RunStanding] = field(default_factory=list[RunStanding])
    absence: str = ""
    queue: Depth | None = None
    dead_letters: Depth | None = None
    unseen: list[str] = field(default_factory=list[str])

    def document(self) -> dict[str, Any]:
        """As JSON has it."""

        def of(queue: Depth | None) -> dict[str, int] | None:
            return queue and {"waiting": queue.waiting, "in_flight": queue.in_flight}

        return {
            "event": "status",
            "runs": [run.document() for run in self.runs],
            "queue": of(self.queue),
            "dead_letters": of(self.dead_letters),
            "unseen": self.unseen,
        }
