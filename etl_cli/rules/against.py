"""What rules can be held against."""

from __future__ import annotations

from enum import StrEnum


class Against(StrEnum):
    """A kind of place that has a schema."""

    SNAPSHOT = "snapshot"
    LIVE = "live"
    DUMP = "dump"
