"""One table's way through the scratch: original rows in, cleaned rows out to a file, the file proved."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from etl_runtime.archive_upload import file_chunks
from etl_runtime.classification import ClassifiedTable
from etl_runtime.contract import ExitCode
from etl_runtime.data_file import CHUNK, COPY_END, DataFileFacts, DataFileReader, codec_of, compressor
from etl_runtime.faults import Fault
from etl_runtime.postgres import Connection
from etl_runtime.proof import STAGE_SCHEMA, ColumnProof, StagedTable, constant_text, prove
from etl_runtime.raw_dump import RawDump
from etl_runtime.scratch import Scratch, scratch_fault
from etl_runtime.toc import Toc, identifiers
from etl_runtime.trusted_sql import trusted

_OTHERS_READ = """
SELECT c.oid::pg_catalog.regclass::pg_catalog.text
FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
WHERE l.pid = pg_catalog.pg_backend_pid() AND c.oid <> %s::pg_catalog.regclass AND c.relkind IN ('r', 'p', 'm', 'f')
  AND c.relnamespace NOT IN ('pg_catalog'::pg_catalog.regnamespace, 'information_schema'::pg_catalog.regnamespace)
"""
"""A table that a transaction has read beside one: its rows need not be in the scratch, so it would seem empty."""


@dataclass(frozen=True, slots=True)
class ReleasedTable:
    """A cleaned data file on disk, and what is known of it."""

    table: ClassifiedTable
    path: Path
    facts: DataFileFacts
    rows_before: int
    proofs: tuple[ColumnProof, ...]


def primary_key(toc: Toc, table: ClassifiedTable) -> tuple[str, ...]:
    """The columns of a table's primary key, from the archive's own definition of it; none where it has none."""
    for entry in toc.entries:
        if entry.description == "CONSTRAINT" and entry.schema == table.entry.schema:
            match = re.search(r"ALTER TABLE ONLY (.+)\n\s+ADD CONSTRAINT .+ PRIMARY KEY \((.+)\)", entry.definition)
            if match and identifiers(match[1]) == (table.entry.schema, table.entry.tag):
                return identifiers(match[2])
    return ()


def select(table: ClassifiedTable, source: sql.Composable) -> sql.Composed:
    """The query whose rows are the table's cleaned rows, columns in the order of its data file.

    Expressions and the row filter are the owner's SQL; they see the columns under the table's own name.
    """
    columns = sql.SQL(", ").join(
        sql.SQL("({}) AS {}").format(trusted(rule.expression), sql.Identifier(name))
        if rule.is_computed
        else sql.Identifier(name)
        for name, rule in table.columns
    )
    query = sql.SQL("SELECT {} FROM ONLY {} AS {}").format(columns, source, sql.Identifier(table.entry.tag))
    return query + sql.SQL(" WHERE ({})").format(trusted(table.rule.where)) if table.rule.where else query


class TableRelease:
    """Makes the cleaned file of each table that is not copied as it is.

    Args:
        scratch: Holds the dump's definitions, and the rows of the tables that are `loaded`, as the scripts left them.
        dump: The raw dump.
        directory: An existing directory for the cleaned files.
        key: Hex of the pseudonyms' secret key.
        loaded: Schema and name of the tables whose rows come from the scratch; others' come straight from the archive.
    """

    def __init__(
        self, scratch: Scratch, dump: RawDump, directory: Path, key: str, loaded: Collection[tuple[str, str]]
    ) -> None:
        self._scratch = scratch
        self._dump = dump
        self._directory = directory
        self._key = key
        self._loaded = loaded

    def connect(self) -> Connection:
        """A scrubber's connection that has the key."""
        connection = self._scratch.connect()
        connection.execute("SELECT pg_catalog.set_config('scrub.key', %s, false)", [self._key])
        return connection

    def abandon(self) -> None:
        """End the scratch server, and with it whatever is under way in other threads."""
        self._scratch.close()

    def empty(self, table: ClassifiedTable) -> ReleasedTable:
        """The file of a table of which no row comes out."""
        path, rows_before = self._path(table), self._dump.file_of(table.entry).rows or 0
        facts = write_data_file(path, ())
        proofs = tuple(ColumnProof(table.name, name, rule.proof, 0, 0) for name, rule in table.scrubbed)
        return ReleasedTable(table, path, facts, rows_before, proofs)

    def release(self, table: ClassifiedTable) -> ReleasedTable:
        """Clean one table and prove it.

        Raises:
            Fault: DATA when the raw file is not what it should be, an expression fails or gives a value that does not
                fit its column, or an original survives; CONFIG when an expression reads another table. The messages
                name table, column and line, and no value.
        """
        if table.empties:
            return self.empty(table)
        file = self._dump.file_of(table.entry)
        scripted = (table.entry.schema, table.entry.tag) in self._loaded
        with self.connect() as connection:
            original: StagedTable | None = None
            if table.scrubbed or not scripted:
                original = StagedTable(connection, table, "original", checks=False)
                original.fill(self._dump.rows(file), self._dump.toc.encoding)
            source = original.name if original and not scripted else sql.Identifier(table.entry.schema, table.entry.tag)
            facts = self._write(connection, table, source)
            proofs: list[ColumnProof] = []
            if table.scrubbed and original:
                released = StagedTable(connection, table, "released", checks=True)
                path = self._path(table)
                released.fill(DataFileReader(path.name, file_chunks(path)), self._dump.toc.encoding)
                constants = {n: constant_text(connection, r.expression) for n, r in table.scrubbed if r.expression}
                key = primary_key(self._dump.toc, table)
                proofs = prove(connection, original, released, key, constants)
                released.drop()
            if original:
                original.drop()
        if not (table.rule.where or scripted) and facts.rows != file.rows:
            raise Fault(
                ExitCode.DATA, f"{table.name} had {file.rows} rows and {facts.rows} came out, with no row filter"
            )
        return ReleasedTable(table, self._path(table), facts, file.rows or 0, tuple(proofs))

    def _path(self, table: ClassifiedTable) -> Path:
        return self._directory / self._dump.file_of(table.entry).name

    def _write(self, connection: Connection, table: ClassifiedTable, source: sql.Composable) -> DataFileFacts:
        statement = sql.SQL("COPY ({}) TO STDOUT WITH (ENCODING {})").format(
            select(table, source), sql.Literal(self._dump.toc.encoding)
        )
        try:
            with connection.transaction():
                with connection.cursor().copy(statement) as copy:
                    facts = write_data_file(self._path(table), (bytes(data) for data in copy))
                others = connection.execute(_OTHERS_READ, [source.as_string(connection)]).fetchone()
        except psycopg.Error as error:
            raise self._explained(connection, table, source, error) from None
        if others is not None:
            raise Fault(
                ExitCode.CONFIG,
                f"columns.yaml:{table.rule.line}: {table.name}: an expression sees its own row alone, and one here "
                f"reads {others[0]}; use a script",
            )
        return facts

    def _explained(
        self, connection: Connection, table: ClassifiedTable, source: sql.Composable, error: psycopg.Error
    ) -> Fault:
        """Which of the table's expressions it was that failed: each is tried by itself."""
        parts = [(rule.expression, rule.line) for _, rule in table.scrubbed if rule.expression]
        parts += [(table.rule.where, table.rule.line)] if table.rule.where else []
        for expression, line in parts:
            try:
                query = sql.SQL("SELECT pg_catalog.count(x) FROM (SELECT ({}) AS x FROM ONLY {} AS {}) AS t")
                connection.execute(query.format(trusted(expression), source, sql.Identifier(table.entry.tag)))
            except psycopg.Error as found:
                return scratch_fault(f"columns.yaml:{line}: {table.name}", found)
        return scratch_fault(table.name, error)


