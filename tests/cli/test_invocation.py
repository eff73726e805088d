"""What a hint says: a command that works where it is read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from etl_cli import invocation


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Called by its path, which the PATH does not lead to."""
    monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [".venv/bin/postgres-etl", "demo"])
    return monkeypatch


@pytest.mark.usefixtures("called")
def test_a_command_called_by_its_path_is_named_by_that_path() -> None:
    assert invocation.command() == ".venv/bin/postgres-etl"
    assert invocation.again_with("--keep") == "`.venv/bin/postgres-etl demo --keep`"


@pytest.mark.usefixtures("called")
def test_a_command_that_the_path_leads_to_is_named_by_its_name(tmp_path: Path) -> None:
    invocation.write_launcher(tmp_path / "postgres-etl")
    assert invocation.command() == "postgres-etl"


def test_a_module_is_named_with_its_interpreter(called: pytest.MonkeyPatch) -> None:
    called.setattr(sys, "argv", ["/somewhere/etl_cli/__main__.py", "demo"])
    called.setattr(sys, "executable", "/a place/python")
    assert invocation.command() == "'/a place/python' -m etl_cli"


def test_under_make_it_is_a_target_that_is_called_again(called: pytest.MonkeyPatch) -> None:
    called.setenv("MAKELEVEL", "1")
    assert invocation.again_with("--keep") == "`make demo DEMO=--keep`"


def test_what_a_command_was_given_is_not_repeated(called: pytest.MonkeyPatch) -> None:
    called.setattr(sys, "argv", [".venv/bin/postgres-etl", "demo", "--source", "postgresql://me:synthetic@localhost/x"])
    assert invocation.again_with("--keep") == "the same command with --keep"


def test_a_launcher_is_the_command_from_anywhere(tmp_path: Path) -> None:
    launcher = tmp_path / "postgres-etl"
    invocation.write_launcher(launcher)
    environment = {"PYTHONPATH": ":".join(sys.path)}
    shown = subprocess.run(
        [launcher, "status", "--help"], cwd="/", env=environment, capture_output=True, text=True, check=True
    )
    assert "Usage: postgres-etl status" in shown.stdout
