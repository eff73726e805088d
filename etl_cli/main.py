"""The command `postgres-etl`: its sub-commands, each at home in a module of its own."""

from __future__ import annotations

import sys
from typing import TextIO

import typer

from etl_cli import dlq_command
from etl_cli.demo_command import demo
from etl_cli.rollback_command import rollback
from etl_cli.rules_command import rules
from etl_cli.run_command import run
from etl_cli.status_command import status

app = typer.Typer(
    name="postgres-etl",
    help="Last night's production Postgres in the lower environments, without one person's data in it.",
    epilog="See it work with nothing but this machine:  **postgres-etl demo**",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(status)
app.command()(rollback)
app.add_typer(dlq_command.app, name="dlq", help="Look at the dead letters of the dump queue, and redrive them.")
app.command()(demo)
app.add_typer(rules)


@app.callback()
def _prepare() -> None:
    for stream in (sys.stdout, sys.stderr):
        # A log collector whose locale lacks a character must not end a run.
        if isinstance(stream, TextIO) and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue] - typed as TextIO only


if __name__ == "__main__":
    app()
