"""The command as a person first meets it: help that teaches, completion, the same by every door."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from etl_cli import run_command
from etl_cli.main import app

from .conftest import Aws

DLQ = ("list", "show", "redrive")


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})
    assert result.exit_code in (0, 2), result.output
    return result.output


def test_without_arguments_it_shows_its_commands() -> None:
    shown = invoke()
    commands = ["run", "status", "dlq", "demo"]
    assert [name for name in commands if f"│ {name}" in shown] == commands
    assert "postgres-etl demo" in shown


@pytest.mark.parametrize("command", ["run", "status", "demo", "dlq list", "dlq show", "dlq redrive"])
def test_the_help_of_every_command_has_examples(command: str) -> None:
    shown = invoke(*command.split(), "--help")
    assert "Examples" in shown
    assert f"postgres-etl {command}" in shown


@pytest.mark.parametrize(
    ("command", "told"),
    [
        *((f"dlq {name}", "0 done; 2 refused (no such letter, no such stack, no right); 4") for name in DLQ),
        ("run", "0 done, 1 the work failed, 2 refused (nothing was started), 3 took too long, 4 interrupted"),
        ("demo", "0 done, and source and target differ as they should; 1 a stage failed, or the comparison found a"),
        (
            "status",
            "0 shown, however the runs stand; 2 refused (there is no such run, or no such stack); 4 interrupted",
        ),
    ],
)
def test_the_help_of_every_command_says_what_each_exit_status_means(command: str, told: str) -> None:
    assert f"Exit status — {told}" in " ".join(invoke(*command.split(), "--help").split())


@pytest.mark.parametrize("command", ["check", "init", "preview", "diff", "snapshot"])
def test_each_command_about_rules_has_examples_and_says_what_its_exit_status_means(command: str) -> None:
    shown = invoke("rules", command, "--help")
    assert f"postgres-etl rules {command}" in shown
    assert "Exit status — 0 " in shown


def test_help_loads_neither_aws_nor_kubernetes_nor_the_stand_in() -> None:
    code = (
        "import sys; from etl_cli.main import app; "
        "sys.exit(any(name in sys.modules for name in ('boto3', 'kubernetes', 'psycopg', 'moto', 'pulumi')))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, env={"PYTHONPATH": ":".join(sys.path)}).returncode
        == 0
    )


def test_it_runs_as_a_module_too() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "etl_cli", "run", "prod", "--outputs", "/dev/null"],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert (shown.returncode, shown.stderr) == (
        2,
        "postgres-etl: /dev/null is not a JSON object: write it with `pulumi stack output --json > /dev/null`\n",
    )


def test_completion_offers_the_environments_that_may_be_loaded(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_command._known_environments("") == []
    monkeypatch.setenv("POSTGRES_ETL_OUTPUTS", str(aws.outputs_file))
    assert run_command._known_environments("") == ["dev"]
    assert run_command._known_environments("p") == []
