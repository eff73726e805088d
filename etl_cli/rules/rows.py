"""The first rows of a table as text, from a live database or from a dump's data files: no more than were asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import psycopg
from etl_runtime.archive_upload import file_chunks
from etl_runtime.data_file import decompressed
from etl_runtime.faults import Fault
from etl_runtime.toc import Toc, relation
from etl_runtime.trusted_sql import trusted
from psycopg import sql

from etl_cli.ending import CommandError, RefusedError
from etl_cli.rules.against import Against
from etl_cli.rules.schema import Schema, Table
from etl_cli.rules.schema_catalog import Connection, read_schema
from etl_cli.rules.schema_source import Origin, archive_schema, live_database, read_archive
from etl_cli.rules.scratch_server import scratch_server

Row = tuple[str | None, ...]
_CODECS: Final = ("", ".gz", ".zst", ".lz4")
_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_LONGEST_LINE: Final = 64 << 20


class RowSource(Protocol):
    """What has rows."""

    def rows(self, table: Table, most: int) -> list[Row]:
        """At most so many rows, each with the values of `dumped_columns` in that order, None for NULL."""
        ...


class LiveRows:
    """The rows of a live database, read by its connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, table: Table, most: int) -> list[Row]:
        """See `RowSource`.

        Raises:
            RefusedError: the role may not read the table.
        """
        columns = sql.SQL(", ").join(
            sql.SQL("{}::pg_catalog.text").format(sql.Identifier(name)) for name in table.dumped_columns
        )
        query = sql.SQL("SELECT {} FROM ONLY {} LIMIT {}").format(columns, trusted(table.name), sql.Literal(most))
        try:
            return self._connection.execute(query).fetchall()
        except psycopg.errors.InsufficientPrivilege:
            raise RefusedError(f"the source's role may not read {table.name}") from None


class DumpedRows:
    """The rows of a directory archive."""

    def __init__(self, directory: Path, toc: Toc) -> None:
        self._directory = directory
        self._entries = {relation(entry.schema, entry.tag): entry for entry in toc.table_data}

    def rows(self, table: Table, most: int) -> list[Row]:
        """See `RowSource`.

        Raises:
            CommandError: a data file is not there, or damaged.
        """
        entry = self._entries.get(table.name)
        if entry is None or entry.filename is None:
            return []
        paths = [self._directory / f"{entry.filename}{suffix}" for suffix in _CODECS]
        path = next((path for path in paths if path.exists()), None)
        if path is None:
            raise CommandError(f"{self._directory} has no rows of {table.name}: its file {entry.filename} is not there")
        places = [entry.columns.index(name) for name in table.dumped_columns]
        found: list[Row] = []
        try:
            for line in _lines(decompressed(path.name, file_chunks(path))):
                if line == "\\." or len(found) == most:
                    break
                values = [_value(field) for field in line.split("\t")]
                found.append(tuple(values[place] for place in places))
        except Fault as error:
            raise CommandError(error.message) from None
        return found


@contextmanager
def opened(origin: Origin, programs: Path | None) -> Iterator[tuple[Schema, RowSource]]:
    """The schema and the rows of a live database or a dump.

    Raises:
        RefusedError: it is a snapshot, which has no rows, or it cannot be had.
        CommandError: it did not go on.
    """
    match origin.kind:
        case Against.SNAPSHOT:
            raise RefusedError("rows are needed: name a database with --source, or a dump's directory with --dump")
        case Against.LIVE:
            with live_database(origin.source) as connection:
                yield read_schema(connection), LiveRows(connection)
        case Against.DUMP:
            directory = origin.dump or Path()
            toc = read_archive(directory)
            with scratch_server(programs) as scratch:
                schema = archive_schema(directory, scratch)
            yield schema, DumpedRows(directory, toc)


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in whole)
        if len(rest) > _LONGEST_LINE:
            return


def _value(field: str) -> str | None:
    """A field of COPY's text format."""
    if field == "\\N":
        return None
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), field) if "\\" in field else field


def column_values(table: Table, rows: Sequence[Row], column: str) -> list[str]:
    """The values of a column that are not NULL and not empty."""
    place = list(table.dumped_columns).index(column)
    return [value for row in rows if (value := row[place])]
