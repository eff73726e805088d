"""The table of contents of a pg_dump archive (`toc.dat`), read from its bytes.

The format is that of `WriteHead`, `WriteToc` and `WriteExtraToc` in PostgreSQL's src/bin/pg_dump/pg_backup_archiver.c
and pg_backup_directory.c: archive versions 1.14 (PostgreSQL 14, 15), 1.15 (16) and 1.16 (17, 18).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault

TOC_NAME = "toc.dat"
_MAGIC = b"PGDMP"
_SUPPORTED = ((1, 14), (1, 15), (1, 16))
_MOST_ENTRIES = 5_000_000
_CODECS = {
    "LATIN1": "latin-1",
    "LATIN2": "iso8859-2",
    "LATIN9": "iso8859-15",
    "WIN1250": "cp1250",
    "WIN1251": "cp1251",
    "WIN1252": "cp1252",
}
"""Postgres's names of encodings, and Python's; of any other encoding only names in ASCII can be told."""


@dataclass(frozen=True, slots=True)
class TocEntry:
    """One object of the archive.

    `start` and `end` are its bytes in toc.dat, `defined_at` and `defined_end` its definition's; `filename` its data
    file or None; `dependencies` the dump ids of what it needs to be there before it.
    """

    dump_id: int
    tag: str
    description: str
    definition: str
    copy_statement: str
    schema: str
    filename: str | None
    start: int
    end: int
    dependencies: tuple[int, ...] = ()
    defined_at: int = field(default=0, compare=False)
    defined_end: int = field(default=0, compare=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a TABLE DATA entry, in the order of its file (generated ones are not in it)."""
        return copy_columns(self.copy_statement)

    @property
    def copied_table(self) -> tuple[str, str]:
        """Schema and name of the table that the rows of a TABLE DATA entry go into.

        It is another than the entry's own where a partition's rows go in by the root of its tree.
        """
        return copied_table(self.copy_statement)


@dataclass(frozen=True, slots=True)
class Toc:
    """A whole table of contents."""

    version: tuple[int, int, int]
    database: str
    server_version: str
    client_version: str
    entries: tuple[TocEntry, ...]
    _content: bytes
    _count_at: int
    _entries_at: int
    _int_size: int
    _codec: str = "utf-8"

    @property
    def archive_version(self) -> str:
        """Such as `1.16.0`."""
        return ".".join(map(str, self.version))

    @property
    def table_data(self) -> tuple[TocEntry, ...]:
        """The entries whose files hold rows of tables."""
        return tuple(entry for entry in self.entries if entry.description == "TABLE DATA")

    @property
    def encoding(self) -> str:
        """The database's encoding, `UTF8` unless the archive says another."""
        for entry in self.entries:
            if entry.description == "ENCODING" and (match := re.search(r"client_encoding = '(\w+)'", entry.definition)):
                return match[1]
        return "UTF8"

    def bytes_of(self, entry: TocEntry) -> bytes:
        """An entry as it stands in toc.dat."""
        return self._content[entry.start : entry.end]

    def changed(self, descriptions: Collection[str], definitions: Mapping[int, str]) -> bytes:
        """The bytes of this toc.dat with some changes; the rest to the byte.

        Args:
            descriptions: Kinds of entries that are left out, and comments on them.
            definitions: Dump id → another definition.
        """
        gone = {entry.dump_id for entry in self.entries if entry.description in descriptions}
        gone |= {e.dump_id for e in self.entries if e.description == "COMMENT" and gone.intersection(e.dependencies)}
        kept = [entry for entry in self.entries if entry.dump_id not in gone]
        count = b"\0" + len(kept).to_bytes(self._int_size, "little")
        head = self._content[: self._count_at] + count
        return head + b"".join(self._with(entry, definitions.get(entry.dump_id)) for entry in kept)

    def _with(self, entry: TocEntry, definition: str | None) -> bytes:
        if definition is None:
            return self.bytes_of(entry)
        text = definition.encode(self._codec, "surrogateescape")
        length = b"\0" + len(text).to_bytes(self._int_size, "little")
        before, after = self._content[entry.start : entry.defined_at], self._content[entry.defined_end : entry.end]
        return before + length + text + after


def quoted(name: str) -> str:
    """A name as an SQL identifier, always in quotes."""
    return '"' + name.replace('"', '""') + '"'


def relation(schema: str, name: str) -> str:
    """`schema.name` for people and manifests; parts are quoted only where SQL would need it."""
    return ".".join(
        part if re.fullmatch(r"[a-z_][a-z0-9_$]*", part) else quoted(part) for part in (schema, name) if part
    )


_IDENTIFIER = r'(?:"(?:[^"]|"")+"|[^\s",().]+)'


def identifiers(text: str) -> tuple[str, ...]:
    """The names in an SQL list such as `id, "Mixed", "a,b"`, unquoted."""
    return tuple(
        name[1:-1].replace('""', '"') if name.startswith('"') else name for name in re.findall(_IDENTIFIER, text)
    )


