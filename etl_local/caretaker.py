"""Waits for its owner to end, however that happens, and removes the directory that the owner left behind.

`StateDirectory` starts this file as a script, with nothing but the standard library. Its standard input is a pipe that
only the owner holds open: when it ends, the owner has either removed the directory itself or died without a chance to.
"""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import sys
import time
from pathlib import Path

_IPC_RMID = 0
_ATTEMPTS = 50  # what the owner started is being killed at the same moment, and may still write
_ATTEMPT_SECONDS = 0.1
_SHARED_MEMORY_LINE = 6  # of postmaster.pid: key and identifier of the segment


def remove(directory: Path) -> None:
    """Remove a directory, and the shared memory of the Postgres servers that were killed in it."""
    release_shared_memory(directory)
    for _ in range(_ATTEMPTS):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(_ATTEMPT_SECONDS)


def release_shared_memory(directory: Path) -> None:
    """Give back the System V segments that killed servers could not; a server that stopped in order left no file."""
    if sys.platform != "linux":
        return
    for file in directory.rglob("postmaster.pid"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            identifier = int(file.read_text().splitlines()[_SHARED_MEMORY_LINE].split()[1])
            ctypes.CDLL(None).shmctl(identifier, _IPC_RMID, None)


if __name__ == "__main__":
    sys.stdin.buffer.read()
    if Path(sys.argv[1]).exists():
        remove(Path(sys.argv[1]))
