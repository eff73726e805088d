"""COPY text cut into pieces of whole rows, so that a table can be worked on in parallel and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

SEGMENT_BYTES = 1 << 20
"""A piece's least size; the cuts depend on the text alone, so the same rows make the same files each time."""


def segments(text: Iterable[bytes], least: int = SEGMENT_BYTES) -> Iterator[bytes]:
    """Pieces of at least `least` bytes (the last one may be smaller), each ending behind a row.

    Args:
        text: The rows in chunks, cut anywhere; the last one ends with a line end.
        least: In bytes.
    """
    held: list[bytes] = []
    size = 0
    for chunk in text:
        held.append(chunk)
        size += len(chunk)
        while size >= least:
            joined = b"".join(held)
            end = joined.find(b"\n", least - 1) + 1
            if not end:
                held = [joined]
                break
            yield joined[:end]
            held, size = [joined[end:]], len(joined) - end
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
