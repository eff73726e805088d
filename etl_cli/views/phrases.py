"""What is said of a stage, in words that every view for people shares."""

from __future__ import annotations

from etl_cli.events import State, Totals
from etl_cli.pipeline import StageState
from etl_cli.quantities import bytes_text, count_text


def progress_phrase(stage: StageState) -> str:
    """How far a stage is: `dumping · 34.1 MB of 70.3 MB · 12 of 25 tables`; "" while nobody has said."""
    # Nothing done of an unknown whole says nothing.
    parts = [stage.step] if stage.step else []
    if stage.bytes_done or stage.bytes_total:
        total = f" of {bytes_text(stage.bytes_total)}" if stage.bytes_total else ""
        parts.append(bytes_text(stage.bytes_done or 0) + total)
    if stage.tables_total:
        parts.append(f"{stage.tables_done or 0:,} of {count_text(stage.tables_total, 'table')}")
    elif stage.tables_done:
        parts.append(count_text(stage.tables_done, "table"))
    return " · ".join(parts)


def totals_phrase(totals: Totals) -> str:
    """What a stage moved: `21.3 MB · 512,345 rows · 25 tables`; "" where nobody said."""
    parts = [bytes_text(totals.bytes)] if totals.bytes is not None else []
    if totals.rows is not None:
        parts.append(count_text(totals.rows, "row"))
    if totals.tables is not None:
        parts.append(count_text(totals.tables, "table"))
    return " · ".join(parts)


def state_phrase(stage: StageState) -> str:
    """A stage in a few words: what it does while it runs, what it moved or why it ended once it is over."""
    if stage.state is State.WAITING:
        return "waiting"
    if stage.state is State.RUNNING:
        return progress_phrase(stage) or stage.note or "running"
    if stage.state is State.SUCCEEDED:
        said = [totals_phrase(stage.totals), stage.note if stage.was_started_before else ""]
        return " · ".join(part for part in said if part) or "succeeded"
    return f"{stage.state}: {stage.error}"
