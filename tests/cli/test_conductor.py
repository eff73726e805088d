"""The conductor: one stage after another, each told to everyone, and an end for whatever happens."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from etl_cli.clock import Every, Pace
from etl_cli.conductor import Conductor
from etl_cli.ending import CommandError, ExitStatus, RefusedError
from etl_cli.events import Ended, Event, Progressed, Stage, Started, State
from etl_cli.pipeline import Pipeline

from .conftest import START, SteppedClock


def _progressed(stage: Stage) -> Progressed:
    return Progressed(at=START, stage=stage, step="working")


@dataclass
class Scripted:
    """A stage that does in each turn what a test wrote down."""

    stage: Stage
    turns: list[list[Event] | BaseException] = field(default_factory=list)
    fault: CommandError | None = None
    interrupted: list[bool] = field(default_factory=list)

    def begin(self) -> list[Event]:
        if self.fault is not None:
            raise self.fault
        return [Started(at=START, stage=self.stage, work=f"work of {self.stage}")]

    def poll(self) -> list[Event]:
        turn = self.turns.pop(0) if self.turns else []
        if isinstance(turn, BaseException):
            raise turn
        return turn

    def interrupt(self, *, detach: bool) -> list[Event]:
        self.interrupted.append(detach)
        return [Ended(at=START, stage=self.stage, state=State.ABORTED, error="interrupted")]

    def timed_out(self) -> str:
        return "it goes on"


def good(stage: Stage) -> Scripted:
    return Scripted(stage, [[_progressed(stage)], [Ended(at=START, stage=stage, state=State.SUCCEEDED)]])


def conduct(clock: SteppedClock, *stages: Scripted, detach: bool = False) -> tuple[Pipeline, list[str]]:
    told: list[str] = []
    pipeline = Pipeline.of("dev", "dev-1", [stage.stage for stage in stages])
    conductor = Conductor(
        pipeline=pipeline,
        stages=stages,
        listeners=[lambda known, event: told.append(f"{event.document()['event']} while {known.state}")],
        clock=clock,
        pace=Pace(progress=1),
        patience=10,
        detach_on_interrupt=detach,
    )
    return conductor.run(), told


def test_stages_run_in_order_and_everyone_hears_after_the_pipeline_knows(clock: SteppedClock) -> None:
    pipeline, told = conduct(clock, good(Stage.EXTRACT), good(Stage.TRANSFORM))
    assert pipeline.exit_status is ExitStatus.DONE
    assert told == [
        "stage_started while running",
        "stage_progressed while running",
        "stage_ended while waiting",
        "stage_started while running",
        "stage_progressed while running",
        "stage_ended while succeeded",
    ]


def test_nothing_follows_a_stage_that_did_not_succeed(clock: SteppedClock) -> None:
    bad = Scripted(Stage.EXTRACT, [[Ended(at=START, stage=Stage.EXTRACT, state=State.FAILED, error="no")]])
    pipeline, _ = conduct(clock, bad, good(Stage.LOAD))
    assert pipeline.exit_status is ExitStatus.WORK_FAILED
    assert pipeline.stages[Stage.LOAD].state is State.WAITING


def test_a_first_stage_that_cannot_begin_is_the_callers_to_tell(clock: SteppedClock) -> None:
    with pytest.raises(RefusedError, match="there is no dump"):
        conduct(clock, Scripted(Stage.LOAD, fault=RefusedError("there is no dump")))


def test_a_later_stage_that_cannot_begin_is_a_failed_one_with_its_own_exit_status(clock: SteppedClock) -> None:
    unseen = CommandError("AWS answered InternalError", ExitStatus.UNKNOWN)
    pipeline, told = conduct(clock, good(Stage.EXTRACT), Scripted(Stage.TRANSFORM, fault=unseen))
    assert pipeline.exit_status is ExitStatus.UNKNOWN
    assert pipeline.stages[Stage.TRANSFORM].error == "AWS answered InternalError"
    assert told[-1] == "stage_ended while failed"


@pytest.mark.parametrize("detach", [True, False])
def test_an_interrupt_ends_the_stage_that_runs_and_no_other_begins(clock: SteppedClock, detach: bool) -> None:
    running = Scripted(Stage.EXTRACT, [[_progressed(Stage.EXTRACT)], KeyboardInterrupt()])
    pipeline, _ = conduct(clock, running, good(Stage.TRANSFORM), detach=detach)
    assert running.interrupted == [detach]
    assert pipeline.exit_status is ExitStatus.ABORTED
    assert pipeline.stages[Stage.TRANSFORM].state is State.WAITING


def test_patience_is_for_the_whole_run(clock: SteppedClock) -> None:
    slow = Scripted(Stage.EXTRACT, [*[[]] * 7, [Ended(at=START, stage=Stage.EXTRACT, state=State.SUCCEEDED)]])
    pipeline, _ = conduct(clock, slow, Scripted(Stage.TRANSFORM))
    assert clock.seconds == 10
    assert pipeline.stages[Stage.TRANSFORM].state is State.TIMED_OUT
    assert pipeline.stages[Stage.TRANSFORM].error == "it goes on"


def test_looks_are_spread_around_their_rhythm(clock: SteppedClock) -> None:
    every = Every(clock, 15)
    looks: list[float] = []
    while clock.seconds < 1500:
        if every.is_due():
            looks.append(clock.seconds)
        clock.sleep(0.5)
    gaps = [later - earlier for earlier, later in pairwise(looks)]
    assert 10 <= min(gaps) < 13
    assert 17 < max(gaps) <= 20.5
