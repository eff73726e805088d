"""`postgres-etl rollback` from its arguments to its exit status."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from etl_cli import rollback_command
from etl_cli.main import app

from .conftest import ACCOUNT, REGION, Aws, SteppedClock

LOAD = "load_state_machine_arn"


@pytest.fixture(autouse=True)
def command_clock(clock: SteppedClock, monkeypatch: pytest.MonkeyPatch) -> SteppedClock:
    monkeypatch.setattr(rollback_command, "Clock", lambda: clock)
    monkeypatch.setattr(rollback_command, "new_execution_name", lambda environment, _: f"{environment}-1")
    return clock


def roll_back(*arguments: Any) -> Result:
    given = ["rollback", *map(str, arguments)]
    return CliRunner().invoke(app, given, env={"COLUMNS": "100", "NO_COLOR": "1"})


def test_a_rollback_names_its_load_to_the_machine_and_is_told_in_plain_lines(aws: Aws, clock: SteppedClock) -> None:
    clock.turns = [lambda: aws.end(LOAD, "rollback-1", "SUCCEEDED")]
    result = roll_back("dev", "nightly-41", "--outputs", aws.outputs_file)
    assert result.exit_code == 0, result.output
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:postgres-etl-s3-to-rds:rollback-1"
    lines = result.stdout.splitlines()
    assert lines[:2] == [
        "rollback of nightly-41 in dev",
        f"2026-01-02T03:04:05Z  load       started · {arn}",
    ]
    assert lines[-1].startswith("load nightly-41 is undone, in ")
    execution = aws.clients["stepfunctions"].describe_execution(executionArn=arn)
    assert json.loads(execution["input"]) == {"ROLLBACK": "nightly-41"}


def test_what_the_task_says_of_a_rollback_that_it_refuses_is_what_the_command_says(
    aws: Aws, clock: SteppedClock
) -> None:
    told = "shop is not what load nightly-41 brought: nothing is rolled back"

    def refused() -> None:
        aws.log("pg_restore", event="failed", error=told, exit_code=77, execution_id="rollback-1")
        aws.end(LOAD, "rollback-1", "FAILED", error="Load.Failed")

    clock.turns = [refused]
    result = roll_back("dev", "nightly-41", "--outputs", aws.outputs_file, "--json")
    report = json.loads(result.stdout.splitlines()[-1])
    assert result.exit_code == report["exit_status"] == 1
    assert (report["undone"], report["stages"][0]["error"]) == ("nightly-41", told)
    assert "load_filename" not in report


@pytest.mark.parametrize(
    ("environment", "load", "told"),
    [
        ("prod", "nightly-41", "prod"),
        ("sbx", "nightly-41", "sbx"),
        ("dev", "night ly", "does not end in a name of the form"),
    ],
)
def test_what_may_not_be_rolled_back_starts_nothing(aws: Aws, environment: str, load: str, told: str) -> None:
    result = roll_back(environment, load, "--outputs", aws.outputs_file)
    assert (result.exit_code, told in result.output) == (2, True), result.output
    assert aws.executions(LOAD) == []
