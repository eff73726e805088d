"""Quantities as people read them: bytes, counts, durations, moments."""

from __future__ import annotations

from datetime import UTC, datetime


def bytes_text(count: float) -> str:
    """A size in decimal units, three significant figures: `512 B`, `9.87 kB`, `21.3 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} B" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB" if count < 999.5 else f"{count:,.0f} TB"


def count_text(count: int, noun: str = "") -> str:
    """A number with thousands marked, and its noun: `1 table`, `12,345 rows`, `2 indexes`, `3 policies`."""
    return f"{count:,} {noun if count == 1 else _plural(noun)}" if noun else f"{count:,}"


def _plural(noun: str) -> str:
    if noun.endswith("y"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith("x") else f"{noun}s"


def seconds_text(seconds: float) -> str:
    """A duration in the two units that matter: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def moment_text(moment: datetime) -> str:
    """A moment in UTC to the second: `2026-11-22T12:03:07Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
