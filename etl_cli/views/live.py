"""A run on a terminal: a row for each stage, alive."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from etl_cli.clock import Clock
from etl_cli.events import Event, Noticed, State
from etl_cli.pipeline import Pipeline, StageState
from etl_cli.quantities import seconds_text
from etl_cli.views.phrases import state_phrase

_MARKS = {
    State.WAITING: ("·", "dim"),
    State.SUCCEEDED: ("✓", "green"),
    State.FAILED: ("✗", "bold red"),
    State.TIMED_OUT: ("✗", "bold red"),
    State.ABORTED: ("■", "yellow"),
    State.UNKNOWN: ("?", "yellow"),
}
_BAR_NEEDS_COLUMNS = 80
_BAR_COLUMNS = 18


@dataclass(slots=True)
class LiveView:
    """Redraws the stages a few times a second while the context lasts; the last picture stays.

    Attributes:
        pipeline: what is shown.
        console: where.
        clock: the time.
    """

    pipeline: Pipeline
    console: Console
    clock: Clock
    _live: Live = field(init=False)
    _spinner: Spinner = field(default_factory=lambda: Spinner("dots", style="cyan"), init=False)

    def __post_init__(self) -> None:
        """Set up, without drawing yet."""
        self._live = Live(get_renderable=self.render, console=self.console, refresh_per_second=8, transient=False)

    def __enter__(self) -> LiveView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, pipeline: Pipeline, event: Event) -> None:
        """Say above the stages what changes no stage; the rest shows itself, from the first event on."""
        del pipeline
        self._live.start()
        if isinstance(event, Noticed):
            who = f"{event.stage}: " if event.stage else ""
            self.console.print(Text(f"{who}{event.text}", style="yellow"))
        self._live.refresh()

    def render(self) -> Table:
        """The picture of the moment."""
        has_bar = self.console.width >= _BAR_NEEDS_COLUMNS
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=1)
        table.add_column(width=9)
        if has_bar:
            table.add_column(width=_BAR_COLUMNS)
        table.add_column(ratio=1, overflow="fold")
        table.add_column(justify="right", no_wrap=True)
        for stage in self.pipeline.stages.values():
            cells: list[RenderableType] = [self._mark(stage), Text(stage.stage, style="bold")]
            if has_bar:
                cells.append(_bar(stage))
            seconds = stage.seconds(self.clock.now())
            elapsed = "" if seconds is None else seconds_text(seconds)
            table.add_row(*cells, Text(state_phrase(stage), style=_style(stage)), Text(elapsed, style="dim"))
        return table

    def _mark(self, stage: StageState) -> RenderableType:
        if stage.state is State.RUNNING:
            return self._spinner
        mark, style = _MARKS[stage.state]
        return Text(mark, style=style)


def _style(stage: StageState) -> str:
    if stage.state in (State.WAITING, State.SUCCEEDED):
        return "dim" if stage.state is State.WAITING else ""
    return "" if stage.state is State.RUNNING else _MARKS[stage.state][1]


def _bar(stage: StageState) -> RenderableType:
    """A bar of tables where these are counted, since their number is known first; else of bytes."""
    if stage.state is State.SUCCEEDED:
        return ProgressBar(total=1, completed=1, width=_BAR_COLUMNS)
    if stage.tables_total:
        return ProgressBar(total=stage.tables_total, completed=stage.tables_done or 0, width=_BAR_COLUMNS)
    if stage.bytes_total:
        return ProgressBar(total=stage.bytes_total, completed=stage.bytes_done or 0, width=_BAR_COLUMNS)
    return Text("")
