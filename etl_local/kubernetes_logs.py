"""The logs of local pods, line by line, for `pods/log` to serve and to follow."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta


class ContainerLog:
    """What one run of one container has printed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lines: list[tuple[datetime, str]] = []
        self._ended = False

    def append(self, line: str) -> None:
        """Add a line, given without its line end."""
        with self._changed:
            self._lines.append((datetime.now(UTC), line))
            self._changed.notify_all()

    def end(self) -> None:
        """No line follows."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def read(
        self,
        *,
        follow: bool = False,
        tail: int | None = None,
        since_seconds: int | None = None,
        timestamps: bool = False,
    ) -> Iterator[str]:
        """The lines, each with its line end.

        Args:
            follow: go on with later lines until the container has ended.
            tail: begin with the last so many lines.
            since_seconds: leave out lines that are older.
            timestamps: put the time (RFC 3339) before each line.
        """
        with self._changed:
            position = 0 if tail is None else max(0, len(self._lines) - tail)
        oldest = None if since_seconds is None else datetime.now(UTC) - timedelta(seconds=since_seconds)
        while True:
            with self._changed:
                while follow and not self._ended and position == len(self._lines):
                    self._changed.wait()
                lines, ended = self._lines[position:], self._ended or not follow
            position += len(lines)
            for moment, line in lines:
                if oldest is None or moment >= oldest:
                    stamp = f"{moment.isoformat().removesuffix('+00:00')}Z " if timestamps else ""
                    yield f"{stamp}{line}\n"
            if ended:
                return


class PodLogs:
    """The logs of all containers, by pod uid and container name; the last run of a container is its log."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[tuple[str, str], list[ContainerLog]] = defaultdict(list)

    def begin(self, pod_uid: str, container: str) -> ContainerLog:
        """A log for a new run of a container."""
        log = ContainerLog()
        with self._lock:
            self._runs[pod_uid, container].append(log)
        return log

    def find(self, pod_uid: str, container: str, *, previous: bool = False) -> ContainerLog | None:
        """The log of the last run, or of the one before; None if there was no such run."""
        with self._lock:
            runs = self._runs.get((pod_uid, container), [])
            index = 2 if previous else 1
            return runs[-index] if len(runs) >= index else None

    def forget(self, pod_uid: str) -> None:
        """Drop the logs of a pod that is gone; those being read are read to their end."""
        with self._lock:
            for key in [key for key in self._runs if key[0] == pod_uid]:
                for log in self._runs.pop(key):
                    log.end()

    def close(self) -> None:
        """End all logs, so that nobody follows on."""
        with self._lock:
            for runs in self._runs.values():
                for log in runs:
                    log.end()
