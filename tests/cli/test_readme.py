"""The README's commands: each is one that the command takes, and reaches two accounts as two."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import typer

from etl_cli.main import app

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def commands(sub_command: str) -> list[dict[str, Any]]:
    """The parameters of each call of a sub-command in a block of shell commands."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ")
    calls = re.findall(rf"postgres-etl {sub_command}\b([^\n#]*)", blocks)
    command = typer.main.get_command(app).commands[sub_command]  # type: ignore[attr-defined]  # of a group
    return [command.make_context(sub_command, shlex.split(call)).params for call in calls]


def test_the_deployed_stacks_are_run_by_a_profile_each() -> None:
    (run,) = commands("run")
    assert (run["load_environment"], run["extract_outputs"], run["load_outputs"]) == (
        "dev", Path("prod.json"), Path("dev.json"),
    )  # fmt: skip
    assert {run["extract_profile"], run["load_profile"]} == {"postgres-etl-prod", "postgres-etl-dev"}


def test_a_demo_of_a_database_of_ones_own_is_called_by_its_path(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "my-scrub").mkdir()
    monkeypatch.chdir(tmp_path)
    (demo,) = commands("demo")
    assert demo["source"] == "postgresql://reader@localhost/shop"


def test_the_commands_about_rules_are_ones_that_there_are(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "my-scrub").mkdir()
    monkeypatch.chdir(tmp_path)
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    calls = re.findall(r"postgres-etl rules (\w+)([^\n#]*)", blocks)
    assert [name for name, _ in calls] == ["init", "check", "preview", "diff", "snapshot"]
    group = typer.main.get_command(app).commands["rules"]  # type: ignore[attr-defined]  # of a group
    for name, arguments in calls:
        parameters = group.commands[name].make_context(name, shlex.split(arguments)).params
        assert parameters["scrub"] == Path("my-scrub")


def test_no_command_is_called_by_a_name_that_nothing_installs() -> None:
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    assert re.findall(r"^\s*postgres-etl .*", blocks, re.MULTILINE) == []
