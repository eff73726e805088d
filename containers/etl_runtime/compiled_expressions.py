"""The expressions of columns.yaml that need no Postgres: calls of scrub functions that are compiled, and constants.

A compiled function (`kernel/texts.c`, `kernel/values.c`) gives the bytes that the SQL of its name gives. An expression
of any other form is left to the scratch database; so is every expression of its table, which passes it anyway.
"""

from __future__ import annotations

import ctypes
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from etl_runtime.json_path import Step, json_path_steps
from etl_runtime.kernel_library import I64, POINTER, SIZE, kernel_library
from etl_runtime.rules import ColumnRule, PathRule
from etl_runtime.table_shape import ColumnShape, TableShape

_NAME = r'[A-Za-z_][A-Za-z0-9_$]*|"(?:[^"]|"")+"'
_NUMBER = r"-?[0-9]{1,19}"
_CALL = re.compile(
    rf"scrub\.(?P<function>[a-z_]+)\(\s*(?P<value>{_NAME})(?P<cast>::text)?\s*"
    rf"(?:,\s*(?P<key>{_NAME})(?P<key_cast>::text)?\s*)?"
    rf"(?:,\s*(?P<first>{_NUMBER})\s*)?(?:,\s*(?P<second>{_NUMBER})\s*)?\)"
)
_CONSTANT = re.compile(r"(?i:null|true|false)|-?[0-9]+(?:\.[0-9]+)?|'(?:[^']|'')*'")
_NO_COLUMNS = re.compile(
    "current_(?:catalog|date|role|schema|time|timestamp|user)|localtime|localtimestamp|(?:session_|system_)?user|default"
    "|null|true|false"
)
"""Words that SQL does not take for a column, where a column of the name is not in quotes."""
_TEXTS = ("text", "character varying")
_INTEGERS = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
_MOMENTS = {"date": "date", "timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz"}
_HAVE_TEXT = (*_TEXTS, *_INTEGERS, "uuid")
"""Types whose values in an archive are what a cast to text gives."""
_IN_COLUMNS, _IN_DOCUMENTS = 1, 2
_FUNCTION, _DOCUMENT, _CONSTANT_KIND = 0, 1, 2
_KEYS, _ELEMENTS, _LEAVES = 0, 1, 2


class NotCompiledError(Exception):
    """An expression that only the database can evaluate; the message says which and why."""


class CRule(ctypes.Structure):
    """`rule` of kernel/clean.c."""

    _fields_ = [
        ("kind", ctypes.c_int32),
        ("target", ctypes.c_int32),
        ("source", ctypes.c_int32),
        ("key", ctypes.c_int32),
        ("most", I64),
        ("not_null", I64),
        ("low", I64),
        ("high", I64),
        ("function", POINTER),
        ("nodes", POINTER),
        ("constant", ctypes.c_char_p),
        ("size", SIZE),
    ]


class CNode(ctypes.Structure):
    """`node` of kernel/documents.h."""

    _fields_ = [
        ("kind", ctypes.c_int32),
        ("below", ctypes.c_int32),
        ("next", ctypes.c_int32),
        ("key", ctypes.c_char_p),
        ("size", SIZE),
        ("function", POINTER),
    ]


_C = kernel_library({"etl_function": (POINTER, [ctypes.c_char_p, ctypes.c_int, I64])})


def _function(name: str, place: int, low: int = 0) -> int:
    """Where a compiled function is.

    Raises:
        NotCompiledError: there is none of the name, or it does not take the number.
    """
    found = _C.etl_function(name.encode(), place, low)
    if not found:
        raise NotCompiledError(f"scrub.{name.partition('/')[0]} with such arguments is not compiled")
    return int(found)


@dataclass(frozen=True, slots=True)
class CompiledExpression:
    """What the kernel is told of one column, and the memory that this points into."""

    rule: CRule
    memory: object = None


def compiled_expression(
    shape: TableShape, name: str, rule: ColumnRule, constant: Callable[[ColumnShape, str], bytes | None]
) -> CompiledExpression:
    """One column's expression for the kernel.

    Args:
        shape: Of its table.
        name: The column.
        rule: An expression or the paths of a document.
        constant: Evaluates an expression that looks at no column: a row of COPY text.

    Raises:
        NotCompiledError: it takes the database.
    """
    target, number = shape.columns[name], shape.table.entry.columns.index(name)
    compiled = CRule(target=number, most=-1, not_null=target.not_null)
    if rule.kind == "json":
        return _document(compiled, target, rule.paths)
    text = rule.expression.strip()
    if _CONSTANT.fullmatch(text):
        made = constant(target, text)
        if made is None or (target.not_null and made == b"\\N\n"):
            raise NotCompiledError(f"{text} does not fit it")
        compiled.kind, compiled.constant, compiled.size = _CONSTANT_KIND, made[:-1], len(made) - 1
        return CompiledExpression(compiled)
    call = _CALL.fullmatch(text)
    if call is None:
        raise NotCompiledError("it is no plain call of a scrub function")
    _call(compiled, target, shape, call)
    return CompiledExpression(compiled)


