"""What the C library's allocator keeps: a pod's memory is paid for, and a run's peak should be what is in use."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGE = 256 << 10


def return_large_blocks() -> None:
    """Give large blocks back to the system once they are freed, and keep few arenas for many threads.

    Segments of some MiB come and go in several threads; glibc would keep each one's place, and more of it the more
    threads there are (mallopt(3): M_MMAP_THRESHOLD grows by itself, M_ARENA_MAX is eight times the cores). A C library
    that has no such knobs is left as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
