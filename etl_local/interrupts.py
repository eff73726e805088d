"""Signals that end a program, put off while something must not be left half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Final

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """While entered, SIGTERM and SIGHUP raise SystemExit in the main thread, as SIGINT raises KeyboardInterrupt.

    A handler that the program has set itself is left in place. In another thread than the main one this does nothing:
    signals are not delivered there.
    """

    def __init__(self) -> None:
        """Change nothing yet."""
        self._restored = contextlib.ExitStack()

    def __enter__(self) -> Interrupts:
        if _in_main_thread():
            for number in _ENDING:
                if signal.getsignal(number) is signal.SIG_DFL:
                    self._restored.callback(signal.signal, number, signal.SIG_DFL)
                    signal.signal(number, _exit)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restored.close()

    @contextlib.contextmanager
    def put_off(self) -> Iterator[None]:
        """Let the block finish whatever is signalled meanwhile; then the last signal has its effect."""
        if not _in_main_thread():
            yield
            return
        arrived: list[int] = []
        with contextlib.ExitStack() as restored:
            for number in _ENDING:
                restored.callback(signal.signal, number, signal.getsignal(number))
                signal.signal(number, lambda number, _: arrived.append(number))
            yield
        if arrived:
            signal.raise_signal(arrived[-1])


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
