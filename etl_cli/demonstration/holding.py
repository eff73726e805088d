"""A demonstration held up after its end, and how to look around in it."""

from __future__ import annotations

import shlex
import shutil
import threading
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from etl_cli import invocation
from etl_cli.demonstration.demonstration import World
from etl_cli.views.json_lines import write_line


def write_environment(world: World) -> Path:
    """Write a file for a shell to source: the stand-in's variables, SOURCE and TARGET for psql, and a PATH to both."""
    stand_in = world.stand_in
    programs = stand_in.directory / "bin"
    invocation.write_launcher(programs / invocation.NAME)
    variables = {
        **{name: value for name, value in stand_in.environment().items() if name != "PATH"},
        "SOURCE": stand_in.source_dsn,
        "TARGET": stand_in.target_dsn,
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    lines.append(f'export PATH={shlex.quote(str(programs))}:"$PATH"')
    path = stand_in.directory / "environment"
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n")
    return path


def hints(world: World, execution_name: str) -> list[str]:
    """Commands to look further, in a second terminal; none that this machine does not have."""
    dumps = f"aws s3 ls --recursive s3://{world.stand_in.outputs['load_bucket']}"
    return [
        f". {shlex.quote(str(write_environment(world)))}",
        'psql "$TARGET"',
        *([dumps] if shutil.which("aws") else []),
        f"{invocation.NAME} status {execution_name}",
    ]


def hold(world: World, execution_name: str, console: Console, *, as_json: bool) -> None:
    """Say how to look further, and wait for Ctrl-C."""
    commands = hints(world, execution_name)
    if as_json:
        write_line(console.file, {"event": "held", "commands": commands})
    else:
        console.print("\nLook further, in a second terminal", style="bold")
        for command in commands:
            console.print(f"  {command}", markup=False, soft_wrap=True)
        console.print("\nHeld up; Ctrl-C takes it down.", style="bold")
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
