"""Reads a schema from a database's catalogs. Names and definitions alone are read: no row, no comment's text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final, LiteralString

import psycopg
from etl_runtime.toc import relation
from psycopg.rows import TupleRow

from etl_cli.rules.schema import Check, Column, ForeignKey, Schema, Table, TypeDefinition, UniqueIndex

Connection = psycopg.Connection[TupleRow]
SESSION: Final = (
    "SET search_path = ''; SET statement_timeout = 0; SET lock_timeout = '10s';"
    " SET default_transaction_read_only = on; SET default_transaction_isolation = 'repeatable read'"
)
_OWN: Final[LiteralString] = (
    "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend x"
    " WHERE x.deptype = 'e' AND x.classid = '{catalog}'::pg_catalog.regclass AND x.objid = {oid})"
)


def _own(catalog: LiteralString, oid: LiteralString) -> LiteralString:
    """The condition that an object is the database's own: not Postgres's, and no member of an extension."""
    return _OWN.replace("{catalog}", catalog).replace("{oid}", oid)


_TABLES: Final[LiteralString] = (
    "SELECT c.oid, n.nspname, c.relname, c.relkind::text,"
    " (SELECT array_agg(p.oid ORDER BY i.inhseqno) FROM pg_catalog.pg_inherits i"
    "   JOIN pg_catalog.pg_class p ON p.oid = i.inhparent WHERE i.inhrelid = c.oid)"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    f" WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND {_own('pg_catalog.pg_class', 'c.oid')}"
    " ORDER BY n.nspname, c.relname"
)
_COLUMNS: Final[LiteralString] = """
SELECT a.attrelid, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated <> '',
       CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' ELSE '' END,
       a.atthasdef AND a.attgenerated = ''
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum
"""
_INDEXES: Final[LiteralString] = """
SELECT i.indrelid, c.relname, i.indisprimary,
       (SELECT array_agg(a.attname::text ORDER BY k.position)
          FROM unnest(i.indkey::smallint[]) WITH ORDINALITY k (attnum, position)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
         WHERE k.position <= i.indnkeyatts),
       pg_catalog.pg_get_expr(i.indexprs, i.indrelid), pg_catalog.pg_get_expr(i.indpred, i.indrelid),
       coalesce((pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false)
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE i.indisunique AND i.indrelid = ANY(%s) ORDER BY i.indrelid, c.relname
"""
_CONSTRAINTS: Final[LiteralString] = """
SELECT o.conrelid, o.conname, o.contype::text, o.convalidated, o.confrelid,
       (SELECT array_agg(a.attname::text ORDER BY k.position)
          FROM unnest(o.conkey) WITH ORDINALITY k (attnum, position)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.attnum),
       (SELECT array_agg(a.attname::text ORDER BY k.position)
          FROM unnest(o.confkey) WITH ORDINALITY k (attnum, position)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = o.confrelid AND a.attnum = k.attnum),
       CASE o.contype WHEN 'c' THEN pg_catalog.pg_get_expr(o.conbin, o.conrelid) END
FROM pg_catalog.pg_constraint o
WHERE o.conrelid = ANY(%s) AND o.contype IN ('c', 'f') AND o.conparentid = 0 AND o.conislocal
ORDER BY o.conrelid, o.conname
"""
_TYPES: Final[LiteralString] = (
    "SELECT n.nspname, t.typname, t.typtype::text,"
    " (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder)"
    "    FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid),"
    " (SELECT array_agg(ARRAY[a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)] ORDER BY a.attnum)"
    "    FROM pg_catalog.pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),"
    " CASE t.typtype WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod)"
    "   WHEN 'r' THEN (SELECT pg_catalog.format_type(r.rngsubtype, NULL) FROM pg_catalog.pg_range r"
    "     WHERE r.rngtypid = t.oid) END, t.typnotnull"
    " FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
    " LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid"
    f" WHERE (t.typtype IN ('e', 'd', 'r') OR (t.typtype = 'c' AND c.relkind = 'c'))"
    f" AND {_own('pg_catalog.pg_type', 't.oid')} ORDER BY n.nspname, t.typname"
)
_FUNCTIONS: Final[LiteralString] = (
    "SELECT n.nspname, p.proname,"
    " (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ',"
    "     CASE WHEN p.provariadic <> 0 AND k.position = p.pronargs THEN 'VARIADIC' END,"
    "     CASE WHEN p.proargmodes IS NULL AND p.proargnames[k.position] <> ''"
    "       THEN pg_catalog.quote_ident(p.proargnames[k.position]) END,"
    "     pg_catalog.format_type(k.type, NULL),"
    "     CASE WHEN k.position > p.pronargs - p.pronargdefaults THEN 'DEFAULT' END), ', ' ORDER BY k.position)"
    "    FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY k (type, position)),"
    " pg_catalog.concat_ws(' ', CASE WHEN p.proretset THEN 'SETOF' END, pg_catalog.format_type(p.prorettype, NULL))"
    " FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
    " WHERE p.prokind = 'f' AND p.prorettype NOT IN ('pg_catalog.trigger'::pg_catalog.regtype,"
    " 'pg_catalog.event_trigger'::pg_catalog.regtype)"
    f" AND {_own('pg_catalog.pg_proc', 'p.oid')} ORDER BY n.nspname, p.proname, 3"
)
_RELATION: Final[LiteralString] = "pg_catalog.format('%%I.%%I', n.nspname, {})"
_PLACES: Final[Mapping[str, LiteralString]] = {
    "comments": """
        SELECT DISTINCT CASE i.type WHEN 'large object' THEN 'large objects'
                                    ELSE pg_catalog.concat_ws(' ', i.type, i.identity) END
        FROM pg_catalog.pg_description d, LATERAL pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) i
        WHERE (d.objoid >= 16384 OR d.classoid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass)
          AND d.classoid <> 'pg_catalog.pg_extension'::pg_catalog.regclass
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                          WHERE e.deptype = 'e' AND e.classid = d.classoid AND e.objid = d.objoid)""",
    "function_bodies": (
        "SELECT CASE p.prokind WHEN 'a' THEN 'aggregate ' WHEN 'p' THEN 'procedure ' ELSE 'function ' END"
        " || pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid))"
        " FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
        f" WHERE {_own('pg_catalog.pg_proc', 'p.oid')}"
        " UNION ALL SELECT 'view ' || pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind = 'v' AND {_own('pg_catalog.pg_class', 'c.oid')}"
        " UNION ALL SELECT 'trigger ' || pg_catalog.format('%I on %I.%I', g.tgname, n.nspname, c.relname)"
        " FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE NOT g.tgisinternal AND g.tgparentid = 0 AND {_own('pg_catalog.pg_class', 'c.oid')}"
        " UNION ALL SELECT 'rule ' || pg_catalog.format('%I on %I.%I', r.rulename, n.nspname, c.relname)"
        " FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE r.rulename <> '_RETURN' AND {_own('pg_catalog.pg_class', 'c.oid')}"
        " UNION ALL SELECT 'event trigger ' || pg_catalog.quote_ident(evtname) FROM pg_catalog.pg_event_trigger"
    ),
    "check_expressions": (
        "SELECT 'domain ' || pg_catalog.format('%I.%I', n.nspname, t.typname) FROM pg_catalog.pg_type t"
        " JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
        f" WHERE t.typtype = 'd' AND {_own('pg_catalog.pg_type', 't.oid')}"
        " UNION ALL SELECT 'policy ' || pg_catalog.format('%I on %I.%I', p.polname, n.nspname, c.relname)"
        " FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid"
        f" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {_own('pg_catalog.pg_class', 'c.oid')}"
    ),
    "materialized_views": (
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind = 'm' AND {_own('pg_catalog.pg_class', 'c.oid')}"
    ),
    "foreign_servers": (
        "SELECT 'server ' || pg_catalog.quote_ident(srvname) FROM pg_catalog.pg_foreign_server"
        " UNION ALL SELECT 'foreign data wrapper ' || pg_catalog.quote_ident(fdwname)"
        " FROM pg_catalog.pg_foreign_data_wrapper w WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"
        " WHERE d.deptype = 'e' AND d.classid = 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass"
        " AND d.objid = w.oid)"
    ),
    "sequences": (
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.relkind = 'S' AND {_own('pg_catalog.pg_class', 'c.oid')}"
    ),
    # Their number changes from day to day; that there are some is what is to be decided on.
    "large_objects": "SELECT 'some' WHERE EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)",
}
_EXTENSIONS: Final[LiteralString] = (
    "SELECT e.extname, n.nspname FROM pg_catalog.pg_extension e"
    " JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql' ORDER BY 1"
)
_KINDS: Final = {"r": "table", "p": "partitioned", "f": "foreign"}


def read_schema(connection: Connection) -> Schema:
    """All that rules are held against, from one snapshot of the catalogs.

    Args:
        connection: In autocommit, with the settings of `SESSION`.

    Raises:
        psycopg.Error: the server is gone, or the role may not look.
    """
    with connection.transaction():
        relations = connection.execute(_TABLES).fetchall()
        return Schema(
            major=connection.info.server_version // 10000,
            extensions=dict(connection.execute(_EXTENSIONS).fetchall()),
            types={
                relation(schema, name): TypeDefinition(
                    {"e": "enum", "d": "domain", "r": "range", "c": "composite"}[kind],  # pyright: ignore[reportArgumentType]
                    tuple(labels or ()),
                    dict(attributes or ()),
                    base or "",
                    kind == "d" and not_null,
                )
                for schema, name, kind, labels, attributes, base, not_null in connection.execute(_TYPES).fetchall()
            },
            functions={
                f"{relation(schema, name)}({arguments or ''})": returned
                for schema, name, arguments, returned in connection.execute(_FUNCTIONS).fetchall()
            },
            tables=_tables(connection, relations),
            places={
                place: tuple(sorted(str(name) for (name,) in found))
                for place, query in _PLACES.items()
                if (found := connection.execute(query).fetchall())
            },
        )


def _tables(connection: Connection, relations: list[TupleRow]) -> dict[str, Table]:
    names = {oid: relation(schema, name) for oid, schema, name, _, _ in relations}
    oids = list(names)
    columns: dict[int, dict[str, Column]] = defaultdict(dict)
    for oid, name, *rest in connection.execute(_COLUMNS, [oids]).fetchall():
        columns[oid][name] = Column(*rest)
    keys: dict[int, tuple[str, ...]] = {}
    unique: dict[int, dict[str, UniqueIndex]] = defaultdict(dict)
    for oid, name, is_primary, indexed, expression, predicate, same_nulls in connection.execute(
        _INDEXES, [oids]
    ).fetchall():
        if is_primary:
            keys[oid] = tuple(indexed)
        else:
            unique[oid][name] = UniqueIndex(tuple(indexed or ()), expression or "", predicate or "", same_nulls)
    checks: dict[int, dict[str, Check]] = defaultdict(dict)
    references: dict[int, dict[str, ForeignKey]] = defaultdict(dict)
    for oid, name, kind, is_valid, to, own, others, expression in connection.execute(_CONSTRAINTS, [oids]).fetchall():
        if kind == "c":
            checks[oid][name] = Check(expression, tuple(own or ()))
        elif to in names:
            references[oid][name] = ForeignKey(tuple(own), names[to], tuple(others), is_valid)
    made: dict[str, Table] = {}
    for oid, _, _, kind, parents in relations:
        made[names[oid]] = Table(
            names[oid],
            _KINDS[kind],  # pyright: ignore[reportArgumentType]
            columns[oid],
            keys.get(oid, ()),
            unique[oid],
            checks[oid],
            references[oid],
            tuple(names[parent] for parent in _known(parents, names)),
        )
    return made


def _known(parents: Any, names: Mapping[int, str]) -> list[int]:
    return [oid for oid in parents or () if oid in names]
