"""COPY text cut into pieces of whole rows, so that a table can be worked on in parallel and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault

SEGMENT_BYTES = 1 << 20
"""A piece's least size; the cuts depend on the text alone, so the same rows make the same files each time."""

MOST_ROW_BYTES = 512 << 20
"""The longest row of COPY text that is taken.

A row is held whole: it costs a transform and its scratch up to six times its bytes, which is what a pod of 4 GiB, the
default, has. The server itself takes and gives rows of up to 1 GiB (`MaxAllocSize` in memutils.h, the limit of
`CopyReadLine`'s buffer); a bytea of more than 512 MiB, whose text is twice as long, cannot be dumped at all.
"""


def of_bounded_rows(text: Iterable[bytes], told: str, most: int = MOST_ROW_BYTES) -> Iterator[bytes]:
    """The text as it comes, as long as no row of it is longer than may be held: a MiB of gzip can be a line of a GiB.

    Args:
        text: Rows in chunks of `most` bytes or less, cut anywhere.
        told: What the text is, for people.
        most: Bytes of a row, less its line end.

    Raises:
        Fault: DATA at the first chunk with which a row is too long.
    """
    begun = 0
    for chunk in text:
        end = chunk.find(b"\n")
        if begun + (len(chunk) if end < 0 else end) > most:
            raise Fault(
                ExitCode.DATA,
                f"{told} has a row of more than {most >> 20} MiB, and a row is held in memory: make it smaller at its "
                "source, or truncate the table",
            )
        begun = begun + len(chunk) if end < 0 else len(chunk) - chunk.rindex(b"\n") - 1
        yield chunk


def segments(text: Iterable[bytes], least: int = SEGMENT_BYTES) -> Iterator[bytes]:
    """Pieces of at least `least` bytes (the last one may be smaller), each ending behind a row.

    What is held is one piece, and so one row at least: see `of_bounded_rows`.

    Args:
        text: The rows in chunks, cut anywhere; the last one ends with a line end.
        least: In bytes.
    """
    held: list[bytes] = []
    size = 0
    for chunk in text:
        begin = 0
        while end := chunk.find(b"\n", begin + max(0, least - 1 - size)) + 1:
            held.append(chunk[begin:end])
            yield b"".join(held)
            held, size, begin = [], 0, end
        if begin < len(chunk):
            held.append(chunk[begin:])
            size += len(chunk) - begin
    if size:
        yield b"".join(held)


_SEPARATORS = bytes.maketrans(b"\t\n\r\\", b"    ")
_OVERLAP = 1 << 16


def as_fields(content: Iterable[bytes], least: int = SEGMENT_BYTES) -> Iterator[bytes]:
    """Bytes that are no rows as rows of one field, with their words left as they are.

    A piece begins with the end of the one before, so that what lies across a cut is whole in one of them.
    """
    held = b""
    for chunk in content:
        held += chunk
        if len(held) >= least:
            yield held.translate(_SEPARATORS) + b"\n"
            held = held[-_OVERLAP:]
    yield held.translate(_SEPARATORS) + b"\n"
