"""Whether what is watched can be seen, and when not having seen it for long means that its end is unknown."""

from __future__ import annotations

from dataclasses import dataclass, field

from etl_cli.clock import Clock
from etl_cli.events import Ended, Event, Noticed, Stage, State
from etl_cli.quantities import seconds_text


@dataclass(slots=True)
class Sight:
    """A watcher's sight of one stage: errors are borne with, said once, and never taken for an end of the work."""

    clock: Clock
    stage: Stage
    patience: float
    _seen_at: float = field(default=0.0, init=False)
    _is_lost: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Begin with patience unspent."""
        self._seen_at = self.clock.monotonic()

    def seen(self) -> list[Event]:
        """Note that it was seen."""
        self._seen_at = self.clock.monotonic()
        was_lost, self._is_lost = self._is_lost, False
        return [Noticed(at=self.clock.now(), stage=self.stage, text="can be seen again")] if was_lost else []

    def lost(self, code: str) -> list[Event]:
        """Note that it could not be seen, and why; after too long a time, that its end is unknown."""
        blind = self.clock.monotonic() - self._seen_at
        if blind >= self.patience:
            error = f"could not be watched for {seconds_text(blind)} ({code}); it may go on: run the same command again"
            return [Ended(at=self.clock.now(), stage=self.stage, state=State.UNKNOWN, error=error)]
        was_lost, self._is_lost = self._is_lost, True
        if was_lost:
            return []
        return [
            Noticed(at=self.clock.now(), stage=self.stage, text=f"cannot be watched just now ({code}); still trying")
        ]
