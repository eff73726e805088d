"""What the demonstration says beside the run itself: each preparation as it begins and as it is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from etl_cli.clock import Clock
from etl_cli.quantities import moment_text, seconds_text
from etl_cli.views.json_lines import write_line


@dataclass(slots=True)
class Step:
    """One preparation under way; `result` is what came of it, set before it ends, `fields` the same for machines."""

    result: str = ""
    fields: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Narrator:
    """Says steps: with a spinner on a terminal, as a line when done elsewhere, as objects for machines."""

    console: Console
    clock: Clock
    as_json: bool

    @contextmanager
    def step(self, name: str, beginning: str) -> Iterator[Step]:
        """One preparation; nothing is said of its end if it fails.

        Args:
            name: one word.
            beginning: what is being done.
        """
        step, started = Step(), self.clock.monotonic()
        if self.as_json:
            yield step
        else:
            with self.console.status(f"{beginning} …"):
                yield step
        seconds = self.clock.monotonic() - started
        if self.as_json:
            moment = moment_text(self.clock.now())
            prepared = {"event": "prepared", "at": moment, "what": name, "seconds": round(seconds, 1), **step.fields}
            write_line(self.console.file, prepared)
        else:
            line = Text.assemble((f"{name:<11}", "bold"), step.result, (f"  {seconds_text(seconds)}", "dim"))
            self.console.print(line, soft_wrap=True)
