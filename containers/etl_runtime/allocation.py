"""What the C library's allocator keeps: a pod's memory is paid for, and a run's peak should be what is in use."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGE = 4 << 20
"""Above the pieces that come and go all the time: fresh pages for each of those took a seventh of a run's CPU."""


def return_large_blocks() -> None:
    """Give large blocks back to the system once they are freed, and keep few arenas for many threads.

    Segments come and go in several threads; left alone, glibc would keep more places for them the more threads and the
    larger blocks there have been (mallopt(3): M_MMAP_THRESHOLD grows by itself, M_ARENA_MAX is eight times the cores).
    A C library that has no such knobs is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE)
