"""A run from its request to its report, shown while it lasts: what `run` and `demo` both go through."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from rich.console import Console

from etl_cli.clock import Clock
from etl_cli.events import Event
from etl_cli.pipeline import Pipeline
from etl_cli.run_report import RunReport
from etl_cli.run_request import RunRequest
from etl_cli.views import shown


def run_and_report(request: RunRequest, clock: Clock, *, as_json: bool) -> RunReport:
    """Run what was asked for; say last how it ended.

    Raises:
        RefusedError: it must not or cannot be run, and nothing was started.
        CommandError: the first stage could not be started.
    """
    request.check()
    console = Console(file=sys.stdout, highlight=False)
    pipeline, started_at = request.pipeline, clock.now()
    doing = f"rollback of {request.undone} in" if request.undone else f"run {request.execution_name} for"
    heading = "" if as_json else f"{doing} {request.environment}"
    with shown(pipeline, console, clock, as_json=as_json) as view:
        request.conductor(pipeline, [_Heading(console, heading), view], clock).run()
    ended = RunReport(
        pipeline=pipeline,
        prefix=request.prefix,
        started_at=started_at,
        ended_at=clock.now(),
        undone=request.undone,
    )
    if not as_json:
        console.print(ended.line(), markup=False, soft_wrap=True)
    return ended


@dataclass(slots=True)
class _Heading:
    """Says what runs once something has happened: what is refused has not run."""

    console: Console
    text: str

    def __call__(self, pipeline: Pipeline, event: Event) -> None:
        del pipeline, event
        if self.text:
            self.console.print(self.text, markup=False, soft_wrap=True)
        self.text = ""