def _copy_parts(statement: str) -> re.Match[str]:
    match = re.fullmatch(
        rf"COPY ((?:{_IDENTIFIER}\.)?{_IDENTIFIER})(?: \((.*)\)| )? FROM stdin;\n?", statement, re.DOTALL
    )
    if match is None:
        raise Fault(ExitCode.DATA, "archive has table data without a COPY statement; dump it without --inserts")
    return match


def copy_columns(statement: str) -> tuple[str, ...]:
    """The columns of pg_dump's `COPY schema.table (a, b) FROM stdin;`.

    Raises:
        Fault: DATA for a statement of another form (a dump made with --inserts has none).
    """
    return identifiers(_copy_parts(statement)[2] or "")


def copied_table(statement: str) -> tuple[str, str]:
    """Schema ("" where there is none) and name of the table in pg_dump's `COPY schema.table (a, b) FROM stdin;`.

    Raises:
        Fault: DATA for a statement of another form.
    """
    *schema, name = identifiers(_copy_parts(statement)[1])
    return "".join(schema), name


class _Reader:
    """A cursor over toc.dat's bytes."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        # Names are in the database's own encoding, which the archive's first entry says.
        said = re.search(rb"client_encoding = '(\w+)'", content)
        self.codec = _CODECS.get(said[1].decode("ascii"), "utf-8") if said else "utf-8"
        self.position = 0
        self.int_size = 4

    def take(self, count: int) -> bytes:
        end = self.position + count
        if count < 0 or end > len(self.content):
            raise Fault(ExitCode.DATA, f"{TOC_NAME} ends too early: it has {len(self.content)} bytes")
        part = self.content[self.position : end]
        self.position = end
        return part

    def byte(self) -> int:
        return self.take(1)[0]

    def integer(self) -> int:
        sign = self.byte()
        value = int.from_bytes(self.take(self.int_size), "little")
        return -value if sign else value

    def optional_text(self) -> str | None:
        length = self.integer()
        return None if length < 0 else self.take(length).decode(self.codec, "surrogateescape")

    def text(self) -> str:
        return self.optional_text() or ""


def read_toc(content: bytes) -> Toc:
    """Read toc.dat.

    Raises:
        Fault: DATA when it is not one, is cut, is of a version that this program does not know, or has bytes left over.
    """
    reader = _Reader(content)
    if reader.take(len(_MAGIC)) != _MAGIC:
        raise Fault(ExitCode.DATA, f"{TOC_NAME} is not the table of contents of a pg_dump archive")
    version = (reader.byte(), reader.byte(), reader.byte())
    if version[:2] not in _SUPPORTED:
        raise Fault(
            ExitCode.DATA,
            f"archive version {'.'.join(map(str, version))} is not supported: pg_dump 14 to 18 write 1.14 to 1.16",
        )
    reader.int_size = reader.byte()
    reader.byte()  # the size of offsets, which a directory archive has none of
    reader.byte()  # the format: a directory archive says tar
    if version >= (1, 15, 0):
        reader.byte()
    else:
        reader.integer()
    for _ in range(7):
        reader.integer()
    database, server_version, client_version = reader.text(), reader.text(), reader.text()
    count_at = reader.position
    count = reader.integer()
    if not 0 <= count <= _MOST_ENTRIES:
        raise Fault(ExitCode.DATA, f"{TOC_NAME} claims {count} entries")
    entries_at = reader.position
    entries = tuple(_entry(reader, version) for _ in range(count))
    if reader.position != len(content):
        raise Fault(ExitCode.DATA, f"{TOC_NAME} has {len(content) - reader.position} bytes after its last entry")
    return Toc(
        version,
        database,
        server_version,
        client_version,
        entries,
        content,
        count_at,
        entries_at,
        reader.int_size,
        reader.codec,
    )


def _entry(reader: _Reader, version: tuple[int, int, int]) -> TocEntry:
    start = reader.position
    dump_id = reader.integer()
    reader.integer()  # whether it has data: the file name says so too
    _skip(reader.text, 2)  # catalog's and object's oid
    tag, description = reader.text(), reader.text()
    reader.integer()  # section
    defined_at = reader.position
    definition = reader.text()
    defined_end = reader.position
    _drop, copy_statement, schema = (reader.text() for _ in range(3))
    _skip(reader.text, 2)  # tablespace, table access method
    if version >= (1, 16, 0):
        reader.integer()  # relkind
    _skip(reader.text, 2)  # owner, WITH OIDS
    dependencies: list[int] = []
    while (dependency := reader.optional_text()) is not None:
        if not dependency.isascii() or not dependency.isdigit():
            raise Fault(ExitCode.DATA, f"{TOC_NAME} has a dependency that is no number")
        dependencies.append(int(dependency))
    filename = reader.text() or None
    if filename is not None and not re.fullmatch(r"[A-Za-z0-9_]+\.(?:dat|toc)", filename):
        raise Fault(ExitCode.DATA, f"{TOC_NAME} names a file {filename[:40]!a}, which no pg_dump writes")
    return TocEntry(
        dump_id,
        tag,
        description,
        definition,
        copy_statement,
        schema,
        filename,
        start,
        reader.position,
        tuple(dependencies),
        defined_at,
        defined_end,
    )


def _skip(read: Callable[[], object], times: int) -> None:
    for _ in range(times):
        read()
