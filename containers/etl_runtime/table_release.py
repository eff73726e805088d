"""The files of the tables that are written anew: cleaned in the scratch by segments, then read again and proved."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import psycopg

from etl_runtime import scrub_functions
from etl_runtime.classification import ClassifiedTable
from etl_runtime.contract import ExitCode
from etl_runtime.conveyor import conveyed
from etl_runtime.data_file import COPY_END, DataFileFacts, codec_of, compressor
from etl_runtime.examination import Examination
from etl_runtime.faults import Fault
from etl_runtime.manifest import ArchiveFile
from etl_runtime.postgres import Connection
from etl_runtime.program import logger
from etl_runtime.proof.kernel import Key, Segment
from etl_runtime.proof.proof import Originals, Proof
from etl_runtime.proof.watch import ColumnProof, Unproved
from etl_runtime.raw_dump import RawDump
from etl_runtime.released_keys import ReleasedKeys
from etl_runtime.row_cleaning import RowCleaning
from etl_runtime.scratch import Scratch, scratch_fault
from etl_runtime.segments import segments
from etl_runtime.table_keys import Keys, Name
from etl_runtime.table_shape import STAGE, STAGE_SCHEMA, TableShape, table_shape
from etl_runtime.toc import Toc
from etl_runtime.trusted_sql import trusted

_BLOCKS = 256
"""Of a table in the scratch that are read together: 2 MiB."""


@dataclass(frozen=True, slots=True)
class ReleasedTable:
    """A cleaned data file on disk, and what reading it again told."""

    table: ClassifiedTable
    path: Path
    facts: DataFileFacts
    rows_before: int


@dataclass(frozen=True, slots=True)
class Release:
    """What is released of the tables that were written anew, and the proof of it."""

    tables: Sequence[ReleasedTable]
    proofs: Sequence[ColumnProof]
    unproved: Sequence[Unproved]


@dataclass(frozen=True, slots=True)
class _Cleaned:
    """A segment's part of a table's file, and the originals that it had."""

    table: ClassifiedTable
    frame: bytes
    originals: Originals | None


class TableRelease:
    """Makes and proves the file of each table that is not copied as it is.

    Args:
        scratch: Holds the dump's definitions, and the rows of the tables that are `loaded`, as the scripts left them.
        dump: The raw dump.
        directory: An existing directory for the cleaned files.
        loaded: Schema and name of the tables whose rows come from the scratch; others' come straight from the archive.
        key: The pseudonyms', hex.
        jobs: Segments that are worked on at a time.
        progress: Told a step, and the bytes of files that it has read and will have read.
    """

    def __init__(
        self,
        scratch: Scratch,
        dump: RawDump,
        directory: Path,
        loaded: Collection[Name],
        key: str,
        jobs: int,
        progress: Callable[[str, int, int], None],
    ) -> None:
        self._scratch = scratch
        self._dump = dump
        self._directory = directory
        self._loaded = loaded
        self._jobs = jobs
        self._progress = progress
        self._rows = RowCleaning(scratch, dump.toc.encoding, key)
        self._shapes: dict[Name, TableShape] = {}
        self._step, self._done, self._total = "", 0, 0

    def release(
        self,
        tables: Collection[ClassifiedTable],
        rewritten: Sequence[ClassifiedTable],
        toc: Toc,
        large_objects: Sequence[ArchiveFile] | None,
    ) -> Release:
        """Clean and prove.

        Args:
            tables: All classified tables of the dump.
            rewritten: Those that are written anew.
            toc: The table of contents that will be released: no original may stand in a definition.
            large_objects: Files of large objects that are released, when originals are looked for there and in the
                tables that are not written anew, too; None when they are not.

        Raises:
            Fault: DATA when a raw file is not what it should be, an expression fails or gives a value that does not fit
                its column, an original survives, or a key would be broken; CONFIG when an expression reads another
                table or a proof cannot be made. The messages name table, column and line, and no value.
        """
        digest_key, keys = Key(), Keys(self._dump.toc)
        largest_first = sorted(rewritten, key=lambda table: -self._dump.file_of(table.entry).bytes)
        with ExitStack() as stack:
            stack.callback(self._rows.close)
            deep, objects = large_objects is not None, large_objects or ()
            released_keys = ReleasedKeys(tables, rewritten, keys, self._directory, digest_key)
            cleaned = [table for table in largest_first if not table.empties]
            others = [t for t in tables if t not in rewritten and (deep or _name(t) in released_keys.tables)]
            with self._scratch.connect() as connection:
                self._shapes = {_name(table): table_shape(connection, table) for table in (*cleaned, *others)}
            rows = {_name(table): self._dump.file_of(table.entry).rows or 0 for table in cleaned}
            shapes = [self._shapes[name] for name in rows]
            proof = Proof(shapes, keys, rows.__getitem__, self._directory, digest_key)
            self._pass_over_constants(proof)
            by_database = self._rows.prepare(
                {_name(table): self._shapes[_name(table)] for table in cleaned}, self._loaded
            )
            logger().info("cleaning", tables=len(cleaned), by_database=by_database)
            self._clean(cleaned, proof)
            for table in largest_first:
                if table.empties:
                    _end(self._path(table))
            examination = Examination(self._dump, self._shapes, proof, released_keys, self._read)
            written = {_name(table): self._path(table) for table in largest_first}
            self._count("proving", examination.bytes(written, others, objects))
            work = chain(
                examination.written(largest_first, written),
                examination.as_they_are(others, deep=deep),
                examination.large_objects(objects),
                examination.definitions(toc),
            )
            for examined in conveyed(work, self._jobs, self._scratch.close):
                examination.note(examined)
            released = [self._released(table, examination.facts) for table in largest_first]
            proofs = proof.conclude()
            released_keys.conclude()
            return Release(released, proofs, proof.unproved)

    def _count(self, step: str, total: int) -> None:
        """Begin a step that reads so many bytes."""
        self._step, self._done, self._total = step, 0, total
        self._read(0)

    def _read(self, size: int) -> None:
        self._done += size
        self._progress(self._step, self._done, self._total)

    def _path(self, table: ClassifiedTable) -> Path:
        return self._directory / self._dump.file_of(table.entry).name

    def _pass_over_constants(self, proof: Proof) -> None:
        session = self._rows.session()
        for watch in proof.watches:
            if watch.expression:
                shape = self._shapes[_name(watch.table)]
                constant = session.constant(shape, shape.column(watch.column), watch.expression)
                if constant is not None:
                    proof.pass_over(watch, constant)

    def _clean(self, tables: Sequence[ClassifiedTable], proof: Proof) -> None:
        """Write the files, and gather the originals on the way."""
        for table in tables:
            self._path(table).touch()
        self._count("cleaning", sum(self._dump.file_of(table.entry).bytes for table in tables))
        for cleaned in conveyed(self._cleaning(tables, proof), self._jobs, self._scratch.close):
            if cleaned.originals is not None:
                proof.add(cleaned.originals)
            with self._path(cleaned.table).open("ab") as file:
                file.write(cleaned.frame)
        for table in tables:
            _end(self._path(table))

    def _cleaning(self, tables: Sequence[ClassifiedTable], proof: Proof) -> Iterator[Callable[[], _Cleaned]]:
        for table in tables:
            name = _name(table)
            scripted = name in self._loaded
            if not scripted or proof.watched(name):
                for text in segments(self._dump.rows(self._dump.file_of(table.entry), self._read)):
                    yield partial(self._clean_segment, table, text, proof, gather_only=scripted)
            if scripted:
                for first in range(0, self._blocks(table), _BLOCKS):
                    yield partial(self._clean_blocks, table, first)

    def _blocks(self, table: ClassifiedTable) -> int:
        with self._scratch.connect() as connection:
            row = connection.execute(
                "SELECT pg_catalog.pg_relation_size(%s::pg_catalog.regclass)"
                " / pg_catalog.current_setting('block_size')::bigint",
                [table.sql_name],
            ).fetchone()
        return int(row[0]) if row else 0

    def _clean_segment(self, table: ClassifiedTable, text: bytes, proof: Proof, *, gather_only: bool) -> _Cleaned:
        name = _name(table)
        segment = Segment(text, len(table.entry.columns), f"the file of {table.name}")
        originals = proof.gather(name, segment) if proof.watched(name) else None
        if gather_only:
            return _Cleaned(table, b"", originals)
        return _Cleaned(table, self._frame(table, self._rows.cleaned(self._shapes[name], name, segment)), originals)

    def _clean_blocks(self, table: ClassifiedTable, first: int) -> _Cleaned:
        text = self._rows.session().cleaned_block(self._shapes[_name(table)], first, first + _BLOCKS)
        return _Cleaned(table, self._frame(table, text), None)

    def _frame(self, table: ClassifiedTable, text: bytes) -> bytes:
        if not text:
            return b""
        codec = compressor(codec_of(self._path(table).name))
        return codec.compress(text) + codec.flush()

    def _released(self, table: ClassifiedTable, facts: Mapping[Name, DataFileFacts]) -> ReleasedTable:
        """The file, when it has as many rows as it should.

        Raises:
            Fault: DATA when rows are missing and no filter and no script took them.
        """
        before, found = self._dump.file_of(table.entry).rows or 0, facts[_name(table)]
        explained = table.empties or table.rule.where or _name(table) in self._loaded
        if not explained and found.rows != before:
            raise Fault(ExitCode.DATA, f"{table.name} had {before} rows and {found.rows} came out, with no row filter")
        return ReleasedTable(table, self._path(table), found, before)


def _name(table: ClassifiedTable) -> Name:
    return table.entry.schema, table.entry.tag


def _end(path: Path) -> None:
    """Add the mark that ends a table's rows."""
    codec = compressor(codec_of(path.name))
    with path.open("ab") as file:
        file.write(codec.compress(COPY_END) + codec.flush())


def prepare(connection: Connection, key: str) -> None:
    """Make the stage's schema and the `scrub` functions, with the pseudonyms' secret key in them.

    Raises:
        Fault: CONFIG when the dump has a schema of one of these names itself.
    """
    try:
        connection.execute(trusted(STAGE))
        scrub_functions.install(connection, key)
    except psycopg.errors.DuplicateSchema:
        raise Fault(
            ExitCode.CONFIG, f"the dump has a schema scrub or {STAGE_SCHEMA}, which are ours; rename it"
        ) from None
    except psycopg.Error as error:
        raise scratch_fault("the scrub functions cannot be made", error) from None
