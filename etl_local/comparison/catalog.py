"""What one database holds: its tables with their columns and keys, and every other object by name and definition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg
from etl_runtime.toc import relation
from psycopg import sql

SESSION: Final = (
    "SET search_path = ''; SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; "
    "SET extra_float_digits = 3; SET bytea_output = 'hex'; SET statement_timeout = 0; SET lock_timeout = '10s'; "
    "SET default_transaction_read_only = on; SET default_transaction_isolation = 'repeatable read'"
)
"""Settings under which equal values have equal texts, on any server."""

SYSTEM_SCHEMAS: Final = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> ALL(%(ignored)s)"

_COLUMNS: Final[LiteralString] = """
    SELECT n.nspname, c.relname, c.relkind::text, a.attname,
           format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
               || CASE a.attgenerated WHEN '' THEN '' ELSE ' GENERATED' END
               || CASE a.attidentity WHEN '' THEN '' ELSE ' IDENTITY' END
               || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE c.relkind IN ('r', 'p') AND {system}
     ORDER BY n.nspname, c.relname, a.attnum
"""

_KEYS: Final[LiteralString] = """
    SELECT DISTINCT ON (n.nspname, c.relname) n.nspname, c.relname,
           (SELECT array_agg(a.attname::text ORDER BY k.position)
              FROM unnest(i.indkey::smallint[]) WITH ORDINALITY k(attnum, position)
              JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
             WHERE k.position <= i.indnkeyatts)
      FROM pg_catalog.pg_index i
      JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND c.relkind = 'r' AND {system}
       AND NOT EXISTS (SELECT FROM unnest(i.indkey::smallint[]) WITH ORDINALITY k(attnum, position)
                         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                        WHERE k.position <= i.indnkeyatts AND NOT a.attnotnull)
     ORDER BY n.nspname, c.relname, i.indisprimary DESC, i.indexrelid
"""

_OBJECTS: Final[dict[str, LiteralString]] = {
    "index": """
        SELECT n.nspname || '.' || c.relname,
               pg_get_indexdef(c.oid) || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END
          FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {system}""",
    "constraint": """
        SELECT n.nspname || '.' || coalesce(c.relname, t.typname) || '.' || o.conname,
               pg_get_constraintdef(o.oid) || CASE WHEN o.convalidated THEN '' ELSE ' NOT VALID' END
          FROM pg_catalog.pg_constraint o JOIN pg_catalog.pg_namespace n ON n.oid = o.connamespace
          LEFT JOIN pg_catalog.pg_class c ON c.oid = o.conrelid
          LEFT JOIN pg_catalog.pg_type t ON t.oid = o.contypid
         WHERE o.contype <> 'n' AND {system}""",
    "view": """
        SELECT n.nspname || '.' || c.relname, pg_get_viewdef(c.oid)
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'v' AND {system}""",
    "materialized view": """
        SELECT n.nspname || '.' || c.relname,
               pg_get_viewdef(c.oid) || CASE WHEN c.relispopulated THEN '' ELSE ' NOT POPULATED' END
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'm' AND {system}""",
    "trigger": """
        SELECT n.nspname || '.' || c.relname || '.' || g.tgname, pg_get_triggerdef(g.oid) || ' ' || g.tgenabled::text
          FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE NOT g.tgisinternal AND {system}""",
    "policy": """
        SELECT n.nspname || '.' || c.relname || '.' || p.polname,
               concat_ws(' ', p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
                         pg_get_expr(p.polwithcheck, p.polrelid))
          FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {system}""",
    "function": """
        SELECT n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
               CASE WHEN p.prokind = 'a' THEN 'aggregate' ELSE pg_get_functiondef(p.oid) END
          FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
         WHERE {system}
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
                              AND d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid)""",
    "type": """
        SELECT n.nspname || '.' || t.typname,
               coalesce((SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder)
                           FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid),
                        format_type(t.typbasetype, t.typtypmod))
          FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
         WHERE t.typtype IN ('d', 'e', 'r') AND {system}
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
                              AND d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid)""",
    "partition": """
        SELECT n.nspname || '.' || c.relname, pg_get_expr(c.relpartbound, c.oid)
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relispartition AND c.relkind IN ('r', 'p') AND {system}""",
    # Those of an extension and its members come with it, whatever becomes of a dump's own.
    "comment": """
        SELECT concat_ws(' ', 'on', i.type, i.identity), d.description
          FROM pg_catalog.pg_description d,
               LATERAL pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) i
         WHERE (d.objoid >= 16384 OR d.classoid = 'pg_catalog.pg_largeobject'::regclass)
           AND d.classoid <> 'pg_catalog.pg_extension'::regclass
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                            WHERE e.deptype = 'e' AND e.classid = d.classoid AND e.objid = d.objoid)
           AND coalesce(i.schema, '') <> ALL(%(ignored)s)""",
    "large object": "SELECT m.oid::text, md5(lo_get(m.oid)) FROM pg_catalog.pg_largeobject_metadata m",
    "extension": """
        SELECT e.extname, n.nspname FROM pg_catalog.pg_extension e
          JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql'""",
}

