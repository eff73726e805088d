"""The log of one container on its way to CloudWatch Logs, as the awslogs driver would bring it there."""

from __future__ import annotations

import queue
import threading
import time
from types import TracebackType
from typing import Any, Final

_LONGEST_MESSAGE: Final = 200_000  # characters; CloudWatch takes 256 KiB
_LARGEST_BATCH: Final = 500
_BATCH_SECONDS: Final = 0.1


class LogStream:
    """A log stream that lines are put into; they arrive a moment later, all of them before the context is left."""

    def __init__(self, logs: Any, group: str, name: str) -> None:
        """Create the stream.

        Args:
            logs: a CloudWatch Logs client.
            group: an existing log group.
            name: the stream's.

        Raises:
            ClientError: there is no such group.
        """
        logs.create_log_stream(logGroupName=group, logStreamName=name)
        self._logs = logs
        self._names = {"logGroupName": group, "logStreamName": name}
        self._lines: queue.SimpleQueue[tuple[int, str] | None] = queue.SimpleQueue()
        self._sender = threading.Thread(target=self._send, name=f"log stream {name}", daemon=True)

    def put(self, line: str) -> None:
        """Add one line; an empty one becomes a space, for a message cannot be empty."""
        self._lines.put((time.time_ns() // 1_000_000, line[:_LONGEST_MESSAGE] or " "))

    def __enter__(self) -> LogStream:
        self._sender.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.put(None)
        self._sender.join()

    def _send(self) -> None:
        ended = False
        while not ended:
            batch = [self._lines.get()]
            if batch[0] is not None:
                time.sleep(_BATCH_SECONDS)
            while batch[-1] is not None and len(batch) < _LARGEST_BATCH and not self._lines.empty():
                batch.append(self._lines.get())
            ended = batch[-1] is None
            events = [{"timestamp": entry[0], "message": entry[1]} for entry in batch if entry is not None]
            if events:
                self._logs.put_log_events(**self._names, logEvents=events)
