"""A table whose rows are cleaned by compiled functions: they never pass the scratch database but for odd ones."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from etl_runtime.compiled_expressions import CompiledExpression, CRule, NotCompiledError, compiled_expression
from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.kernel_library import I64, POINTER, SIZE, Numbers, kernel_library
from etl_runtime.proof.kernel import Segment
from etl_runtime.table_shape import ColumnShape, TableShape

COMPARED_ROWS = 256
"""Of a table's first segment, which are cleaned by both and must be the same."""


class _Bytes(ctypes.Structure):
    _fields_ = [("at", POINTER), ("size", SIZE), ("room", SIZE), ("failed", ctypes.c_int)]


class _Cleaned(ctypes.Structure):
    _fields_ = [("rows", _Bytes), ("declined", Numbers)]


_C = kernel_library(
    {
        "etl_clean": (I64, [POINTER, POINTER, SIZE, POINTER, POINTER]),
        "etl_free": (None, [POINTER]),
        "etl_keyring_size": (SIZE, []),
        "etl_keyring": (None, [POINTER, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p]),
    }
)


class Keyring:
    """The pseudonyms' key as the compiled functions want it.

    Args:
        inner_pad: Of HMAC, a block of 64 bytes.
        outer_pad: The same.
        round_key: Of the permutations, 32 bytes.
    """

    def __init__(self, inner_pad: bytes, outer_pad: bytes, round_key: bytes) -> None:
        self.memory = ctypes.create_string_buffer(_C.etl_keyring_size())
        _C.etl_keyring(self.memory, inner_pad, outer_pad, round_key)


class CompiledTable:
    """Cleans segments of one table; in any thread.

    Args:
        shape: The table's.
        encoding: Of the archive's text.
        keyring: The pseudonyms'.
        constant: Evaluates an expression that looks at no column: a row of COPY text; None where it needs one.

    Raises:
        NotCompiledError: a part of what happens to it takes the database; the message says which.
    """

    def __init__(
        self,
        shape: TableShape,
        encoding: str,
        keyring: Keyring,
        constant: Callable[[ColumnShape, str], bytes | None],
    ) -> None:
        if shape.table.rule.where:
            raise NotCompiledError("it has a row filter")
        if encoding != "UTF8":
            raise NotCompiledError(f"the archive is in {encoding}")
        if checks := [condition.told for condition in shape.conditions if not condition.is_not_null]:
            raise NotCompiledError(f"cleaned rows are held to {checks[0]}")
        self._shape = shape
        self._keyring = keyring
        self._expressions: list[CompiledExpression] = []
        for name, rule in shape.table.columns:
            if rule.is_computed:
                try:
                    self._expressions.append(compiled_expression(shape, name, rule, constant))
                except NotCompiledError as error:
                    raise NotCompiledError(f"{name}: {error}") from None
        self._rules = (CRule * len(self._expressions))(*(expression.rule for expression in self._expressions))

    def cleaned(self, segment: Segment, by_database: Callable[[bytes], bytes]) -> bytes:
        """The cleaned rows of a segment of original ones.

        Args:
            segment: The rows.
            by_database: Cleans rows that a compiled function declines: of a spelling that it does not know, or which
                the database will refuse.

        Raises:
            Fault: whatever `by_database` raises.
        """
        out = _Cleaned()
        try:
            done = _C.etl_clean(segment.pointer, self._rules, len(self._rules), self._keyring.memory, ctypes.byref(out))
            if done < 0:
                raise MemoryError
            rows = ctypes.string_at(out.rows.at, out.rows.size) if out.rows.size else b""
            numbers = ctypes.cast(out.declined.data, ctypes.POINTER(ctypes.c_uint64))[: out.declined.size]
        finally:
            _C.etl_free(out.rows.at)
            _C.etl_free(out.declined.data)
        return rows if not numbers else self._merged(segment, rows, numbers, by_database)

    def _merged(
        self, segment: Segment, rows: bytes, numbers: list[int], by_database: Callable[[bytes], bytes]
    ) -> bytes:
        """The rows with those that were declined in their places; of each: its start, its end, what was before it."""
        declined = b"".join(map(segment.text.__getitem__, map(slice, numbers[::3], numbers[1::3])))
        made = by_database(declined).removesuffix(b"\n").split(b"\n")
        parts: list[bytes] = []
        written = 0
        for before, row in zip(numbers[2::3], made, strict=True):
            parts += [rows[written:before], row, b"\n"]
            written = before
        return b"".join([*parts, rows[written:]])

    def compare(self, segment: Segment, by_database: Callable[[bytes], bytes]) -> None:
        """Hold the first rows of a segment against what the database makes of them.

        Raises:
            Fault: SOFTWARE, naming the column, when they differ; whatever `by_database` raises.
        """
        text = _first_rows(segment.text, COMPARED_ROWS)
        first = Segment(text, segment.columns, f"the file of {self._shape.table.name}")
        ours, theirs = self.cleaned(first, by_database), by_database(text)
        targets = [int(expression.rule.target) for expression in self._expressions]
        rows = zip(ours.split(b"\n"), theirs.split(b"\n"), strict=False)
        if ours.count(b"\n") != theirs.count(b"\n"):
            raise self._differs("its rows")
        for mine, other in rows:
            fields, others = mine.split(b"\t"), other.split(b"\t")
            for target in targets:
                if mine and fields[target] != others[target]:
                    raise self._differs(self._shape.table.entry.columns[target])

    def _differs(self, what: str) -> Fault:
        return Fault(
            ExitCode.SOFTWARE,
            f"{self._shape.table.name}: the compiled function and the SQL differ about {what}, which is a fault of this"
            " program; put the expression in brackets, so that the SQL is used, and report it",
        )


def _first_rows(text: bytes, most: int) -> bytes:
    end = 0
    for _ in range(most):
        found = text.find(b"\n", end)
        if found < 0:
            break
        end = found + 1
    return text[:end]
