"""Makes a schema, empty, in a scratch database: as much of it as decides what type an expression has.

Tables are plain ones, of their columns alone. Functions have their signatures and no body: nothing of the database's
own runs here. What the scratch's Postgres cannot make, since an extension is not there, is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import psycopg
from etl_runtime.postgres import Connection
from etl_runtime.scratch import ADMINISTRATOR, Scratch
from etl_runtime.toc import identifiers, quoted
from etl_runtime.trusted_sql import trusted
from psycopg import sql

from etl_cli.rules.schema import Schema, Table, TypeDefinition


@dataclass(frozen=True, slots=True)
class Lacking:
    """What could not be made.

    Attributes:
        extensions: those that the scratch's Postgres has not.
        columns: table and column → the type that is not there; `text` stands in for it.
    """

    extensions: tuple[str, ...]
    columns: Mapping[tuple[str, str], str]


def make_schema(scratch: Scratch, schema: Schema) -> Lacking:
    """Make schemas, extensions, types, function signatures and tables.

    Raises:
        psycopg.Error: a definition is not what a catalog gives.
    """
    missing = _extensions(scratch, schema)
    with scratch.connect() as connection:
        for name in sorted({identifiers(owned)[0] for owned in (*schema.types, *schema.functions, *schema.tables)}):
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name)))
        _types(connection, schema)
        connection.execute("SET check_function_bodies = off")
        for signature, returned in schema.functions.items():
            _function(connection, signature, returned)
        lacking: dict[tuple[str, str], str] = {}
        for table in schema.tables.values():
            lacking |= _table(connection, table)
    return Lacking(missing, lacking)


def _extensions(scratch: Scratch, schema: Schema) -> tuple[str, ...]:
    with scratch.connect(ADMINISTRATOR) as connection:
        available = {name for (name,) in connection.execute("SELECT name FROM pg_catalog.pg_available_extensions")}
        for name, place in schema.extensions.items():
            if name in available:
                connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(place)))
                connection.execute(
                    sql.SQL("CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA {} CASCADE").format(
                        sql.Identifier(name), sql.Identifier(place)
                    )
                )
        connection.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    return tuple(name for name in schema.extensions if name not in available)


def _types(connection: Connection, schema: Schema) -> None:
    """Types that stand on others come after them; one that stands on what is not here stands on text."""
    pending = dict(schema.types)
    while pending:
        made = {name for name, definition in pending.items() if _made(connection, _type(name, definition))}
        for name in made:
            del pending[name]
        if not made:
            break
    for name, definition in pending.items():
        attributes = dict.fromkeys(definition.attributes, "text")
        connection.execute(trusted(_type(name, replace(definition, base="text", attributes=attributes))))


def _type(name: str, definition: TypeDefinition) -> str:
    match definition.kind:
        case "enum":
            labels = ", ".join(_literal(label) for label in definition.labels)
            return f"CREATE TYPE {name} AS ENUM ({labels})"
        case "composite":
            attributes = ", ".join(f"{quoted(part)} {type_name}" for part, type_name in definition.attributes.items())
            return f"CREATE TYPE {name} AS ({attributes})"
        case "range":
            return f"CREATE TYPE {name} AS RANGE (SUBTYPE = {definition.base})"
        case "domain":
            return f"CREATE DOMAIN {name} AS {definition.base}" + (" NOT NULL" if definition.not_null else "")


def _function(connection: Connection, signature: str, returned: str) -> None:
    """A function of this signature; one over types that are not here is left out."""
    with_defaults = signature.replace(" DEFAULT", " DEFAULT NULL")
    # VOLATILE, so that planning a statement never calls it.
    _made(connection, f"CREATE FUNCTION {with_defaults} RETURNS {returned} LANGUAGE plpgsql VOLATILE AS ''")


def _made(connection: Connection, statement: str) -> bool:
    try:
        connection.execute(trusted(statement))
    except psycopg.Error:
        return False
    return True


def _table(connection: Connection, table: Table) -> dict[tuple[str, str], str]:
    def create(types: Mapping[str, str]) -> str:
        columns = ", ".join(f"{quoted(name)} {type_name}" for name, type_name in types.items())
        return f"CREATE UNLOGGED TABLE {table.name} ({columns})"

    types = {name: column.type for name, column in table.columns.items()}
    if _made(connection, create(types)):
        return {}
    lacking = {
        (table.name, name): type_name for name, type_name in types.items() if not _is_type(connection, type_name)
    }
    connection.execute(trusted(create({n: "text" if (table.name, n) in lacking else t for n, t in types.items()})))
    return lacking


def _is_type(connection: Connection, type_name: str) -> bool:
    return _made(connection, f"SELECT NULL::{type_name}")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
