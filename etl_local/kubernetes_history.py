"""The history of a Kubernetes store: every change in order, for watches to follow and to resume from."""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from etl_local.kubernetes_kinds import Object, ResourceType
from etl_local.kubernetes_status import expired

_KEPT = 5_000


@dataclass(frozen=True, slots=True)
class Change:
    """One event: what was done (`ADDED`, `MODIFIED`, `DELETED`), and the object after and before. Not to be changed."""

    version: int
    kind: ResourceType
    verb: str
    object: Object
    previous: Object | None


class History:
    """Changes in the order of their versions, under the lock of the store that makes them."""

    def __init__(self, lock: threading.RLock) -> None:
        self._changed = threading.Condition(lock)
        self._changes: list[Change] = []
        self._forgotten = 0
        self._closed = False
        self._listeners: list[Callable[[Change], None]] = []

    def append(self, change: Change) -> None:
        """Add the newest change and wake all who follow; the lock is held."""
        self._changes.append(change)
        if len(self._changes) > _KEPT:
            self.forget(self._changes[_KEPT // 2].version)
        self._changed.notify_all()
        for tell in self._listeners:
            tell(change)

    def listen(self, tell: Callable[[Change], None]) -> Callable[[], None]:
        """Have each later change told within the write that makes it, so `tell` must be quick and must not write.

        Returns:
            a function that ends it.
        """
        with self._changed:
            self._listeners = [*self._listeners, tell]

        def end() -> None:
            with self._changed:
                self._listeners = [listener for listener in self._listeners if listener is not tell]

        return end

    def forget(self, version: int) -> None:
        """Drop what is not newer than a version: no watch can resume from before it. The lock is held."""
        del self._changes[: bisect.bisect_right(self._changes, version, key=_version)]
        self._forgotten = version

    def follow(self, after: int, *, seconds: float | None = None) -> Iterator[Change]:
        """The changes that follow a version, as they come, until the history closes or the time is over.

        Args:
            after: a version.
            seconds: how long to follow; None: for ever.

        Raises:
            KubernetesError: 410, changes after that version have been dropped.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            with self._changed:
                while not (pending := self._since(after)):
                    left = None if deadline is None else deadline - time.monotonic()
                    if self._closed or (left is not None and left <= 0):
                        return
                    self._changed.wait(left)
            yield from pending
            after = pending[-1].version

    def check(self, version: int) -> None:
        """Refuse a version that the history no longer reaches back to. The lock is held.

        Raises:
            KubernetesError: 410.
        """
        if version < self._forgotten:
            raise expired(version, self._forgotten)

    def _since(self, version: int) -> list[Change]:
        self.check(version)
        return self._changes[bisect.bisect_right(self._changes, version, key=_version) :]

    def close(self) -> None:
        """End every watch."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _version(change: Change) -> int:
    return change.version
