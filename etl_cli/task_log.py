"""The log of one execution's task in CloudWatch, read as it grows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from etl_cli.aws import AWS_ERRORS, Account, error_code
from etl_cli.program_log import LogLine

_FORBIDDEN = frozenset({"AccessDeniedException", "AccessDenied", "ResourceNotFoundException"})
_PAGES_A_LOOK = 5


@dataclass(slots=True)
class TaskLog:
    """What one execution's program says, from a moment on.

    A watcher can do without it: where it may not be read, `is_readable` becomes False and nothing more is asked.
    """

    account: Account
    group: str
    container: str
    execution_name: str
    since: datetime
    is_readable: bool = True
    _from_millisecond: int = field(default=0, init=False)
    _seen: set[str] = field(default_factory=set[str], init=False)

    def new_lines(self) -> list[LogLine]:
        """The events since the last look, oldest first; none when CloudWatch cannot be asked just now."""
        lines: list[LogLine] = []
        start = self._from_millisecond or int(self.since.timestamp() * 1000)
        token: dict[str, Any] = {}
        for _ in range(_PAGES_A_LOOK if self.is_readable else 0):
            try:
                page = self.account.logs.filter_log_events(
                    logGroupName=self.group,
                    logStreamNamePrefix=f"{self.container}/",
                    startTime=start,
                    filterPattern=f'"{self.execution_name}"',
                    **token,
                )
            except AWS_ERRORS as error:
                self.is_readable = error_code(error) not in _FORBIDDEN
                break
            for event in page.get("events", []):
                moment, identifier = event.get("timestamp", start), event.get("eventId", "")
                if identifier in self._seen:
                    continue
                self._from_millisecond = max(self._from_millisecond, moment)
                self._seen.add(identifier)
                line = LogLine.parse(event.get("message", ""))
                if line is not None and line.is_of(self.execution_name):
                    lines.append(line)
            if not page.get("nextToken"):
                break
            token = {"nextToken": page.get("nextToken")}
        return lines
