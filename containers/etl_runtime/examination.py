"""Reads what will be released, as it will be released, for the proof and for the keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from etl_runtime.archive_upload import file_chunks
from etl_runtime.classification import ClassifiedTable
from etl_runtime.data_file import DataFileFacts, DataFileReader
from etl_runtime.manifest import ArchiveFile
from etl_runtime.proof.kernel import Segment
from etl_runtime.proof.proof import Proof, Sightings
from etl_runtime.raw_dump import RawDump, counted
from etl_runtime.released_keys import KeyDigests, ReleasedKeys
from etl_runtime.segments import as_fields, segments
from etl_runtime.table_keys import Name
from etl_runtime.table_shape import TableShape
from etl_runtime.toc import Toc, relation


@dataclass(frozen=True, slots=True)
class Examined:
    """What a part of what will be released showed."""

    sightings: Sequence[Sightings]
    keys: KeyDigests | None = None


class Examination:
    """Makes the tasks that read the parts; each may run in any thread.

    Args:
        dump: The raw dump, of which much is released as it is.
        shapes: Of the tables that are read.
        proof: Sealed: it knows all originals.
        keys: Of what is released.
        read: Told the bytes as stored of each chunk, as it comes.

    Attributes:
        facts: What a full read of each written file found, once its last task has been made.
    """

    def __init__(
        self,
        dump: RawDump,
        shapes: Mapping[Name, TableShape],
        proof: Proof,
        keys: ReleasedKeys,
        read: Callable[[int], None],
    ) -> None:
        self._dump = dump
        self._shapes = shapes
        self._proof = proof
        self._keys = keys
        self._read = read
        self.facts: dict[Name, DataFileFacts] = {}

    def bytes(
        self, written: Mapping[Name, Path], others: Sequence[ClassifiedTable], objects: Sequence[ArchiveFile]
    ) -> int:
        """How much there is to read, as stored."""
        files = [*(self._dump.file_of(table.entry) for table in others), *objects]
        return sum(path.stat().st_size for path in written.values()) + sum(file.bytes for file in files)

    def note(self, examined: Examined) -> None:
        """Keep what a task found; not in several threads."""
        for sightings in examined.sightings:
            self._proof.note(sightings)
        if examined.keys:
            self._keys.note(examined.keys)

    def written(
        self, tables: Sequence[ClassifiedTable], paths: Mapping[Name, Path]
    ) -> Iterator[Callable[[], Examined]]:
        """The files that were written anew."""
        for table in tables:
            name = _name(table)
            reader = DataFileReader(paths[name].name, counted(file_chunks(paths[name]), self._read))
            for text in segments(reader):
                yield partial(self._rows, table, text, proved=True)
            self.facts[name] = reader.facts

    def as_they_are(self, tables: Sequence[ClassifiedTable], *, deep: bool) -> Iterator[Callable[[], Examined]]:
        """Tables that are copied: for keys that refer to them or from them, or for all that is in them."""
        for table in tables:
            for text in segments(self._dump.rows(self._dump.file_of(table.entry), self._read)):
                yield partial(self._rows, table, text, proved=deep)

    def large_objects(self, files: Sequence[ArchiveFile]) -> Iterator[Callable[[], Examined]]:
        """Large objects that are copied."""
        for file in files:
            reader = DataFileReader(file.name, counted(self._dump.chunks(file), self._read), copy_data=False)
            told = f"large object {file.name.removeprefix('blob_').partition('.')[0]}"
            for text in as_fields(reader):
                yield partial(self._field, text, told)

    def definitions(self, toc: Toc) -> Iterator[Callable[[], Examined]]:
        """Comments, defaults, checks, labels, bodies and all else that the table of contents says."""
        yield partial(self._definitions, toc)

    def _rows(self, table: ClassifiedTable, text: bytes, *, proved: bool) -> Examined:
        segment = Segment(text, len(table.entry.columns), f"the file of {table.name}")
        name = _name(table)
        places = [f"{table.name}.{relation('', column)}" for column in table.entry.columns]
        sightings = [self._proof.examine(segment, places, name)] if proved else []
        return Examined(sightings, self._keys.examine(self._shapes[name], segment))

    def _field(self, text: bytes, told: str) -> Examined:
        return Examined([self._proof.examine(Segment(text, 1, told), [told])])

    def _definitions(self, toc: Toc) -> Examined:
        found: list[Sightings] = []
        for entry in toc.entries:
            told = f"the definition of {entry.description} {relation(entry.schema, entry.tag)}"
            for text in as_fields([toc.bytes_of(entry)]):
                found += self._field(text, told).sightings
        return Examined([sightings for sightings in found if sightings.grams.size])


def _name(table: ClassifiedTable) -> Name:
    return table.entry.schema, table.entry.tag
