"""A log on this machine's disk, for whoever looks into a stand-in: a copy that nothing depends on."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from types import TracebackType


class LogFile:
    """Lines of a program, in a file. What cannot be written is left out: a full disk must end nothing by its log."""

    def __init__(self, path: Path) -> None:
        """Create the file, or empty it; where that cannot be, nothing is written."""
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def put(self, line: str) -> None:
        """Add one line, given without its line end."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.write(self._descriptor, f"{line}\n".encode(errors="replace"))

    def close(self) -> None:
        """Write nothing more."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def __enter__(self) -> LogFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LogFileHandler(logging.FileHandler):
    """The same for Python's logging, which would print a traceback for each message that it cannot write."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Leave the message out."""

    def close(self) -> None:
        """Close the file; what is left in its buffer may have no room."""
        with contextlib.suppress(OSError):
            super().close()
