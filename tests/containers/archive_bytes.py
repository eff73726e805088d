"""Archives of pg_dump built by hand, byte for byte, so that the tests need no server."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import lz4.frame
import zstandard

COPY_END = b"\\.\n\n\n"
VERSIONS = ((1, 14, 0), (1, 15, 0), (1, 16, 0))


@dataclass(frozen=True, kw_only=True)
class Entry:
    dump_id: int = 1
    tag: str = ""
    description: str = "TABLE"
    definition: str = ""
    copy_statement: str = ""
    schema: str = "public"
    filename: str | None = None
    dependencies: Sequence[int] = ()


ENCODING = Entry(
    dump_id=1,
    tag="ENCODING",
    description="ENCODING",
    definition="SET client_encoding = 'UTF8';\n",
    schema="",
)


def table(dump_id: int, name: str, columns: str, *, schema: str = "public") -> tuple[Entry, Entry]:
    """A table and its rows: `columns` as in CREATE TABLE, one a line."""
    lines = [line.strip() for line in columns.strip().splitlines()]
    names = ", ".join(line.split()[0] for line in lines if not line.startswith("CONSTRAINT"))
    body = ",\n".join("    " + line for line in lines)
    return (
        Entry(dump_id=dump_id, tag=name, definition=f"CREATE TABLE {schema}.{name} (\n{body}\n);\n", schema=schema),
        Entry(
            dump_id=dump_id + 1000,
            tag=name,
            description="TABLE DATA",
            copy_statement=f"COPY {schema}.{name} ({names}) FROM stdin;\n",
            schema=schema,
            filename=f"{dump_id + 1000}.dat",
            dependencies=(dump_id,),
        ),
    )


def _integer(value: int) -> bytes:
    return (b"\1" if value < 0 else b"\0") + abs(value).to_bytes(4, "little")


def _text(value: str | None) -> bytes:
    if value is None:
        return _integer(-1)
    content = value.encode("utf-8", "surrogateescape")
    return _integer(len(content)) + content


def entry_bytes(entry: Entry, version: tuple[int, int, int]) -> bytes:
    parts = [
        _integer(entry.dump_id),
        _integer(1 if entry.filename else 0),
        _text("1259"),
        _text("16384"),
        _text(entry.tag),
        _text(entry.description),
        _integer(2),
        _text(entry.definition),
        _text(f"DROP TABLE {entry.tag};\n"),
        _text(entry.copy_statement or None),
        _text(entry.schema or None),
        _text(""),
        _text("heap" if entry.description == "TABLE" else None),
        _integer(ord("r")) if version >= (1, 16, 0) else b"",
        _text(""),
        _text("false"),
        *(_text(str(dependency)) for dependency in entry.dependencies),
        _text(None),
        _text(entry.filename or ""),
    ]
    return b"".join(parts)


def head_bytes(version: tuple[int, int, int], database: str = "marketplace") -> bytes:
    compression = b"\1" if version >= (1, 15, 0) else _integer(-1)
    times = b"".join(map(_integer, (30, 15, 2, 6, 10, 126, 0)))
    names = _text(database) + _text("17.11") + _text("18.6")
    return b"PGDMP" + bytes(version) + b"\4\10\3" + compression + times + names


def toc_bytes(entries: Iterable[Entry], version: tuple[int, int, int] = (1, 16, 0)) -> bytes:
    every = list(entries)
    return head_bytes(version) + _integer(len(every)) + b"".join(entry_bytes(entry, version) for entry in every)


def packed(codec: str, *frames: bytes) -> bytes:
    """Each frame compressed by itself, one after another."""
    match codec:
        case "gzip":
            return b"".join(gzip.compress(frame, mtime=0) for frame in frames)
        case "zstd":
            return b"".join(zstandard.ZstdCompressor(write_checksum=True).compress(frame) for frame in frames)
        case "lz4":
            return b"".join(lz4.frame.compress(frame, content_checksum=True) for frame in frames)
        case _:
            return b"".join(frames)
