"""COPY text cut into pieces of whole rows, so that a table can be worked on in parallel and in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

SEGMENT_BYTES = 4 << 20
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
