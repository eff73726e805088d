"""How far a program is: a `progress` event at each new step, and once a second within one."""

from __future__ import annotations

import time

from etl_runtime.program import logger

_EVERY_SECONDS = 1.0


class Progress:
    """Says how far one stage is. Call it as often as is convenient; it speaks when there is something to say.

    Args:
        stage: `extract`, `transform` or `load`.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._step = ""
        self._said_at = 0.0

    def __call__(
        self,
        step: str,
        *,
        bytes_done: int = 0,
        bytes_total: int | None = None,
        tables_done: int = 0,
        tables_total: int | None = None,
    ) -> None:
        """Report a step and how much of it is done; a total is None where it is not known."""
        now = time.monotonic()
        if step == self._step and now - self._said_at < _EVERY_SECONDS:
            return
        self._step, self._said_at = step, now
        logger().info(
            "progress",
            stage=self._stage,
            step=step,
            bytes_done=bytes_done,
            bytes_total=bytes_total,
            tables_done=tables_done,
            tables_total=tables_total,
        )
