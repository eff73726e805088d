"""One worker's session in the scratch: a segment's original rows in, its cleaned rows out."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from etl_runtime.classification import ClassifiedTable
from etl_runtime.contract import ExitCode
from etl_runtime.copy_out import copied_out
from etl_runtime.faults import Fault
from etl_runtime.postgres import Connection
from etl_runtime.scratch import is_lost, scratch_fault
from etl_runtime.table_shape import REFUSED, ColumnShape, TableShape
from etl_runtime.trusted_sql import trusted

_STAGED = sql.Identifier("pg_temp", "original")
_SESSION = "SET temp_buffers = '12MB'"
"""A segment's rows stay in the session's own memory, and reach no disk."""
_OTHERS_READ = """
SELECT c.oid::pg_catalog.regclass::pg_catalog.text
FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
WHERE l.pid = pg_catalog.pg_backend_pid() AND c.oid <> %s::pg_catalog.regclass AND c.relkind IN ('r', 'p', 'm', 'f')
  AND c.relnamespace NOT IN ('pg_catalog'::pg_catalog.regnamespace, 'information_schema'::pg_catalog.regnamespace)
"""
"""A table that a transaction has read beside one: its rows need not be in the scratch, so it would seem empty."""


class TableSession:
    """Cleans segments of one table after another.

    Args:
        connection: Of the scrubber, with the pseudonyms' key; it is the session's own from now on.
        encoding: Of the archive's text.
    """

    def __init__(self, connection: Connection, encoding: str) -> None:
        self._connection = connection
        self._encoding = encoding
        self._staged: ClassifiedTable | None = None
        self._known: set[str] = set()
        connection.execute(_SESSION)

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    def cleaned(self, shape: TableShape, text: bytes) -> bytes:
        """The cleaned rows of a segment of original ones, both as COPY text.

        Raises:
            Fault: DATA when a row does not fit the table's types, an expression fails, or a cleaned row does not fit
                its table; CONFIG when an expression reads another table. The messages name table, column and line.
        """
        with self._explained(shape, text):
            self._stage(shape)
            with self._connection.transaction():
                self._fill(shape.table, text)
                cleaned = self._copied_out(shape.select(_STAGED))
                self._read_nothing_else(shape.table, _STAGED)
        return cleaned

    def cleaned_block(self, shape: TableShape, first: int, end: int) -> bytes:
        """The cleaned rows of a table whose rows are in the scratch: those of its blocks `first` to `end` - 1.

        Raises:
            Fault: as `cleaned`.
        """
        entry = shape.table.entry
        place = sql.Identifier(entry.schema, entry.tag)
        blocks = sql.SQL("ctid >= {}::pg_catalog.tid AND ctid < {}::pg_catalog.tid").format(
            f"({first},0)", f"({end},0)"
        )
        with self._explained(shape, None), self._connection.transaction():
            cleaned = self._copied_out(shape.select(place, blocks))
            self._read_nothing_else(shape.table, place)
        return cleaned

    def constant(self, shape: TableShape, column: ColumnShape, expression: str) -> bytes | None:
        """What an expression that looks at no column gives, as a row of COPY text; None when it needs a row.

        A constant may equal an original by chance and gives nothing away; it is told by evaluating it without a row.
        """
        query = sql.SQL("SELECT {}").format(column.fitted(expression))
        try:
            return self._copied_out(query)
        except psycopg.Error as error:
            if is_lost(error):
                raise scratch_fault(shape.table.name, error) from None
            return None

    def _stage(self, shape: TableShape) -> None:
        """Make the temporary table for the segments of another table than the last."""
        if self._staged is shape.table:
            return
        self._staged = None
        self._connection.execute("DROP TABLE IF EXISTS pg_temp.original")
        self._connection.execute(
            sql.SQL("CREATE TEMP TABLE original (LIKE {} INCLUDING GENERATED)").format(trusted(shape.table.sql_name))
        )
        # Values are read once: to compress them costs more than all else that is done to them here.
        changes = [
            sql.SQL("ALTER {} SET STORAGE EXTERNAL").format(sql.Identifier(column.name))
            for column in shape.columns.values()
            if column.compressible
        ]
        changes += [
            sql.SQL("ALTER {} DROP NOT NULL").format(sql.Identifier(column.name))
            for column in shape.columns.values()
            if column.not_null
        ]
        if changes:
            self._connection.execute(sql.SQL("ALTER TABLE {} {}").format(_STAGED, sql.SQL(", ").join(changes)))
        self._staged = shape.table

    def _fill(self, table: ClassifiedTable, text: bytes) -> None:
        # Rows stay in their order: to a file of this transaction's own COPY appends; elsewhere it would fill the gaps
        # that are left in pages (RelationGetBufferForTuple in hio.c).
        self._connection.execute("TRUNCATE pg_temp.original")
        columns = sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, table.entry.columns)))
        statement = sql.SQL("COPY {} {} FROM STDIN WITH (ENCODING {})").format(
            _STAGED, columns if table.entry.columns else sql.SQL(""), sql.Literal(self._encoding)
        )
        with self._connection.cursor().copy(statement) as copy:
            copy.write(text)

    def _copied_out(self, query: sql.Composable) -> bytes:
        statement = sql.SQL("COPY ({}) TO STDOUT WITH (ENCODING {})").format(query, sql.Literal(self._encoding))
        return copied_out(self._connection, statement)

    def _read_nothing_else(self, table: ClassifiedTable, source: sql.Identifier) -> None:
        """A plan is the same for each segment, so one look a table is enough."""
        if table.name in self._known:
            return
        others = self._connection.execute(_OTHERS_READ, [source.as_string(self._connection)]).fetchone()
        if others is not None:
            raise Fault(
                ExitCode.CONFIG,
                f"columns.yaml:{table.rule.line}: {table.name}: an expression sees its own row alone, and one here "
                f"reads {others[0]}; use a script",
            )
        self._known.add(table.name)

    @contextmanager
    def _explained(self, shape: TableShape, text: bytes | None) -> Generator[None]:
        """Say which of the table's expressions it was that failed: each is tried by itself."""
        try:
            yield
        except psycopg.Error as error:
            table = shape.table
            if is_lost(error):
                raise scratch_fault(table.name, error) from None
            if error.sqlstate == REFUSED and error.diag.message_primary:
                told = shape.conditions[int(error.diag.message_primary)].told
                raise Fault(
                    ExitCode.DATA, f"columns.yaml:{table.rule.line}: {table.name}: a cleaned row is refused: {told}"
                ) from None
            raise self._of_expression(shape, text) or scratch_fault(table.name, error) from None

    def _of_expression(self, shape: TableShape, text: bytes | None) -> Fault | None:
        table = shape.table
        source = sql.Identifier(table.entry.schema, table.entry.tag) if text is None else _STAGED
        tried = [
            (shape.column(name).fitted(rule.expression), rule.line) for name, rule in table.scrubbed if rule.is_computed
        ]
        tried += [(sql.SQL("({})").format(trusted(table.rule.where)), table.rule.line)] if table.rule.where else []
        try:
            with self._connection.transaction():
                if text is not None:
                    self._stage(shape)
                    self._fill(table, text)
                for expression, line in tried:
                    query = sql.SQL("SELECT pg_catalog.count(x) FROM (SELECT {} AS x FROM ONLY {} AS {} OFFSET 0) AS t")
                    try:
                        with self._connection.transaction():
                            self._connection.execute(query.format(expression, source, sql.Identifier(table.entry.tag)))
                    except psycopg.Error as found:
                        return scratch_fault(f"columns.yaml:{line}: {table.name}", found)
        except psycopg.Error as found:
            return scratch_fault(f"rows of {table.name} do not fit its definition", found)
        return None
