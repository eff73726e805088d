"""Where sequences stand: read from the scratch, and carried into the table of contents where scripts moved them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.postgres import Connection
from etl_runtime.toc import Toc, relation

Name = tuple[str, str]
"""Schema and sequence."""
_ALL = "SELECT schemaname, sequencename FROM pg_catalog.pg_sequences ORDER BY 1, 2"
_SET = re.compile(r"(SELECT pg_catalog\.setval\(.+, )-?\d+, (?:true|false)\);(\n*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Position:
    """The last value, and whether it has been given out."""

    last_value: int
    is_called: bool


def positions(connection: Connection) -> dict[Name, Position]:
    """The position of every sequence of a database, by schema and name; a superuser's connection sees all."""
    names = [(str(schema), str(name)) for schema, name in connection.execute(_ALL)]
    if not names:
        return {}
    each = [
        sql.SQL("SELECT {}, {}, last_value, is_called FROM {}").format(
            sql.Literal(schema), sql.Literal(name), sql.Identifier(schema, name)
        )
        for schema, name in names
    ]
    rows = connection.execute(sql.SQL(" UNION ALL ").join(each)).fetchall()
    return {(str(schema), str(name)): Position(int(value), bool(called)) for schema, name, value, called in rows}


def definitions(toc: Toc, moved: Mapping[Name, Position]) -> dict[int, str]:
    """The definitions that put sequences where they are, by dump id.

    Raises:
        Fault: DATA when the archive does not set one of them, so that it cannot be carried.
    """
    entries = {(entry.schema, entry.tag): entry for entry in toc.entries if entry.description == "SEQUENCE SET"}
    found: dict[int, str] = {}
    for name, position in moved.items():
        entry = entries.get(name)
        match = _SET.fullmatch(entry.definition) if entry else None
        if entry is None or match is None:
            raise Fault(
                ExitCode.DATA,
                f"a script moved sequence {relation(*name)}, which the archive does not set, so it cannot be carried",
            )
        called = "true" if position.is_called else "false"
        found[entry.dump_id] = f"{match[1]}{position.last_value}, {called});{match[2]}"
    return found
