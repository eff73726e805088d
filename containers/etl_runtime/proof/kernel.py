"""The proof's loops over every byte, compiled, on numpy's arrays.

Every digest is 64 bits under a key of the run's own, and never 0: that stands for NULL.
"""

from __future__ import annotations

import ctypes
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.json_path import PathStep, Step
from etl_runtime.kernel_library import I64, POINTER, SIZE, U64, Numbers, Signatures, kernel_library

Digests = NDArray[np.uint64]
MOST_TOKENS = 4096
MOST_STATES = 512
"""Of all paths of one column together: as many as they have steps, and one a path."""


class _Segment(ctypes.Structure):
    _fields_ = [("text", POINTER), ("ends", POINTER), ("rows", SIZE), ("columns", SIZE)]


class _Step(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int32), ("number", ctypes.c_int32), ("name", ctypes.c_char_p), ("size", SIZE)]


class _Paths(ctypes.Structure):
    _fields_ = [("steps", POINTER), ("count", SIZE)]


class _Filter(ctypes.Structure):
    _fields_ = [("words", POINTER), ("blocks", U64)]


_SIGNATURES: Signatures = {
    "etl_fields": (I64, [POINTER, SIZE, SIZE, POINTER, SIZE]),
    "etl_digests": (None, [POINTER, SIZE, ctypes.c_int, U64, POINTER, POINTER]),
    "etl_mix": (None, [POINTER, POINTER, SIZE, POINTER]),
    "etl_free": (None, [POINTER]),
    "etl_key_size": (SIZE, []),
    "etl_key": (None, [POINTER, U64, U64, U64]),
    "etl_filter_add": (None, [POINTER, POINTER, SIZE]),
    "etl_filter_held": (SIZE, [POINTER, POINTER, SIZE, POINTER]),
    "etl_collect": (
        I64,
        [POINTER, SIZE, ctypes.c_int, POINTER, POINTER, U64, POINTER, SIZE, *[POINTER] * 5],
    ),
    "etl_scan": (I64, [POINTER, POINTER, POINTER, SIZE, POINTER, POINTER]),
}


_C = kernel_library(_SIGNATURES)


class Key:
    """A run's own key; no two runs' digests have anything to do with one another.

    Args:
        seed: Three numbers of 64 bits; random ones unless a test wants the same again.
    """

    def __init__(self, seed: tuple[int, int, int] | None = None) -> None:
        a, b, base = seed or (secrets.randbits(64), secrets.randbits(64), secrets.randbits(64))
        self._memory = ctypes.create_string_buffer(_C.etl_key_size())
        _C.etl_key(self._memory, a, b, base)

    @property
    def pointer(self) -> Any:
        """For the kernel."""
        return self._memory


class Units(IntEnum):
    """What of a value is looked for: all of it, each element of an array, or the leaves of a JSON document."""

    WHOLE = 0
    ELEMENTS = 1
    LEAVES = 2


_KINDS = {
    Step.KEY: 1,
    Step.ANY_KEY: 2,
    Step.ANY_ELEMENT: 3,
    Step.ELEMENT: 4,
    Step.DESCEND: 5,
}


class JsonPaths:
    """Paths as the kernel wants them.

    Args:
        paths: The steps of each.

    Raises:
        Fault: CONFIG when there are more steps than it can hold.
    """

    def __init__(self, paths: Sequence[Sequence[PathStep]]) -> None:
        steps: list[_Step] = []
        for path in paths:
            for step in path:
                name = json.dumps(step.name, ensure_ascii=False)[1:-1].encode("utf-8", "surrogateescape")
                steps.append(_Step(_KINDS[step.kind], step.index, name, len(name)))
            steps.append(_Step(6, 0, None, 0))
        if len(steps) > MOST_STATES:
            raise Fault(ExitCode.CONFIG, f"JSON paths of one column may have {MOST_STATES} steps in all; name fewer")
        self._steps = (_Step * len(steps))(*steps)
        self._paths = _Paths(ctypes.cast(self._steps, POINTER), len(steps))

    @property
    def pointer(self) -> Any:
        """For the kernel."""
        return ctypes.byref(self._paths)


class Filter:
    """A Bloom filter for about `expected` digests, of at most `most_bytes` bytes."""

    def __init__(self, expected: int, most_bytes: int = 32 << 20) -> None:
        blocks = 1
        while blocks * 64 < min(2 * expected, most_bytes):
            blocks *= 2
        self._words = np.zeros(blocks * 8, np.uint64)
        self._filter = _Filter(self._words.ctypes.data, blocks)

    @property
    def pointer(self) -> Any:
        """For the kernel."""
        return ctypes.byref(self._filter)

    def add(self, digests: Digests) -> None:
        """Put digests in; not while another thread looks."""
        digests = np.ascontiguousarray(digests)
        _C.etl_filter_add(self.pointer, digests.ctypes.data, digests.size)

    def held(self, digests: Digests) -> Digests:
        """Those of the digests that it may hold; NULL it never does."""
        found = np.empty_like(digests)
        count = _C.etl_filter_held(self.pointer, digests.ctypes.data, digests.size, found.ctypes.data)
        return found[:count].copy()


