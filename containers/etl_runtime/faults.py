"""What can stop a program: one line that names the thing, and the exit code that says whether trying again helps."""

from __future__ import annotations

import threading

from etl_runtime.contract import ExitCode


class Fault(Exception):
    """A program cannot go on.

    Attributes:
        code: How the program ends.
        message: One line for people: it names the thing and says what to do. Never a row's value, never a secret.
    """

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Terminated(BaseException):
    """SIGTERM arrived. Not an `Exception`, so that only clean-up code sees it on its way out."""


stopping = threading.Event()
"""Set by SIGTERM, which Python shows to the main thread alone."""


def check_stopping() -> None:
    """Give up work in another thread: whatever takes long asks this between two steps.

    Raises:
        Terminated: SIGTERM has arrived.
    """
    if stopping.is_set():
        raise Terminated
