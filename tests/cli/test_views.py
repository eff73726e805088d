"""What is shown of a run: the same pipeline and events, for a terminal, for a log, for a machine."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from rich.console import Console

from etl_cli.events import Ended, Event, Noticed, Progressed, Stage, Started, State, Totals
from etl_cli.pipeline import Pipeline
from etl_cli.views import shown
from etl_cli.views.json_lines import JsonView
from etl_cli.views.live import LiveView
from etl_cli.views.plain import PlainView

from .conftest import START, SteppedClock

MACHINE = "arn:aws:states:eu-west-2:123456789012:execution:postgres-etl"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


EVENTS: list[Event] = [
    Started(at=at(0), stage=Stage.EXTRACT, work=f"{MACHINE}-rds-to-s3:dev-1", since=at(0)),
    Progressed(at=at(2), stage=Stage.EXTRACT, step="dumping", bytes_done=34_100_000, tables_done=12, tables_total=25),
    Ended(at=at(10), stage=Stage.EXTRACT, state=State.SUCCEEDED, totals=Totals(21_340_000, 512_345, 25)),
    Started(at=at(10), stage=Stage.TRANSFORM, work="", note="waiting for its Job"),
    Noticed(
        at=at(11), stage=Stage.TRANSFORM, text="cannot be watched just now (Kubernetes answered 503); still trying"
    ),
    Started(at=at(12), stage=Stage.TRANSFORM, work="etl/etl-dev-0123"),
    Progressed(at=at(14), stage=Stage.TRANSFORM, step="proving", bytes_done=500, bytes_total=2_000, tables_done=None),
    Ended(at=at(75), stage=Stage.TRANSFORM, state=State.FAILED, error="public.users.email is not classified"),
]


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline.of("dev", "dev-1")


def told(pipeline: Pipeline, clock: SteppedClock, most: int = len(EVENTS)) -> Iterator[Event]:
    """The events as a conductor tells them: the pipeline knows each, and the clock stands at it."""
    for event in EVENTS[:most]:
        clock.seconds = (event.at - START).total_seconds()
        pipeline.apply(event)
        yield event


def console(width: int = 100, *, terminal: bool = False) -> Console:
    return Console(
        file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, legacy_windows=False, _environ={}
    )


def text_of(shown_on: Console) -> str:
    assert isinstance(shown_on.file, io.StringIO)
    return shown_on.file.getvalue()


def test_a_log_has_a_line_with_the_time_for_each_event(pipeline: Pipeline, clock: SteppedClock) -> None:
    to = console()
    view = PlainView(to, clock)
    for event in told(pipeline, clock):
        view(pipeline, event)
    assert text_of(to).splitlines() == [
        f"2026-01-02T03:04:05Z  extract    started · {MACHINE}-rds-to-s3:dev-1",
        "2026-01-02T03:04:07Z  extract    dumping · 34.1 MB · 12 of 25 tables",
        "2026-01-02T03:04:15Z  extract    succeeded in 10 s: 21.3 MB · 512,345 rows · 25 tables",
        "2026-01-02T03:04:15Z  transform  started · waiting for its Job",
        "2026-01-02T03:04:16Z  transform  cannot be watched just now (Kubernetes answered 503); still trying",
        "2026-01-02T03:04:17Z  transform  started · etl/etl-dev-0123",
        "2026-01-02T03:04:19Z  transform  proving · 500 B of 2 kB",
        "2026-01-02T03:05:20Z  transform  failed after 1 min 5 s: public.users.email is not classified",
    ]


def test_a_log_has_a_line_on_progress_only_every_few_seconds(pipeline: Pipeline, clock: SteppedClock) -> None:
    to = console()
    view = PlainView(to, clock, seconds=5)
    for second in range(12):
        event = Progressed(at=at(second), stage=Stage.EXTRACT, step=f"step {second}")
        clock.seconds = second
        pipeline.apply(event)
        view(pipeline, event)
    assert [line.rpartition("  ")[2] for line in text_of(to).splitlines()] == ["step 0", "step 5", "step 10"]


def test_a_machine_gets_one_object_a_line(pipeline: Pipeline, clock: SteppedClock) -> None:
    file = io.StringIO()
    view = JsonView(file)
    for event in told(pipeline, clock, 3):
        view(pipeline, event)
    assert [json.loads(line) for line in file.getvalue().splitlines()] == [
        {
            "event": "stage_started",
            "at": "2026-01-02T03:04:05Z",
            "stage": "extract",
            "work": f"{MACHINE}-rds-to-s3:dev-1",
            "since": "2026-01-02T03:04:05Z",
            "was_started_before": False,
            "note": "",
        },
        {
            "event": "stage_progressed",
            "at": "2026-01-02T03:04:07Z",
            "stage": "extract",
            "step": "dumping",
            "bytes_done": 34_100_000,
            "bytes_total": None,
            "tables_done": 12,
            "tables_total": 25,
        },
        {
            "event": "stage_ended",
            "at": "2026-01-02T03:04:15Z",
            "stage": "extract",
            "state": "succeeded",
            "until": "2026-01-02T03:04:15Z",
            "bytes": 21_340_000,
            "rows": 512_345,
            "tables": 25,
            "error": "",
        },
    ]


def picture(pipeline: Pipeline, clock: SteppedClock, width: int) -> list[str]:
    to = console(width)
    to.print(LiveView(pipeline, to, clock).render())
    return [line.rstrip() for line in text_of(to).splitlines()]


def test_a_terminal_shows_each_stage_in_a_row(pipeline: Pipeline, clock: SteppedClock) -> None:
    assert len(list(told(pipeline, clock, 2))) == 2
    assert picture(pipeline, clock, 90) == [
        "⠋ extract   ━━━━━━━━╸          dumping · 34.1 MB · 12 of 25 tables                   2.0 s",
        "· transform                    waiting",
        "· load                         waiting",
    ]


def test_a_narrow_terminal_loses_the_bar_and_no_word(pipeline: Pipeline, clock: SteppedClock) -> None:
    assert len(list(told(pipeline, clock))) == len(EVENTS)
    assert picture(pipeline, clock, 44) == [
        "✓ extract   21.3 MB · 512,345 rows      10 s",
        "            · 25 tables",
        "✗ transform failed:                1 min 5 s",
        "            public.users.email is",
        "            not classified",
        "· load      waiting",
    ]


def test_the_last_picture_stays_on_the_terminal(pipeline: Pipeline, clock: SteppedClock) -> None:
    to = console(90, terminal=True)
    with shown(pipeline, to, clock, as_json=False) as view:
        for event in told(pipeline, clock):
            view(pipeline, event)
    drawn = re.sub(r"\x1b\[[0-9?]*[a-zA-Z]", "", text_of(to)).replace("\r", "\n").splitlines()
    lines = [line.rstrip() for line in drawn if line]
    assert lines[-3:] == [
        "✓ extract   ━━━━━━━━━━━━━━━━━━ 21.3 MB · 512,345 rows · 25 tables                     10 s",
        "✗ transform ━━━━╸              failed: public.users.email is not classified      1 min 5 s",
        "· load                         waiting",
    ]
    assert "transform: cannot be watched just now (Kubernetes answered 503); still trying" in lines


def test_the_view_suits_who_is_looking(pipeline: Pipeline, clock: SteppedClock) -> None:
    kinds: list[type] = []
    for to, as_json in ((console(terminal=True), False), (console(), False), (console(terminal=True), True)):
        with shown(pipeline, to, clock, as_json=as_json) as view:
            kinds.append(type(view))
    assert kinds == [LiveView, PlainView, JsonView]


def test_the_first_stage_that_did_not_succeed_decides_the_whole(pipeline: Pipeline, clock: SteppedClock) -> None:
    assert pipeline.state is State.WAITING
    states = [(pipeline.state, int(pipeline.exit_status)) for _ in told(pipeline, clock)]
    assert states[0] == (State.RUNNING, 75)
    assert states[-1] == (State.FAILED, 1)
