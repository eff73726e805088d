"""What can stop a program: one line that names the thing, and the exit code that says whether trying again helps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager

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

releasing = threading.Event()
"""Set where the step begins that releases all at once; a program that is stopped from there on may have done it."""


def check_stopping() -> None:
    """Give up work in another thread: whatever takes long asks this between two steps.

    Raises:
        Terminated: SIGTERM has arrived.
    """
    if stopping.is_set():
        raise Terminated


@contextmanager
def stop_postponed() -> Generator[None]:
    """Let SIGTERM wait for the end of a block, such as the start of a child that nothing could end until it has a name.

    Raises:
        Terminated: at the end of the block, when SIGTERM has arrived meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        # Python shows the signal to the main thread alone.
        yield
        return
    arrived: list[int] = []
    heard = signal.signal(signal.SIGTERM, lambda number, _frame: arrived.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, heard)
        if arrived and callable(heard):
            heard(arrived[0], None)
