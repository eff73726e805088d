"""A few rows of each scrubbed table before and after, so that a person sees what the rules did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from etl_local.comparison.catalog import Table, read_catalog

HIDDEN = "••••"
_ROWS_LOOKED_AT = 200
_LONGEST_VALUE = 2_000


@dataclass(frozen=True, slots=True)
class ColumnExample:
    """One scrubbed column in a few rows: pairs of texts before and after; None is NULL, and `HIDDEN` what is not told.

    `is_paired` says whether a pair is of one and the same row. Where rows have no key that was kept, the two of a pair
    are values of the source and of the target side by side, of whichever rows.
    """

    column: str
    values: tuple[tuple[str | None, str | None], ...]
    is_paired: bool


@dataclass(frozen=True, slots=True)
class TableExample:
    """The scrubbed columns of one table."""

    table: str
    columns: tuple[ColumnExample, ...]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "table": self.table,
            "columns": [
                {
                    "column": column.column,
                    "same_rows": column.is_paired,
                    "values": [{"before": before, "after": after} for before, after in column.values],
                }
                for column in self.columns
            ],
        }


def find_examples(
    source_dsn: str, target_dsn: str, proved: Sequence[Mapping[str, Any]], *, rows: int, show_before: bool
) -> list[TableExample]:
    """Read a few rows of every table with scrubbed columns.

    Args:
        source_dsn: the original.
        target_dsn: what was loaded.
        proved: the `columns` of a clean manifest's proof: `table` (as SQL writes it) and `column`.
        rows: how many of each table.
        show_before: whether the original's values may leave it; else they are `HIDDEN`.

    Raises:
        psycopg.Error: a database cannot be read.
    """
    columns: dict[str, list[str]] = defaultdict(list)
    for entry in proved:
        columns[str(entry["table"])].append(str(entry["column"]))
    with closing(psycopg.connect(source_dsn)) as source, closing(psycopg.connect(target_dsn)) as target:
        tables = read_catalog(target, frozenset()).tables
        return [
            _example(source, target, tables[name], scrubbed, rows, show_before)
            for name, scrubbed in sorted(columns.items())
            if name in tables
        ]


_Key = tuple[str | None, ...]
_Row = tuple[_Key, tuple[str | None, ...]]


def _example(
    source: psycopg.Connection,
    target: psycopg.Connection,
    table: Table,
    scrubbed: list[str],
    rows: int,
    show_before: bool,
) -> TableExample:
    after = _rows(target, table, scrubbed)
    is_paired = bool(table.key) and not set(table.key) & set(scrubbed)
    if is_paired:
        originals = dict(_rows(source, table, scrubbed, [key for key, _ in after])) if after else {}
        both = [(originals[key], values) for key, values in after if key in originals]
        pairs = [[(one[n], other[n]) for one, other in both if one[n] is not None] for n in range(len(scrubbed))]
    else:
        before = _rows(source, table, scrubbed)
        pairs = [list(zip(_values(before, n), _values(after, n), strict=False)) for n in range(len(scrubbed))]
    return TableExample(
        str(table),
        tuple(
            ColumnExample(
                column, tuple((one if show_before else HIDDEN, other) for one, other in few[:rows]), is_paired
            )
            for column, few in zip(scrubbed, pairs, strict=True)
        ),
    )


def _values(rows: Sequence[_Row], position: int) -> list[str | None]:
    """A column's values in some rows, NULL only where it has no other."""
    values = [values[position] for _, values in rows]
    return [value for value in values if value is not None] or values


def _rows(
    connection: psycopg.Connection, table: Table, columns: Sequence[str], keys: Sequence[_Key] = ()
) -> list[_Row]:
    """Keys and columns as texts: of the first rows by key, or of those with the keys given."""
    which = sql.SQL(" LIMIT {}").format(sql.Literal(_ROWS_LOOKED_AT))
    if table.key:
        which = sql.SQL(" ORDER BY {}{}").format(sql.SQL(", ").join(map(sql.Identifier, table.key)), which)
    if keys:
        cells = sql.SQL(", ").join(map(_text, table.key))
        wanted = sql.SQL(", ").join(sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, key))) for key in keys)
        which = sql.SQL(" WHERE ({}) IN ({})").format(cells, wanted)
    query = sql.SQL("SELECT ARRAY[{}]::text[], ARRAY[{}]::text[] FROM ONLY {}{}").format(
        sql.SQL(", ").join(map(_text, table.key)), sql.SQL(", ").join(map(_text, columns)), table.identifier, which
    )
    return [(tuple(key), tuple(map(_shown, values))) for key, values in connection.execute(query).fetchall()]


def _text(column: str) -> sql.Composed:
    return sql.SQL("{}::text").format(sql.Identifier(column))


def _shown(value: str | None) -> str | None:
    """A value in one line of printable characters."""
    if value is None:
        return None
    line = "".join(character if character.isprintable() else "·" for character in " ".join(value.split()))
    return line if len(line) <= _LONGEST_VALUE else line[: _LONGEST_VALUE - 1] + "…"
