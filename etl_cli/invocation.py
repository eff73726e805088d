"""How this command can be called again from where it was called: what a hint must say to be of use."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

NAME = "postgres-etl"


def command() -> str:
    """The command in a shell's words: its name where the PATH leads to it, else the path by which it was called."""
    if shutil.which(NAME):
        return NAME
    called = Path(sys.argv[0])
    return shlex.quote(str(called)) if called.name == NAME else f"{shlex.quote(sys.executable)} -m etl_cli"


def again_with(option: str) -> str:
    """How to call the same once more with an option; what it was given is not repeated, for a password may be in it."""
    sub_command, *given = sys.argv[1:] or [""]
    if given:
        return f"the same command with {option}"
    if (
        "MAKELEVEL" in os.environ
    ):  # make tells its recipes: https://www.gnu.org/software/make/manual/html_node/Recursion
        return f"`make {sub_command} {sub_command.upper()}={option}`"
    return f"`{command()} {sub_command} {option}`"


def write_launcher(path: Path) -> None:
    """Write a program that is this command, for a PATH that does not lead to it."""
    code = f"from etl_cli.main import app; app(prog_name={NAME!r})"
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n')
    path.chmod(0o755)
