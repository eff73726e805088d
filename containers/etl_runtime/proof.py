"""The proof: no original value of a scrubbed column is in what is released of that column.

It reads the bytes that will be released, not what the masking meant to write: the file is decompressed and loaded
again, into a table with the original's types and checks (so a value that does not fit stops here, not at the load),
and each scrubbed column of it is looked up in the original's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from etl_runtime.classification import ClassifiedTable
from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.postgres import Connection
from etl_runtime.rules import ColumnRule
from etl_runtime.scratch import scratch_fault
from etl_runtime.trusted_sql import trusted

STAGE_SCHEMA = "postgres_etl_stage"
_NOT_VALID = """
SELECT conname FROM pg_catalog.pg_constraint
WHERE conrelid = %s::pg_catalog.regclass AND contype IN ('c', 'n') AND NOT convalidated
"""


@dataclass(frozen=True, slots=True)
class ColumnProof:
    """What was found for one column: originals looked for, and how many rows released still hold one."""

    table: str
    column: str
    proof: str
    originals: int
    survivors: int

    def document(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        return {
            "table": self.table,
            "column": self.column,
            "proof": self.proof,
            "originals": self.originals,
            "survivors": self.survivors,
        }


class StagedTable:
    """A table in the scratch that holds rows read from an archive file: `original` or `released`.

    It has the columns and types of the table that it stands for, and no index.
    """

    def __init__(self, connection: Connection, table: ClassifiedTable, kind: str, *, checks: bool) -> None:
        self._connection = connection
        self.table = table
        self.name = sql.Identifier(STAGE_SCHEMA, f"{kind}_{table.entry.dump_id}")
        including = sql.SQL("INCLUDING GENERATED INCLUDING CONSTRAINTS" if checks else "INCLUDING GENERATED")
        try:
            connection.execute(
                sql.SQL("CREATE UNLOGGED TABLE {} (LIKE {} {})").format(self.name, trusted(table.sql_name), including)
            )
            # A constraint that is NOT VALID binds new rows alone; the dump's own rows may break it.
            for (name,) in connection.execute(_NOT_VALID, [table.sql_name]).fetchall():
                connection.execute(
                    sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(self.name, sql.Identifier(name))
                )
        except psycopg.Error as error:
            raise scratch_fault(f"{table.name} cannot be staged", error) from None

    def fill(self, rows: Iterable[bytes], encoding: str) -> None:
        """Load COPY text.

        Raises:
            Fault: DATA when a row does not fit the table's types or checks.
        """
        columns = sql.SQL(", ").join(map(sql.Identifier, self.table.entry.columns))
        statement = sql.SQL("COPY {} ({}) FROM STDIN WITH (ENCODING {})").format(
            self.name, columns, sql.Literal(encoding)
        )
        if not self.table.entry.columns:
            statement = sql.SQL("COPY {} FROM STDIN").format(self.name)
        try:
            with self._connection.cursor().copy(statement) as copy:
                for chunk in rows:
                    copy.write(chunk)
        except psycopg.Error as error:
            raise scratch_fault(f"rows of {self.table.name} do not fit its definition", error) from None

    def drop(self) -> None:
        """Free its disk."""
        self._connection.execute(sql.SQL("DROP TABLE {}").format(self.name))


def constant_text(connection: Connection, expression: str) -> str | None:
    """What an expression that looks at no column gives, as text; "" for NULL, None when it needs a row.

    A constant may equal an original by chance and gives nothing away; it is told by evaluating it without a row.
    """
    try:
        row = connection.execute(sql.SQL("SELECT ({})::pg_catalog.text").format(trusted(expression))).fetchone()
    except psycopg.Error:
        return None
    return "" if row is None or row[0] is None else str(row[0])


def prove(
    connection: Connection,
    original: StagedTable,
    released: StagedTable,
    key: Sequence[str],
    constants: Mapping[str, str | None],
) -> list[ColumnProof]:
    """Look every scrubbed column of what is released up in its originals.

    Args:
        connection: To the scratch.
        original: The rows as the raw dump has them.
        released: The rows as the clean dump will have them.
        key: Columns of the primary key, for `proof: per_row`.
        constants: Column → text of its rule's constant, "" for NULL, None where the rule depends on the row.

    Returns:
        One entry a scrubbed column that is proved, each without survivors.

    Raises:
        Fault: DATA, naming columns and counts, when an original survives, or when a column asks for a proof by row and
            its table has no primary key whose columns are all kept.
    """
    table = original.table
    # Sorts and nested loops over unindexed text take minutes where hashing takes seconds.
    connection.execute("SET enable_nestloop = off; SET enable_mergejoin = off; SET enable_sort = off")
    try:
        proofs = [
            _prove_column(connection, original, released, column, rule, key, constants.get(column))
            for column, rule in table.scrubbed
            if rule.proof != "none"
        ]
    except psycopg.Error as error:
        raise scratch_fault(f"the proof of {table.name} could not be made", error) from None
    if survivors := [proof for proof in proofs if proof.survivors]:
        told = ", ".join(f"{proof.table}.{proof.column} in {proof.survivors} rows" for proof in survivors)
        raise Fault(ExitCode.DATA, f"proof failed: original values survive in {told}; nothing is released")
    return proofs


def _prove_column(
    connection: Connection,
    original: StagedTable,
    released: StagedTable,
    column: str,
    rule: ColumnRule,
    key: Sequence[str],
    constant: str | None,
) -> ColumnProof:
    table = original.table
    name = sql.Identifier(column)
    if rule.proof == "per_row":
        kept = {kept_column for kept_column, kept_rule in table.columns if kept_rule.kind == "keep"}
        if not key or not set(key) <= kept:
            raise Fault(ExitCode.DATA, f"{table.name}.{column}: proof: per_row needs a primary key of kept columns")
        same_row = sql.SQL(" AND ").join(sql.SQL("o.{0} = r.{0}").format(sql.Identifier(part)) for part in key)
    else:
        same_row = sql.SQL("true")
    found = connection.execute(
        sql.SQL(
            "SELECT (SELECT pg_catalog.count({name}) FROM {original}),"
            " (SELECT pg_catalog.count(*) FROM {released} AS r"
            "   WHERE r.{name}::pg_catalog.text <> '' AND r.{name}::pg_catalog.text IS DISTINCT FROM {constant}"
            "   AND EXISTS (SELECT FROM {original} AS o"
            "     WHERE o.{name}::pg_catalog.text = r.{name}::pg_catalog.text AND {same_row}))"
        ).format(
            name=name,
            original=original.name,
            released=released.name,
            constant=sql.SQL("{}::pg_catalog.text").format(sql.Literal(constant)),
            same_row=same_row,
        )
    ).fetchone()
    assert found is not None  # noqa: S101 - a SELECT without FROM has one row
    proved = "per_row" if rule.proof == "per_row" else "per_column"
    return ColumnProof(table.name, column, proved, int(found[0]), int(found[1]))