@dataclass(frozen=True, slots=True)
class Collected:
    """Digests of a column's units, and of the runs of words that units are looked for by in every place."""

    units: Digests
    grams: Digests
    starts: Digests


class Segment:
    """Whole rows of COPY text.

    Args:
        text: The rows, each with its line end.
        columns: How many each has.
        what: What to call the rows in a fault.

    Raises:
        Fault: DATA when a row has another number of fields.
    """

    def __init__(self, text: bytes, columns: int, what: str) -> None:
        # Memory that is not written to is none: to count the fields first would cost more.
        self._ends = np.empty(len(text), np.uint32)
        rows = _C.etl_fields(text, len(text), max(columns, 1), self._ends.ctypes.data, len(text))
        if rows < 0:
            raise Fault(ExitCode.DATA, f"{what}: a row has not the {columns} fields that its table has columns")
        self.text = text
        self.rows = int(rows)
        self.columns = columns
        address = ctypes.cast(ctypes.c_char_p(text), POINTER).value
        self._segment = _Segment(address, self._ends.ctypes.data, rows, max(columns, 1))

    @property
    def pointer(self) -> Any:
        """For the kernel."""
        return ctypes.byref(self._segment)

    def digests(self, column: int, key: Key, *, domain: int = 0, trimmed: bool = False) -> Digests:
        """One digest a row of a column's fields as they stand; 0 for NULL."""
        found = np.empty(self.rows, np.uint64)
        _C.etl_digests(self.pointer, column, trimmed, domain, key.pointer, found.ctypes.data)
        return found

    def tuples(self, columns: Sequence[tuple[int, bool]], key: Key) -> Digests:
        """One digest a row of several columns together (each: number, whether blanks at its end do not count).

        0 where one of them is NULL, as a foreign key and a unique index have it.
        """
        (first, trimmed), *others = columns
        digests = self.digests(first, key, trimmed=trimmed)
        for column, trim in others:
            more = self.digests(column, key, trimmed=trim)
            _C.etl_mix(digests.ctypes.data, more.ctypes.data, digests.size, key.pointer)
        return digests

    def collect(
        self,
        column: int,
        key: Key,
        units: Units,
        *,
        domain: int,
        paths: JsonPaths | None = None,
        row_digests: Digests | None = None,
        constants: Digests | None = None,
        lengths: NDArray[np.uint8] | None = None,
    ) -> Collected:
        """A column's units.

        Args:
            column: Its number.
            key: The run's.
            units: What of each value.
            domain: A number of the column's own.
            paths: For `Units.LEAVES`.
            row_digests: One a row, where a unit is one of its row alone.
            constants: Units' digests that are passed over, made with the same domain.
            lengths: Of `MOST_TOKENS` + 1: marked at the number of words of each gram; without it none are made.

        Raises:
            Fault: DATA where a document is not JSON; OS when there is no memory.
        """
        found = [Numbers(), Numbers(), Numbers()]
        fixed = constants if constants is not None else np.empty(0, np.uint64)
        result = _C.etl_collect(
            self.pointer,
            column,
            units,
            paths.pointer if paths else None,
            None if row_digests is None else row_digests.ctypes.data,
            domain,
            fixed.ctypes.data,
            fixed.size,
            ctypes.byref(found[0]),
            None if lengths is None else ctypes.byref(found[1]),
            ctypes.byref(found[2]),
            None if lengths is None else lengths.ctypes.data,
            key.pointer,
        )
        collected = Collected(*map(_taken, found))
        if result == -1:
            raise MemoryError
        if result < -1:
            raise Fault(ExitCode.DATA, "a value of a JSON column is no JSON, so it cannot be proved")
        return collected

    def scan(self, held_in: Filter, lengths: NDArray[np.uint16], key: Key) -> tuple[Digests, NDArray[np.uint64]]:
        """Runs of words of any value that a filter may hold: their digests, and the number of each one's column.

        Args:
            held_in: Holds grams and their starts.
            lengths: Of the grams, in words, ascending.
            key: The run's.
        """
        found = Numbers()
        result = _C.etl_scan(
            self.pointer,
            held_in.pointer,
            lengths.ctypes.data,
            lengths.size,
            ctypes.byref(found),
            key.pointer,
        )
        pairs = _taken(found)
        if result < 0:
            raise MemoryError
        return pairs[0::2].copy(), pairs[1::2].copy()


def _taken(found: Numbers) -> Digests:
    """The list's numbers, its memory given back."""
    if not found.data:
        return np.empty(0, np.uint64)
    view = np.ctypeslib.as_array(ctypes.cast(found.data, ctypes.POINTER(U64)), (found.size,))
    copied = view.copy()
    _C.etl_free(found.data)
    return copied
