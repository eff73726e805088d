"""The one directory that a stand-in writes to, which is gone afterwards even if the stand-in is killed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from etl_local.caretaker import remove

_CARETAKER = Path(__file__).with_name("caretaker.py")


class StateDirectory:
    """A new directory below the system's temporary one, as a context manager.

    Others may pass through it, so that a server that runs as another user reaches its files, but not list it.

    Attributes:
        path: the directory, once entered.
    """

    def __init__(self, *, keep: bool = False) -> None:
        """Make nothing yet.

        Args:
            keep: whether the directory stays, for a look at its logs.
        """
        self.path = Path()
        self._keep = keep
        self._caretaker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> StateDirectory:
        # short: a Unix socket's path, many levels below, has 107 bytes
        self.path = Path(tempfile.mkdtemp(prefix="etl-")).resolve()
        self.path.chmod(0o711)
        if not self._keep:
            self._caretaker = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_CARETAKER), str(self.path)],
                env={},
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C is not for it
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._caretaker is None:
            return
        remove(self.path)
        self._caretaker.communicate()
