"""The controllers' list of things to look at again: each once, at once or at a given time, by one thread."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class WorkQueue(Generic[Key]):
    """Keys to be looked at. One that is already waiting is not added twice, so a burst of events is one look."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[Key, None] = {}
        self._later: list[tuple[float, int, Key]] = []
        self._count = 0
        self._closed = False

    def add(self, key: Key) -> None:
        """Look at it now."""
        with self._changed:
            self._due[key] = None
            self._changed.notify_all()

    def add_after(self, seconds: float, key: Key) -> None:
        """Look at it in so many seconds, whatever happens before."""
        with self._changed:
            self._count += 1
            heapq.heappush(self._later, (time.monotonic() + seconds, self._count, key))
            self._changed.notify_all()

    def take(self) -> Key | None:
        """The next key, in the order in which they became due; None once the queue is closed."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    self._due[heapq.heappop(self._later)[2]] = None
                if self._due:
                    key = next(iter(self._due))
                    del self._due[key]
                    return key
                self._changed.wait(self._later[0][0] - now if self._later else None)
            return None

    def close(self) -> None:
        """Let the taker end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
