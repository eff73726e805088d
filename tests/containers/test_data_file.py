from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator

import pytest
from etl_runtime.contract import ExitCode
from etl_runtime.data_file import SUFFIXES, DataFileFacts, DataFileReader, codec_of, compressor, decompressed, stem
from etl_runtime.faults import Fault

from tests.containers.archive_bytes import COPY_END, packed

CODECS = tuple(SUFFIXES)
ROWS = b"1\tAda\n2\tGrace\n3\t\\N\n"


def _pieces(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def _reader(content: bytes, codec: str = "none", size: int = 1 << 20, *, copy_data: bool = True) -> DataFileReader:
    return DataFileReader(f"3341.dat{SUFFIXES[codec]}", _pieces(content, size), copy_data=copy_data)


def _refused(content: bytes, codec: str, size: int = 1 << 20) -> bool:
    fault: Fault
    try:
        _reader(content, codec, size).read_through()
    except Fault as stopped:
        fault = stopped
    else:
        return False
    assert fault.code == ExitCode.DATA
    assert f"3341.dat{SUFFIXES[codec]}" in fault.message
    return True


@pytest.mark.parametrize(
    ("name", "codec", "bare"),
    [
        ("3341.dat", "none", "3341.dat"),
        ("3341.dat.gz", "gzip", "3341.dat"),
        ("3341.dat.zst", "zstd", "3341.dat"),
        ("3341.dat.lz4", "lz4", "3341.dat"),
        ("blob_16401.dat.gz", "gzip", "blob_16401.dat"),
        ("blobs.toc", "none", "blobs.toc"),
    ],
)
def test_a_file_s_codec_is_told_by_its_suffix(name: str, codec: str, bare: str) -> None:
    assert (codec_of(name), stem(name)) == (codec, bare)


@pytest.mark.parametrize("size", [1, 3, 7, 1 << 20])
@pytest.mark.parametrize("codec", CODECS)
def test_a_whole_file_gives_its_rows_and_facts(codec: str, size: int) -> None:
    stored = packed(codec, ROWS + COPY_END)
    reader = _reader(stored, codec, size)
    assert b"".join(reader) == ROWS
    assert reader.facts == DataFileFacts(
        bytes=len(stored), sha256=hashlib.sha256(stored).hexdigest(), plain_bytes=len(ROWS) + 5, rows=3
    )
    assert _reader(stored, codec, size).read_through() == reader.facts


@pytest.mark.parametrize("codec", CODECS)
def test_an_empty_table_s_file_is_the_end_mark_alone(codec: str) -> None:
    reader = _reader(packed(codec, COPY_END), codec)
    assert b"".join(reader) == b""
    assert (reader.facts.rows, reader.facts.plain_bytes) == (0, 5)


@pytest.mark.parametrize("size", [1, 10, 1 << 20])
@pytest.mark.parametrize("codec", CODECS)
def test_a_file_of_several_frames_is_read_to_the_last(codec: str, size: int) -> None:
    reader = _reader(packed(codec, ROWS, b"", ROWS[:8], ROWS[8:] + COPY_END[:2], COPY_END[2:]), codec, size)
    assert b"".join(reader) == ROWS + ROWS
    assert reader.facts.rows == 6


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_cut_anywhere_is_refused(codec: str) -> None:
    stored = packed(codec, ROWS + COPY_END)
    accepted = [cut for cut in range(len(stored)) if not _refused(stored[:cut], codec)]
    assert accepted == []


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_cut_between_two_frames_is_refused(codec: str) -> None:
    assert _refused(packed(codec, ROWS), codec)


@pytest.mark.parametrize("codec", ["gzip", "zstd", "lz4"])
@pytest.mark.parametrize("size", [5, 1 << 20])
def test_bytes_after_the_last_frame_are_refused(codec: str, size: int) -> None:
    assert _refused(packed(codec, ROWS + COPY_END) + b"left over", codec, size)


@pytest.mark.parametrize("codec", ["gzip", "zstd", "lz4"])
def test_a_flipped_bit_is_refused_or_changes_no_row(codec: str) -> None:
    """A codec's own header has fields that no reader uses (gzip: time, system); the SHA-256 tells those."""
    content = b"".join(b"%d\tname %d\n" % (n, n * n) for n in range(40))
    stored = packed(codec, content + COPY_END)
    for position in range(len(stored)):
        for bit in range(8):
            damaged = bytearray(stored)
            damaged[position] ^= 1 << bit
            reader = _reader(bytes(damaged), codec)
            try:
                plain = b"".join(reader)
            except Fault as fault:
                assert fault.code == ExitCode.DATA  # noqa: PT017 - both outcomes are right
            else:
                assert plain == content
                assert reader.facts.sha256 != hashlib.sha256(stored).hexdigest()


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_of_no_bytes_is_refused(codec: str) -> None:
    assert _refused(b"", codec)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    "content",
    [
        ROWS,
        b"",
        ROWS + COPY_END[:-1],
        ROWS + COPY_END + b"\n",
        b"x" + COPY_END,
        ROWS + b"INSERT INTO x VALUES (1);\n\n\n",
    ],
)
def test_rows_without_their_end_mark_are_refused(codec: str, content: bytes) -> None:
    assert _refused(packed(codec, content), codec)


def test_a_value_that_looks_like_the_end_mark_does_not_end_the_rows() -> None:
    r"""A backslash and a dot are written `\\.`; with two empty rows after it, those are the mark's very bytes."""
    rows = b"1\n" + b"\\\\.\n\n\n"
    assert _refused(rows, "none")
    reader = _reader(rows + COPY_END)
    assert b"".join(reader) == rows
    assert reader.facts.rows == 4


@pytest.mark.parametrize("codec", CODECS)
def test_large_objects_are_passed_as_they_are(codec: str) -> None:
    content = bytes(range(256)) * 3
    reader = _reader(packed(codec, content), codec, 11, copy_data=False)
    assert b"".join(reader) == content
    assert (reader.facts.rows, reader.facts.plain_bytes) == (0, len(content))


def test_facts_are_there_only_after_the_last_byte() -> None:
    reader = _reader(ROWS + COPY_END, size=4)
    iterator = iter(reader)
    next(iterator)
    with pytest.raises(RuntimeError, match="has not been read to its end"):
        _ = reader.facts
    assert list(iterator)
    assert reader.facts.rows == 3


@pytest.mark.parametrize("codec", CODECS)
def test_what_the_compressor_makes_the_reader_reads(codec: str) -> None:
    made = compressor(codec)
    stored = (
        made.compress(ROWS) + made.compress(b"") + made.compress(ROWS * 1000) + made.compress(COPY_END) + made.flush()
    )
    reader = _reader(stored, codec, 100)
    assert b"".join(reader) == ROWS * 1001
    assert reader.facts.rows == 3003


@pytest.mark.parametrize("codec", CODECS)
def test_a_compressor_that_was_given_nothing_makes_a_readable_file(codec: str) -> None:
    assert b"".join(decompressed(f"1.dat{SUFFIXES[codec]}", [compressor(codec).flush()])) == b""


@pytest.mark.parametrize("codec", ["gzip", "zstd", "lz4"])
def test_a_frame_that_holds_a_thousand_times_its_size_does_not_fill_the_memory(codec: str) -> None:
    made = compressor(codec)
    stored = b"".join(made.compress(bytes(1 << 22)) for _ in range(32)) + made.flush()
    del made
    tracemalloc.start()
    try:
        size = sum(len(piece) for piece in decompressed(f"blob_1.dat{SUFFIXES[codec]}", [stored]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 128 << 20
    assert peak < 80 << 20
