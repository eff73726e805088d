"""The Jenkinsfile, held against the command that it calls: options that exist, every stage, nothing interpolated."""

from __future__ import annotations

import re
from pathlib import Path

from etl_runtime.contract import PROTECTED_ENVIRONMENTS
from typer.main import get_command

from etl_cli.ending import ExitStatus
from etl_cli.events import Stage
from etl_cli.main import app

JENKINSFILE = (Path(__file__).resolve().parents[2] / "Jenkinsfile").read_text()


def run_options() -> set[str]:
    command = get_command(app).commands["run"]  # type: ignore[attr-defined]  # a group has commands
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def test_every_option_that_it_passes_exists() -> None:
    passed = set(re.findall(r"(?<![\w-])(--[a-z-]+)", JENKINSFILE))
    assert passed >= {"--stage", "--execution-name", "--report", "--timeout-minutes"}
    assert passed <= run_options()


def test_every_stage_is_a_step_of_its_own_in_order() -> None:
    assert re.findall(r"runStage\('(\w+)',", JENKINSFILE) == [str(stage) for stage in Stage]


def test_no_shell_line_is_put_together_from_parameters() -> None:
    shell = re.findall(r"'''(.*?)'''", JENKINSFILE, re.DOTALL) + re.findall(r"\bsh '(.*?)'", JENKINSFILE)
    assert len(shell) == 2
    assert not re.search(r"\bsh\(?[^)\n]*\"", JENKINSFILE.replace('label: "${stage}, attempt ${attempt}"', ""))


def test_no_protected_environment_can_be_chosen() -> None:
    (choices,) = re.findall(r"name: 'LOAD_ENVIRONMENT', choices: \[(.*?)\]", JENKINSFILE)
    chosen = set(re.findall(r"'(\w+)'", choices))
    assert chosen
    assert not chosen & PROTECTED_ENVIRONMENTS


def test_every_exit_status_has_its_meaning() -> None:
    (meanings,) = re.findall(r"\[(1: .*?)\]\[status\]", JENKINSFILE)
    told = {int(number) for number in re.findall(r"(\d+):", meanings)}
    assert told == {int(status) for status in ExitStatus} - {ExitStatus.DONE, ExitStatus.UNKNOWN}
    assert f"status == {int(ExitStatus.UNKNOWN)}" in JENKINSFILE
