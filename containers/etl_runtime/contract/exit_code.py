"""What a program's end says."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a program ended: 64 to 78 as in sysexits(3), permanent by kind; 75 transient; 143 stopped by SIGTERM."""

    DONE = 0
    USAGE = 64
    DATA = 65
    NO_INPUT = 66
    UNAVAILABLE = 69
    SOFTWARE = 70
    NO_SPACE = 73
    TRANSIENT = 75
    REFUSED = 77
    CONFIG = 78
    TERMINATED = 143
