"""A run for machines: one JSON object a line, each event as it comes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import IO, Any

from etl_cli.events import Event
from etl_cli.pipeline import Pipeline


def write_line(file: IO[str], document: dict[str, Any]) -> None:
    """Write an object on a line of its own, at once."""
    file.write(json.dumps(document, ensure_ascii=False) + "\n")
    file.flush()


@dataclass(frozen=True, slots=True)
class JsonView:
    """Writes every event's document."""

    file: IO[str]

    def __call__(self, pipeline: Pipeline, event: Event) -> None:
        """Write an event."""
        del pipeline
        write_line(self.file, event.document())