def _column(shape: TableShape, written: str) -> ColumnShape:
    if written.startswith('"'):
        name = written[1:-1].replace('""', '"')
    else:
        name = written.lower()
        if _NO_COLUMNS.fullmatch(name):
            raise NotCompiledError(f"{written} is no column")
    if name not in shape.table.entry.columns:
        raise NotCompiledError(f"{written} is not in the archive")
    return shape.columns[name]


def _call(compiled: CRule, target: ColumnShape, shape: TableShape, call: re.Match[str]) -> None:
    columns = shape.table.entry.columns
    source, name = _column(shape, call["value"]), call["function"]
    key = _column(shape, call["key"]) if call["key"] else source
    numbers = [int(call[group]) for group in ("first", "second") if call[group]]
    if any(not -(2**63) <= number < 2**63 for number in numbers):
        raise NotCompiledError("a number of it has more than 64 bits")
    compiled.source, compiled.key = columns.index(source.name), columns.index(key.name)
    is_text = _is_text(source) or (call["cast"] and source.type in _HAVE_TEXT)
    if call["key"]:
        key_is_text = _is_text(key) or (call["key_cast"] and key.type in _HAVE_TEXT)
        if name != "date_shift" or not key_is_text or call["cast"] or len(numbers) != 1:
            raise NotCompiledError("it takes other arguments")
        name = f"{name}/{_MOMENTS.get(source.type, '')}"
        same = source.type == target.type
    elif is_text:
        name, same = f"{name}/{len(numbers)}" if numbers else name, _is_text(target) and len(numbers) < 2
        compiled.most = target.modifier - 4 if target.modifier >= 0 else -1
    elif source.type in _INTEGERS and not call["cast"] and len(numbers) in (0, 2):
        same, name = source.type == target.type, f"{name}/2" if numbers else f"{name}/integer"
        numbers = numbers or [0, _INTEGERS[source.type]]
        same = same and numbers[1] <= _INTEGERS[source.type] and numbers[0] >= -_INTEGERS[source.type] - 1
    else:
        same, name = source.type == target.type and not numbers and not call["cast"], f"{name}/{source.type}"
    if not same:
        raise NotCompiledError(f"it makes {target.type} of {source.type}")
    compiled.low, compiled.high = (*numbers, 0, 0)[:2]
    compiled.function = _function(name, _IN_COLUMNS, compiled.low)


def _is_text(column: ColumnShape) -> bool:
    return column.type.partition("(")[0] in _TEXTS


def _document(compiled: CRule, target: ColumnShape, paths: Mapping[str, PathRule]) -> CompiledExpression:
    if target.type != "jsonb":
        raise NotCompiledError(f"it is of type {target.type}")
    nodes = [CNode(kind=-1)]
    for path, rule in paths.items():
        _grow(nodes, path, _function(rule.function.removeprefix("scrub."), _IN_DOCUMENTS))
    compiled.kind, compiled.source = _DOCUMENT, compiled.target
    compiled.key = compiled.target
    held = (CNode * len(nodes))(*nodes)
    compiled.nodes = ctypes.addressof(held)
    return CompiledExpression(compiled, (held, nodes))


def _grow(nodes: list[CNode], path: str, function: int) -> None:
    """Put a path into the tree of nodes: below each there are keys, or elements, or it is a leaf; no two of them."""
    at = 0
    for step in json_path_steps(path):
        if step.kind not in (Step.KEY, Step.ANY_ELEMENT):
            raise NotCompiledError(f"{path} has a step that is not compiled")
        kind = _KEYS if step.kind is Step.KEY else _ELEMENTS
        key = json.dumps(step.name, ensure_ascii=False)[1:-1].encode("utf-8", "surrogateescape")
        at = _below(nodes, at, kind, key, path)
    if nodes[at].kind != -1:
        raise NotCompiledError(f"{path} overlaps another path")
    nodes[at].kind, nodes[at].function = _LEAVES, function


def _below(nodes: list[CNode], at: int, kind: int, key: bytes, path: str) -> int:
    """The node that a step leads to, made where it is not there yet."""
    if nodes[at].kind not in (-1, kind):
        raise NotCompiledError(f"{path} overlaps another path")
    nodes[at].kind = kind
    for number in _beside(nodes, nodes[at].below):
        if nodes[number].key == key:
            return number
    nodes.append(CNode(kind=-1, next=nodes[at].below, key=key, size=len(key)))
    nodes[at].below = len(nodes) - 1
    return len(nodes) - 1


def _beside(nodes: Sequence[CNode], number: int) -> list[int]:
    found: list[int] = []
    while number:
        found.append(number)
        number = nodes[number].next
    return found
