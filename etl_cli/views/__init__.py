"""How a run is shown: live on a terminal, as timestamped lines, or as one JSON object a line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from etl_cli.clock import Clock
from etl_cli.conductor import Listener
from etl_cli.pipeline import Pipeline
from etl_cli.views.json_lines import JsonView
from etl_cli.views.live import LiveView
from etl_cli.views.plain import PlainView


@contextmanager
def shown(pipeline: Pipeline, console: Console, clock: Clock, *, as_json: bool) -> Iterator[Listener]:
    """The view that suits who is looking; yields what is to be told of each event."""
    if as_json:
        yield JsonView(console.file)
    elif console.is_terminal and not console.is_dumb_terminal:
        with LiveView(pipeline, console, clock) as view:
            yield view
    else:
        yield PlainView(console, clock)
