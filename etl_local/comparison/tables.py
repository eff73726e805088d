"""The comparison of one table's rows in two databases, by ordered digests and, where these differ, column by column."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

import psycopg
from psycopg import sql

from etl_local.comparison.catalog import Table

_Rows = Generator[tuple[str, ...], None, None]


@dataclass(frozen=True, slots=True)
class ColumnComparison:
    """One column whose values differ.

    Attributes:
        name: the column.
        changed_rows: rows of the same key with another value; None where rows could not be matched by key.
    """

    name: str
    changed_rows: int | None


@dataclass(frozen=True, slots=True)
class TableComparison:
    """One table in both databases.

    Attributes:
        table: `schema.name`, as manifests and rules have it.
        key: the columns that rows were ordered and matched by; empty for the whole row.
        source_rows: rows in the source.
        target_rows: rows in the target.
        identical: every row is the same, by SHA-256 of all of them in order.
        columns: those that differ, in the table's order; empty for an identical table.
        removed_rows: rows of the source whose key the target lacks; None where rows could not be matched.
        added_rows: the reverse.
    """

    table: str
    key: tuple[str, ...]
    source_rows: int
    target_rows: int
    identical: bool
    columns: tuple[ColumnComparison, ...] = ()
    removed_rows: int | None = 0
    added_rows: int | None = 0


@dataclass(frozen=True, slots=True)
class TableDigest:
    """The rows of one table in one database: their number, and a SHA-256 over all of them in order."""

    rows: int
    sha256: str


def _bytewise(column: str) -> sql.Composable:
    return sql.SQL('{}::text COLLATE "C"').format(sql.Identifier(column))


def _whole_row(columns: Sequence[str]) -> sql.Composable:
    return sql.SQL('ROW({})::text COLLATE "C"').format(sql.SQL(", ").join(map(sql.Identifier, columns)))


def _ordered_rows(table: Table, columns: Sequence[str], order: Sequence[sql.Composable]) -> sql.Composed:
    return sql.SQL("COPY (SELECT {} FROM ONLY {}{}{}) TO STDOUT").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        table.identifier,
        sql.SQL(" ORDER BY " if order else ""),
        sql.SQL(", ").join(order),
    )


def _digest(connection: psycopg.Connection, statement: sql.Composed) -> TableDigest:
    digest, rows = hashlib.sha256(), 0
    with connection.cursor().copy(statement) as copy:
        for chunk in copy:
            digest.update(chunk)
            rows += bytes(chunk).count(b"\n")  # COPY's text escapes the newlines of values
    return TableDigest(rows, digest.hexdigest())


def table_digest(connection: psycopg.Connection, table: Table) -> TableDigest:
    """Digest all rows of a table, ordered by key where there is one, else by the whole row's text.

    Raises:
        psycopg.Error: the table cannot be read.
    """
    # A key is ordered by its own type, which an index serves: should two servers order a text key differently,
    # the digests differ and the rows are matched one by one below.
    order = list(map(sql.Identifier, table.key)) or ([_whole_row(table.columns)] if table.columns else [])
    return _digest(connection, _ordered_rows(table, table.columns, order))


def compare_rows(
    source: psycopg.Connection, target: psycopg.Connection, table: Table, digests: tuple[TableDigest, TableDigest]
) -> TableComparison:
    """Say how a table with two different digests differs; `table` has the columns and the key common to both.

    Rows are matched by key while the target's keys are all known to the source. Otherwise (no key, or keys were
    rewritten) columns are compared as bags of values, so that a column is still named exactly.

    Raises:
        psycopg.Error: the table cannot be read.
    """
    matched = _matched(source, target, table) if table.key else None
    if matched is not None:
        return TableComparison(
            table=str(table),
            key=table.key,
            source_rows=digests[0].rows,
            target_rows=digests[1].rows,
            identical=not (matched.removed or any(matched.changed)),
            columns=tuple(
                ColumnComparison(name, rows) for name, rows in zip(table.columns, matched.changed, strict=True) if rows
            ),
            removed_rows=matched.removed,
            added_rows=0,
        )
    changed = tuple(
        ColumnComparison(name, None)
        for name in table.columns
        if len({_digest(side, _ordered_rows(table, [name], [_bytewise(name)])) for side in (source, target)}) > 1
    )
    return TableComparison(
        table=str(table),
        key=(),
        source_rows=digests[0].rows,
        target_rows=digests[1].rows,
        identical=False,
        columns=changed,
        removed_rows=None,
        added_rows=None,
    )


@dataclass(frozen=True, slots=True)
class _Matched:
    changed: list[int]
    removed: int


def _matched(source: psycopg.Connection, target: psycopg.Connection, table: Table) -> _Matched | None:
    statement = sql.SQL('COPY (SELECT {} AS "key", {} FROM ONLY {} ORDER BY 1) TO STDOUT').format(
        _whole_row(table.key), sql.SQL(", ").join(map(sql.Identifier, table.columns)), table.identifier
    )
    with ExitStack() as stack:
        # Reading may stop half-way, which aborts a transaction: only up to a savepoint, so the snapshot lives on.
        for side in (source, target):
            stack.enter_context(side.transaction(force_rollback=True))
        originals, copies = (stack.enter_context(closing(_rows(side, statement))) for side in (source, target))
        return _merged(originals, copies, len(table.columns))


def _merged(originals: _Rows, copies: _Rows, width: int) -> _Matched | None:
    """Walk both sides by key; None as soon as the copies have a key that the originals lack.

    Both come in the order of their keys' UTF-8 bytes, which is the order of Python's code points.
    """
    changed, removed = [0] * width, 0
    copied = next(copies, None)
    for original in originals:
        if copied is None or original[0] < copied[0]:
            removed += 1
            continue
        if original[0] > copied[0]:
            return None
        if original != copied:
            for position, (before, after) in enumerate(zip(original[1:], copied[1:], strict=True)):
                changed[position] += before != after
        copied = next(copies, None)
    return _Matched(changed, removed) if copied is None else None


def _rows(connection: psycopg.Connection, statement: sql.Composed) -> _Rows:
    with connection.cursor().copy(statement) as copy:
        yield from copy.rows()
