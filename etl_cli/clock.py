"""Time as the command sees it: the wall clock, a steady clock, and waiting."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime


class Clock:
    """The machine's clock. Tests replace it by one that only waiting moves."""

    def now(self) -> datetime:
        """The moment, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(slots=True)
class Every:
    """Something to be done about every so many seconds: a third more or less, so that many watchers spread out."""

    clock: Clock
    seconds: float
    _due: float = field(default=0.0, init=False)

    def is_due(self) -> bool:
        """Whether it is time; if so, the next time is set."""
        now = self.clock.monotonic()
        if now < self._due:
            return False
        self._due = now + self.seconds * random.uniform(2 / 3, 4 / 3)  # noqa: S311 - jitter, not a secret
        return True


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to look and how long to be patient, in seconds.

    Attributes:
        state: between two looks at an execution or a Job.
        progress: between two looks at their logs, and between two turns of the watch.
        dispatch: how long a transform Job may take to appear.
        blind: how long nothing at all may be seen before the end counts as unknown.
        settle: how long a manifest may take to be seen after the work that wrote it was seen to end.
    """

    state: float = 15.0
    progress: float = 3.0
    dispatch: float = 20 * 60.0
    blind: float = 15 * 60.0
    settle: float = 30.0
