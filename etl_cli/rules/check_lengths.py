"""How long what an expression gives can be, beside what its column takes: a load would fail at the first row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from operator import add
from typing import Any, Final

from pglast import ast

from etl_cli.rules.expressions import last_name, operator, parsed, scrub_function, whole_number
from etl_cli.rules.findings import Finding
from etl_cli.rules.inspection import Inspection

_BOUNDED: Final = re.compile(r"character(?: varying)?\((\d+)\)")
_TEXTS: Final = frozenset({"text", "citext", "varchar", "bpchar"})


@dataclass(frozen=True, slots=True)
class Length:
    """Characters, from `least` to `most`; an empty text stays empty and is none of these."""

    least: int
    most: int

    def cut(self, most: int) -> Length:
        """That of the first so many characters."""
        return Length(min(self.least, most), min(self.most, most))


LENGTHS: Final[Mapping[str, Length]] = {
    "address": Length(23, 39),
    "company": Length(21, 33),
    "email": Length(44, 44),
    "person_name": Length(14, 25),
    "person_name_unique": Length(47, 58),
    "phone": Length(11, 15),
    "phone_unique": Length(32, 36),
    "postcode": Length(8, 8),
    "url": Length(52, 52),
    "uuid": Length(36, 36),
}
"""What the `scrub` functions give that do not go by the length of what they are given, as etl_runtime/sql says."""
LEAST_FITTED: Final = {"email": 28, "person_name_unique": 20, "url": 36}
"""Functions that can be told how many characters there are, and how few these may be."""
_LEAST_TOKEN: Final = 16


def check_lengths(inspection: Inspection) -> Iterator[Finding]:
    """Expressions that give more characters than a column takes: always, or of some rows."""
    for table in inspection.kept:
        for name, (column, rule) in table.changed.items():
            room = room_of(inspection.schema.base_type(column.type))
            if room is None or rule.kind != "expression":
                continue
            node = parsed(rule.expression)
            length = _length(node, name, room)
            if length is None or length.most <= room:
                continue
            is_certain = length.least > room
            text = f"is given {'' if is_certain else 'up to '}{length.most} characters and takes {room}"
            finding = inspection.error if is_certain else inspection.warning
            yield finding("length", rule.line, f"{table.table.name}.{name}", text + _advice(node, room))


def _length(node: Any, column: str, room: int) -> Length | None:
    """The length of what an expression gives; None where it cannot be told."""
    found: Length | None = None
    match node:
        case ast.A_Const():
            text = "" if node.isnull else getattr(node.val, "sval", None)
            found = None if text is None else Length(len(text), len(text))
        case ast.ColumnRef():
            found = Length(0, room) if last_name(node) == column else None
        case ast.TypeCast():
            found = _of_cast(node, column, room)
        case ast.CoalesceExpr():
            found = _joined([_length(part, column, room) for part in node.args or ()], max)
        case ast.A_Expr() if operator(node) == "||":
            found = _joined([_length(side, column, room) for side in (node.lexpr, node.rexpr)], add)
        case ast.FuncCall():
            found = length_of_call(node, column, room)
        case _:
            pass
    return found


def _joined(parts: list[Length | None], join: Callable[[int, int], int]) -> Length | None:
    found: Length | None = Length(0, 0)
    for part in parts:
        found = part and found and Length(join(found.least, part.least), join(found.most, part.most))
    return found


def _of_cast(node: ast.TypeCast, column: str, room: int) -> Length | None:
    inner, target = _length(node.arg, column, room), node.typeName
    names = [part.sval for part in (target.names or ())] if target else []
    if inner is None or not names or names[-1] not in _TEXTS:
        return None
    limit = whole_number(target.typmods[0]) if target and target.typmods else 0
    return inner.cut(limit) if limit else inner


def length_of_call(node: ast.FuncCall, column: str, room: int) -> Length | None:
    """The length of what a call gives; None where it cannot be told.

    Args:
        node: The call.
        column: That the expression is for.
        room: How many characters it takes.
    """
    name, arguments = scrub_function(node), list(node.args or ())
    number = whole_number(arguments[1]) if len(arguments) > 1 else 0
    if [part.sval for part in node.funcname or ()] == ["left"] and number > 0:
        inner = _length(arguments[0], column, room)
        return inner and inner.cut(number)
    if name == "token" and number:
        return Length(number, number)
    found = LENGTHS.get(name)
    if found and name in LEAST_FITTED and number:
        # Digits come in pairs: one character may be left.
        return Length(min(found.least, number - 1), min(found.most, number))
    return found


def _advice(node: Any, room: int) -> str:
    """What fits, in place of one function's call."""
    if isinstance(node, ast.TypeCast):
        return _advice(node.arg, room)
    fits = fitted(scrub_function(node), "…", room) if isinstance(node, ast.FuncCall) else ""
    return fits and f": {fits} fits"


def fitted(name: str, value: str, room: int) -> str:
    """A call that gives no more characters than there is room for, and keeps what is different so; "" for none.

    Args:
        name: Of the function that gives too many, without the schema.
        value: What it is given, as SQL.
        room: Characters.
    """
    if name in LEAST_FITTED and room >= LEAST_FITTED[name]:
        return f"scrub.{name}({value}, {room})"
    return f"scrub.token({value}, {min(room, 32)})" if name and room >= _LEAST_TOKEN else ""


def room_of(base_type: str) -> int | None:
    """How many characters a type takes; None for as many as there are."""
    bound = _BOUNDED.fullmatch(base_type)
    return int(bound[1]) if bound else None
