"""Markdown tables of plain texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; texts may hold any character, and a line break counts as a blank."""
    return [_line(heads), _line(["---"] * len(heads)), *(_line(row) for row in rows)]


def code(text: str) -> str:
    """A text as code, nothing as nothing."""
    return f"`{text}`" if text else ""


def page(*lines: str) -> str:
    """Lines as the text of a file."""
    return "\n".join(lines).rstrip("\n") + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    """No bar ends the cell, and no `<word>` outside of code is taken for a tag."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))
