"""How a command ends: its exit status, and the one line it says when it did not do what was asked."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import FrameType

import typer


class ExitStatus(IntEnum):
    """What a caller can tell from the exit status of `postgres-etl`."""

    DONE = 0
    WORK_FAILED = 1
    REFUSED = 2
    TIMED_OUT = 3
    ABORTED = 4
    UNKNOWN = 75
    """A passing fault, or nobody knows how it ended: the same command may be run again."""


class CommandError(Exception):
    """A command cannot go on; the message is one line that says what to do.

    Attributes:
        status: what the command exits with.
    """

    def __init__(self, message: str, status: ExitStatus = ExitStatus.WORK_FAILED) -> None:
        super().__init__(message)
        self.status = status


class RefusedError(CommandError):
    """What was asked for is wrong or forbidden: nothing was started."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitStatus.REFUSED)


@contextmanager
def ended_well(*, as_json: bool = False) -> Iterator[None]:
    """Turn every way out of a command into one line and an exit status.

    With `as_json` the line is an object on standard output as well, so that a machine reads one stream.
    """
    try:
        yield
    except CommandError as error:
        text, status = str(error), error.status
    except KeyboardInterrupt:
        text, status = "interrupted", ExitStatus.ABORTED
    except BrokenPipeError:
        # Whoever read the output has gone; the interpreter must not trip over the rest of it.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - it lives as long as the process
        text, status = "", ExitStatus.ABORTED
    else:
        return
    if as_json and text:
        typer.echo(json.dumps({"event": "refused", "error": text, "exit_status": int(status)}, ensure_ascii=False))
    if text:
        typer.echo(f"postgres-etl: {text}", err=True)
    raise typer.Exit(status)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Take SIGTERM (an aborted build's) and SIGHUP (a closed terminal's) as Ctrl-C."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
