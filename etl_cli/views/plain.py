"""A run for logs: a line with the time for each thing that happens, and now and then one on how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.console import Console

from etl_cli.clock import Clock
from etl_cli.events import Ended, Event, Noticed, Progressed, Started, State
from etl_cli.pipeline import Pipeline
from etl_cli.quantities import moment_text, seconds_text
from etl_cli.views.phrases import progress_phrase, totals_phrase


@dataclass(slots=True)
class PlainView:
    """Prints lines. Progress is printed at most every `seconds`.

    Attributes:
        console: where to.
        clock: the time.
        seconds: between two lines on progress.
    """

    console: Console
    clock: Clock
    seconds: float = 5.0
    _next_progress: float = field(default=0.0, init=False)

    def __call__(self, pipeline: Pipeline, event: Event) -> None:
        """Print what happened."""
        if isinstance(event, Progressed):
            if self.clock.monotonic() < self._next_progress:
                return
            self._next_progress = self.clock.monotonic() + self.seconds
        text = line(pipeline, event)
        self.console.print(text, markup=False, highlight=False, soft_wrap=True, style=_style(event))


def _style(event: Event) -> str | None:
    if isinstance(event, Ended):
        return "green" if event.state is State.SUCCEEDED else "bold red"
    return "yellow" if isinstance(event, Noticed) else None


def line(pipeline: Pipeline, event: Event) -> str:
    """One event in one line: moment, stage, what happened."""
    who, text = "", ""
    match event:
        case Started():
            who = event.stage
            text = " · ".join(part for part in ("started", event.note, event.work) if part)
        case Progressed():
            who = event.stage
            text = progress_phrase(pipeline.stages[event.stage])
        case Ended():
            who = event.stage
            stage = pipeline.stages[event.stage]
            took = stage.seconds(event.at)
            within = (
                "" if took is None else f" {'in' if event.state is State.SUCCEEDED else 'after'} {seconds_text(took)}"
            )
            detail = totals_phrase(event.totals) if event.state is State.SUCCEEDED else event.error
            text = f"{event.state}{within}" + (f": {detail}" if detail else "")
        case Noticed():
            who, text = event.stage or "", event.text
        case _:
            pass
    return f"{moment_text(event.at)}  {who:<9}  {text}".rstrip()
