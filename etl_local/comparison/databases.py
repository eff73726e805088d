"""The comparison of two whole databases: their tables' rows and all their other objects."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import repeat

import psycopg

from etl_local.comparison.catalog import SESSION, Catalog, Table, read_catalog
from etl_local.comparison.objects import ObjectComparison, compare_objects
from etl_local.comparison.tables import TableComparison, TableDigest, compare_rows, table_digest


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is the same and what differs between a source and a target.

    Attributes:
        tables: every table that both hold, by name.
        missing_tables: tables of the source that the target lacks.
        unexpected_tables: the reverse.
        objects: the other objects, one entry a kind (`index`, `constraint`, `sequence`, `view`, …).
        seconds: how long it took to compare.
    """

    tables: tuple[TableComparison, ...]
    missing_tables: tuple[str, ...]
    unexpected_tables: tuple[str, ...]
    objects: tuple[ObjectComparison, ...]
    seconds: float

    @property
    def identical_tables(self) -> tuple[TableComparison, ...]:
        """Tables of which every row is the same."""
        return tuple(table for table in self.tables if table.identical)

    @property
    def changed_tables(self) -> tuple[TableComparison, ...]:
        """Tables of which some row differs."""
        return tuple(table for table in self.tables if not table.identical)

    @property
    def changed_columns(self) -> tuple[str, ...]:
        """`schema.table.column` of every column whose values differ."""
        return tuple(f"{table.table}.{column.name}" for table in self.tables for column in table.columns)

    @property
    def same_structure(self) -> bool:
        """Whether both hold the same tables and the same objects, equally defined."""
        return not (self.missing_tables or self.unexpected_tables) and all(kind.equal for kind in self.objects)


def compare(
    source_dsn: str,
    target_dsn: str,
    *,
    ignored_schemas: frozenset[str] = frozenset(),
    on_table: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Compare two databases, each read in one snapshot of its own, both at once.

    Args:
        source_dsn: libpq connection string of the source.
        target_dsn: the same of the target.
        ignored_schemas: schemas to leave out on both sides.
        on_table: called with the name of each table before its rows are read in the source.

    Raises:
        psycopg.Error: a database cannot be reached or read.
    """
    started = time.monotonic()
    with ExitStack() as stack:
        sides = tuple(stack.enter_context(closing(_connect(dsn))) for dsn in (source_dsn, target_dsn))
        pool = stack.enter_context(ThreadPoolExecutor(len(sides)))
        source, target = pool.map(read_catalog, sides, repeat(ignored_schemas))
        tables = _common_tables(source, target)
        said = (on_table, lambda _: None)
        digests = list(zip(*pool.map(_digests, sides, repeat(tables), said), strict=True))
        compared = tuple(
            TableComparison(str(table), table.key, one.rows, other.rows, identical=True)
            if one == other
            else compare_rows(sides[0], sides[1], table, (one, other))
            for table, (one, other) in zip(tables, digests, strict=True)
        )
    return Comparison(
        tables=compared,
        missing_tables=tuple(sorted(source.tables.keys() - target.tables.keys())),
        unexpected_tables=tuple(sorted(target.tables.keys() - source.tables.keys())),
        objects=tuple(compare_objects(kind, source.objects[kind], target.objects[kind]) for kind in source.objects),
        seconds=time.monotonic() - started,
    )


def _connect(dsn: str) -> psycopg.Connection:
    connection = psycopg.connect(dsn, autocommit=True, application_name="postgres-etl comparison", connect_timeout=10)
    connection.execute("SET client_encoding = 'UTF8'")
    for setting in SESSION.split("; "):
        connection.execute(setting.encode())
    connection.autocommit = False
    return connection


def _common_tables(source: Catalog, target: Catalog) -> list[Table]:
    """Tables of both, each with the columns that both have and the key that both agree on."""
    common: list[Table] = []
    for name in sorted(source.tables.keys() & target.tables.keys()):
        one, other = source.tables[name], target.tables[name]
        columns = tuple(column for column in one.columns if column in other.columns)
        common.append(replace(one, columns=columns, key=one.key if one.key == other.key else ()))
    return common


def _digests(connection: psycopg.Connection, tables: list[Table], said: Callable[[str], None]) -> list[TableDigest]:
    found: list[TableDigest] = []
    for table in tables:
        said(str(table))
        found.append(table_digest(connection, table))
    return found
