"""A few rows before and after the rules: made in a scratch database, with a key that nobody else has.

What is shown goes to a terminal. Unless somebody says otherwise the side before is masked, and of the side after every
word that was in the row before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from etl_runtime.postgres import Connection
from etl_runtime.postgres_errors import error_text
from etl_runtime.rules import json_expression
from etl_runtime.rules_document import UNDECIDED
from etl_runtime.toc import quoted
from etl_runtime.trusted_sql import trusted
from psycopg import sql

from etl_cli.ending import CommandError
from etl_cli.rules.expressions import functions_called
from etl_cli.rules.inspection import RuledTable
from etl_cli.rules.rows import Row
from etl_cli.rules.schema import Schema

MASK: Final = "•"
_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class PreviewedRow:
    """One row: column → its value before and after, None for NULL; scripted columns are not in it."""

    values: dict[str, tuple[str | None, str | None]]


def preview_rows(connection: Connection, schema: Schema, table: RuledTable, rows: Sequence[Row]) -> list[PreviewedRow]:
    """The rows that stay, with the columns that an expression or paths change.

    Args:
        connection: To a scratch database that has the schema, empty, and the `scrub` functions.
        schema: What it is.
        table: Whose rows these are.
        rows: Values of `dumped_columns`, as text.

    Raises:
        CommandError: an expression does not work with these rows; the message quotes none.
    """
    table_schema = table.table
    computed = {
        name: json_expression(name, rule.paths, schema.base_type(column.type))
        if rule.kind == "json"
        else rule.expression
        for name, (column, rule) in table.changed.items()
        if rule.is_computed and not table.is_undecided(name) and not calls_own_function(schema, rule.expression)
    }
    source = trusted(table_schema.name)
    columns = sql.SQL(", ").join(map(sql.Identifier, table_schema.dumped_columns))
    pairs = [
        part
        for name, expression in computed.items()
        for part in (f"{quoted(name)}::pg_catalog.text", f"({expression})::pg_catalog.text")
    ]
    query = f"SELECT {', '.join(pairs) or 'NULL'} FROM ONLY {table_schema.name} AS {quoted(table_schema.parts[1])}"
    query += f" WHERE ({table.rule.where})" if table.rule.where else ""
    try:
        with connection.transaction(force_rollback=True):
            with connection.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(source, columns)) as copy:
                for row in rows:
                    copy.write_row(row)
            found = connection.execute(trusted(query)).fetchall()
    except (psycopg.Error, ValueError) as error:
        why = error_text(error) if isinstance(error, psycopg.Error) else str(error)
        raise CommandError(f"{table_schema.name} cannot be previewed: {why}; `rules check` tells more") from None
    return [
        PreviewedRow({name: (row[2 * place], row[2 * place + 1]) for place, name in enumerate(computed)})
        for row in found
    ]


def calls_own_function(schema: Schema, expression: str) -> bool:
    """Whether an expression calls a function of the database's own, of which the scratch has the signature alone."""
    own = {signature.partition("(")[0].rpartition(".")[2].strip('"') for signature in schema.functions}
    return bool(own & {name for names in functions_called(expression) if names[0] != "scrub" for name in names[-1:]})


def shown(before: str | None, after: str | None, *, is_masked: bool) -> tuple[str, str]:
    """The two sides as they are printed: `NULL` for none, masked where it is asked for."""
    if not is_masked:
        return _text(before), _text(after)
    if before is None or after is None:
        return _text(None if before is None else MASK * 3), _text(after if before is None else None)
    return MASK * 3, "(as it was)" if before == after else _masked(before, after)


def _text(value: str | None) -> str:
    return "NULL" if value is None else value


def _masked(before: str, after: str) -> str:
    """What is after, less every word that was there before; of a document the keys stay."""
    words = frozenset(_WORD.findall(before))
    try:
        document = json.loads(after)
    except ValueError:
        document = None
    if isinstance(document, dict | list):
        return json.dumps(_masked_leaves(document, words), ensure_ascii=False)
    return _without(after, words)


def _masked_leaves(node: Any, words: frozenset[str]) -> Any:
    if isinstance(node, dict):
        return {key: _masked_leaves(value, words) for key, value in node.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(node, list):
        return [_masked_leaves(value, words) for value in node]  # pyright: ignore[reportUnknownVariableType]
    return node if node is None or isinstance(node, bool) else _without(str(node), words)


def _without(text: str, words: frozenset[str]) -> str:
    return _WORD.sub(lambda word: MASK * 3 if word[0] in words else word[0], text)


def preview_lines(table: RuledTable, read: int, rows: Sequence[PreviewedRow], *, is_masked: bool) -> Iterator[str]:
    """The lines for one table.

    Args:
        table: Which.
        read: How many rows were looked at.
        rows: Those that stay.
        is_masked: Whether originals are masked.
    """
    name, rule = table.table.name, table.rule
    if table.is_emptied:
        yield f"{name}: {rule.mode}, no row comes out"
        return
    yield f"{name}: {len(rows)} of {read} rows looked at stay" if rule.where else f"{name}: {read} rows looked at"
    for column, (_, column_rule) in table.changed.items():
        if column_rule.kind == "scripted":
            yield f"  {column}: left to a script"
            continue
        if table.is_undecided(column):
            yield f"  {column}: {UNDECIDED}"
            continue
        if any(column not in row.values for row in rows):
            yield f"  {column}: by a function of the database's own, which does not run here"
            continue
        yield f"  {column}"
        for row in rows:
            before, after = shown(*row.values[column], is_masked=is_masked)
            yield f"    {_short(before)} → {_short(after)}"


def _short(text: str, most: int = 200) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= most else f"{one_line[:most]}…"