def write_data_file(path: Path, rows: Iterable[bytes]) -> DataFileFacts:
    """Write COPY text as an archive's data file, in the codec of its name, with the mark that ends it."""
    codec = compressor(codec_of(path.name))

    def compressed() -> Iterator[bytes]:
        held: list[bytes] = []
        size = 0
        for row in rows:
            held.append(row)
            size += len(row)
            if size >= CHUNK:
                yield codec.compress(b"".join(held))
                held.clear()
                size = 0
        yield codec.compress(b"".join(held) + COPY_END) + codec.flush()

    with path.open("wb") as file:
        for chunk in compressed():
            file.write(chunk)
    return DataFileReader(path.name, file_chunks(path)).read_through()


def prepare(connection: Connection, functions: str) -> None:
    """Make the stage's schema and the `scrub` functions.

    Raises:
        Fault: CONFIG when the dump has a schema of one of these names itself.
    """
    try:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(STAGE_SCHEMA)))
        connection.execute(trusted(functions))
    except psycopg.errors.DuplicateSchema:
        raise Fault(
            ExitCode.CONFIG, f"the dump has a schema scrub or {STAGE_SCHEMA}, which are ours; rename it"
        ) from None
    except psycopg.Error as error:
        raise scratch_fault("the scrub functions cannot be made", error) from None
