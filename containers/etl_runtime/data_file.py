"""One data file of an archive: its codec, a full read of it, and what that read found.

pg_restore takes a cut or emptied plain file, or one without its end mark, for whole; so each is read to its end here:
the codec's own checksum, the mark that ends COPY data, the number of rows, and a SHA-256 of the bytes as stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, cast

import lz4.frame  # type: ignore[import-untyped]
import zstandard
from isal import igzip_lib, isal_zlib

from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault

COPY_END = b"\\.\n\n\n"
"""What pg_dump writes after the last row of a table: `dumpTableData_copy` in pg_dump.c."""
_LINE_END = b"\n" + COPY_END  # in the middle of a line the same bytes can be a value and two empty rows
SUFFIXES = {"gzip": ".gz", "zstd": ".zst", "lz4": ".lz4", "none": ""}
CHUNK = 1 << 18
_GZIP = cast(Any, isal_zlib)  # its types leave one argument unknown
_GZIP_ERROR = cast(type[Exception], igzip_lib.IsalError)


@dataclass(frozen=True, slots=True)
class DataFileFacts:
    """What a full read found: bytes as stored and their SHA-256 (hex), bytes when decompressed, rows of COPY data."""

    bytes: int
    sha256: str
    plain_bytes: int
    rows: int


def codec_of(name: str) -> str:
    """The codec that a file's suffix says; pg_restore goes by it too, not by the archive's header."""
    for codec, suffix in SUFFIXES.items():
        if suffix and name.endswith(suffix):
            return codec
    return "none"


def stem(name: str) -> str:
    """A data file's name without the codec's suffix: the name that toc.dat has."""
    return name.removesuffix(SUFFIXES[codec_of(name)])


class _Frame(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...


class _Frames:
    """Any number of a codec's frames after one another (gzip: members), as Postgres and the codecs' tools read them.

    A codec gets a small piece at a time, for what it makes of one is held in memory: 1 KiB of zstd can be 16 MiB.
    """

    def __init__(self, begin: Callable[[], _Frame], piece_bytes: int) -> None:
        self._begin = begin
        self._piece_bytes = piece_bytes
        self._frame = begin()

    @property
    def eof(self) -> bool:
        return self._frame.eof

    def decompress(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), self._piece_bytes):
            piece = data[start : start + self._piece_bytes]
            while piece:
                if self._frame.eof:
                    self._frame = self._begin()
                yield self._frame.decompress(piece)
                piece = (self._frame.unused_data or b"") if self._frame.eof else b""


class _Plain:
    eof = True

    def decompress(self, data: bytes) -> Iterator[bytes]:
        yield data


def _decompressor(codec: str) -> _Frames | _Plain:
    match codec:
        case "gzip":
            return _Frames(lambda: _GZIP.decompressobj(wbits=31), 1 << 15)
        case "zstd":
            return _Frames(lambda: zstandard.ZstdDecompressor().decompressobj(), 1 << 10)
        case "lz4":
            return _Frames(lambda: cast(_Frame, lz4.frame.LZ4FrameDecompressor()), 1 << 14)
        case _:
            return _Plain()


def decompressed(name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The plain bytes of a file read in chunks.

    Raises:
        Fault: DATA when the codec finds damage or the file ends before the codec's end.
    """
    decompressor = _decompressor(codec_of(name))
    try:
        for chunk in chunks:
            yield from filter(None, decompressor.decompress(chunk))
    except (_GZIP_ERROR, zstandard.ZstdError, RuntimeError, EOFError):
        raise Fault(ExitCode.DATA, f"archive file {name} is damaged: it does not decompress") from None
    if not decompressor.eof:
        raise Fault(ExitCode.DATA, f"archive file {name} is cut: it ends before its compression does")


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _Identity:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


class _Lz4:
    def __init__(self) -> None:
        self._compressor = cast(Any, lz4.frame).LZ4FrameCompressor(content_checksum=True)
        self._begun = False

    def _head(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return self._compressor.begin()

    def compress(self, data: bytes, /) -> bytes:
        return self._head() + self._compressor.compress(data)

    def flush(self) -> bytes:
        return self._head() + self._compressor.flush()


def compressor(codec: str) -> _Compressor:
    """A fast compressor of a codec, each with its content checksum on."""
    match codec:
        case "gzip":
            # Of Intel's ISA-L: a quarter of zlib's time at its lowest level, and smaller files.
            return _GZIP.compressobj(level=1, wbits=31)
        case "zstd":
            return zstandard.ZstdCompressor(level=1, write_checksum=True).compressobj()
        case "lz4":
            return _Lz4()
        case _:
            return _Identity()


class DataFileReader:
    """Passes a file's bytes through and gathers facts on the way.

    Iterate it for the plain bytes of COPY data, less the end mark; `rows` are those up to there, and `facts` is there
    once it is exhausted.
    """

    def __init__(self, name: str, chunks: Iterable[bytes], *, copy_data: bool = True) -> None:
        self._name = name
        self._chunks = chunks
        self._copy_data = copy_data
        self._digest = hashlib.sha256()
        self._stored = 0
        self.rows = 0
        self._facts: DataFileFacts | None = None

    @property
    def facts(self) -> DataFileFacts:
        """What the read found; only after the last byte."""
        if self._facts is None:
            raise RuntimeError("the file has not been read to its end")
        return self._facts

    def _counted(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._digest.update(chunk)
            self._stored += len(chunk)
            yield chunk

    def __iter__(self) -> Iterator[bytes]:
        """The plain bytes.

        Raises:
            Fault: DATA when the file is damaged, cut, or lacks the mark that ends COPY data.
        """
        plain_bytes = 0
        tail = b""
        for plain in decompressed(self._name, self._counted()):
            plain_bytes += len(plain)
            if not self._copy_data:
                yield plain
                continue
            # What may be the end mark's waits.
            held = [tail, plain] if len(plain) >= len(_LINE_END) else [tail + plain]
            tail = held[-1][-len(_LINE_END) :]
            held[-1] = held[-1][: -len(_LINE_END)]
            for ready in filter(None, held):
                self.rows += ready.count(b"\n")
                yield ready
        if self._copy_data and tail == _LINE_END:
            self.rows += 1
            yield b"\n"
        self._finish(plain_bytes, self.rows, tail)

    def _finish(self, plain_bytes: int, rows: int, tail: bytes) -> None:
        if self._copy_data and tail not in (_LINE_END, COPY_END):
            raise Fault(ExitCode.DATA, f"archive file {self._name} is cut: the mark that ends its rows is missing")
        self._facts = DataFileFacts(self._stored, self._digest.hexdigest(), plain_bytes, rows if self._copy_data else 0)

    def read_through(self) -> DataFileFacts:
        """Read to the end for the facts alone: what iterating finds, but that no byte is copied."""
        plain_bytes = lines = 0
        tail = b""
        for plain in decompressed(self._name, self._counted()):
            plain_bytes += len(plain)
            if self._copy_data:
                lines += plain.count(b"\n")
                tail = (tail + plain[-len(_LINE_END) :])[-len(_LINE_END) :]
        self._finish(plain_bytes, lines - COPY_END.count(b"\n"), tail)
        return self.facts