OBJECT_KINDS: Final = frozenset({*_OBJECTS, "column", "sequence"})
"""The kinds of objects that a catalog holds beside tables."""

_SEQUENCES: Final[LiteralString] = """
    SELECT n.nspname, c.relname, concat_ws(' ', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin,
                                           s.seqmax, s.seqcache, s.seqcycle)
      FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {system} ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Table:
    """One table that holds rows of its own: an ordinary one or a partition without partitions."""

    schema: str
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    """The columns of the primary key, else of a unique index on columns that are never null, else none."""

    def __str__(self) -> str:
        """The name as manifests and rules have it: parts quoted only where SQL needs it."""
        return relation(self.schema, self.name)

    @property
    def identifier(self) -> sql.Identifier:
        """The quoted name for a statement."""
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Tables by name, and definitions of everything else by kind and name."""

    tables: dict[str, Table]
    objects: dict[str, dict[str, str]]


def read_catalog(connection: psycopg.Connection, ignored_schemas: frozenset[str]) -> Catalog:
    """Read what a database holds, outside the system's schemas and the ignored ones.

    Raises:
        psycopg.Error: the catalog or a sequence cannot be read.
    """
    parameters = {"ignored": sorted(ignored_schemas)}

    def rows(query: LiteralString) -> list[tuple[Any, ...]]:
        return connection.execute(query.replace("{system}", SYSTEM_SCHEMAS), parameters).fetchall()

    keys = {(schema, name): tuple(key) for schema, name, key in rows(_KEYS)}
    columns: dict[tuple[str, str], list[str]] = {}
    definitions: dict[str, str] = {}
    for schema, name, kind, column, definition in rows(_COLUMNS):
        own = columns.setdefault((schema, name), []) if kind == "r" else []
        if column is not None:  # a table may have no column at all, and rows all the same
            definitions[f"{schema}.{name}.{column}"] = definition
            own.append(column)
    tables = [Table(*place, tuple(names), keys.get(place, ())) for place, names in columns.items()]
    objects = {kind: {name: str(text) for name, text in rows(query)} for kind, query in _OBJECTS.items()}
    objects["column"] = definitions
    objects["sequence"] = {
        f"{schema}.{name}": f"{definition} at {_position(connection, schema, name)}"
        for schema, name, definition in rows(_SEQUENCES)
    }
    return Catalog({str(table): table for table in tables}, objects)


def _position(connection: psycopg.Connection, schema: str, name: str) -> str:
    query = sql.SQL("SELECT last_value || CASE WHEN is_called THEN ' called' ELSE '' END FROM {}")
    row = connection.execute(query.format(sql.Identifier(schema, name))).fetchone()
    return str(row[0]) if row else ""
