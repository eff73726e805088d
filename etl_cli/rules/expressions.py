"""What an expression of the rules is, read by Postgres's own parser: a constant, a function of its column, or more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from pglast import ast, parse_sql
from pglast.parser import ParseError
from pglast.stream import RawStream

ONE_TO_ONE: Final = frozenset(
    {"card_number", "digits", "email", "hmac", "iban", "id", "person_name_unique", "phone_unique", "url", "uuid"}
)
"""The `scrub` functions that give different inputs different outputs, as the files in etl_runtime/sql say."""
LEAST_LENGTH: Final = {"token": 16, "bytes": 8, "hex": 8}
"""Those that do from so many digits or bytes of a digest on."""
MANY_TO_ONE: Final = {
    "address": "",
    "company": "",
    "date_shift": "",
    "ip": "",
    "mac": "",
    "noise": "",
    "person_name": "scrub.person_name_unique",
    "phone": "scrub.phone_unique",
    "postcode": "",
    "redact": "",
    "text": "",
}
"""Those that do not, each with the one that does where there is one."""
_VALUE_AT: Final = {"hmac": 1}
"""Which argument is the value, where the first is not."""
_ITSELF: Final = "itself"


class Spread(Enum):
    """Whether different rows keep different values."""

    ONE_TO_ONE = auto()
    MANY_TO_ONE = auto()
    CONSTANT = auto()
    NULL = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression over the row of a table.

    Attributes:
        spread: of what it gives, where its column's own values are different.
        function: the `scrub` function that decides it, without the schema; or nothing.
        form: its text with its column's name taken out and casts to text passed over: equal for equal treatment.
    """

    spread: Spread
    function: str
    form: str


def read_expression(text: str, column: str) -> Expression | None:
    """The expression that stands as the rule of a column; None where Postgres's grammar does not take it."""
    node = parsed(text)
    if node is None:
        return None
    spread, function = _spread(node, column)
    return Expression(spread, function, _form(node, column))


def tables_named(text: str) -> tuple[str, ...]:
    """The tables that an expression names in queries of its own."""
    found = (node for node in nodes(parsed(text)) if isinstance(node, ast.RangeVar))
    return tuple(sorted({".".join(filter(None, (node.schemaname, node.relname))) for node in found}))


def columns_named(text: str) -> tuple[str, ...]:
    """The columns that an expression names."""
    found = (last_name(node) for node in nodes(parsed(text)) if isinstance(node, ast.ColumnRef))
    return tuple(name for name in found if name)


def functions_called(text: str) -> tuple[tuple[str, ...], ...]:
    """The functions that an expression calls, each as the parts of its name."""
    calls = (node for node in nodes(parsed(text)) if isinstance(node, ast.FuncCall))
    return tuple(tuple(part.sval or "" for part in node.funcname or ()) for node in calls)


def parsed(text: str) -> Any:
    """The node of an expression; None for what is none."""
    try:
        statements = parse_sql(f"SELECT ({text})") if text else ()
    except ParseError:
        return None
    statement = statements[0].stmt if len(statements) == 1 else None
    targets = statement.targetList if isinstance(statement, ast.SelectStmt) else None
    return targets[0].val if targets and len(targets) == 1 else None


def _spread(node: Any, column: str) -> tuple[Spread, str]:
    match node:
        case ast.A_Const():
            return (Spread.NULL if node.isnull else Spread.CONSTANT), ""
        case ast.TypeCast():
            return _spread(node.arg, column)
        case ast.ColumnRef():
            return (Spread.ONE_TO_ONE if _names(node, column) else Spread.UNKNOWN), ""
        case ast.FuncCall():
            return _spread_of_call(node, column)
        case ast.A_Expr() if operator(node) == "||":
            return _spread_of_sides([_spread(side, column) for side in (node.lexpr, node.rexpr)])
        case _:
            return (Spread.UNKNOWN if _looks_at_more(node) else Spread.CONSTANT), ""


def _spread_of_sides(sides: Sequence[tuple[Spread, str]]) -> tuple[Spread, str]:
    """That of two texts behind each other: they are as different as the better of the two."""
    order = (Spread.NULL, Spread.ONE_TO_ONE, Spread.UNKNOWN, Spread.MANY_TO_ONE, Spread.CONSTANT)
    return min(sides, key=lambda side: order.index(side[0]))


def _spread_of_call(node: ast.FuncCall, column: str) -> tuple[Spread, str]:
    name, arguments = scrub_function(node), list(node.args or ())
    value = _VALUE_AT.get(name, 0)
    if len(arguments) <= value:
        return (Spread.CONSTANT if name == "prose" else Spread.UNKNOWN), ""
    spread, function = _spread(arguments[value], column)
    if spread is Spread.CONSTANT and any(_looks_at_more(other) for other in arguments):
        return Spread.UNKNOWN, ""
    if not name or spread is not Spread.ONE_TO_ONE:
        return (spread, function) if name else (Spread.UNKNOWN, "")
    if name in LEAST_LENGTH:
        # Of anything but a digest, the first bytes may be the same.
        is_digest = name != "hex" or function == "hmac"
        is_long = (whole_number(arguments[1]) if len(arguments) > 1 else 0) >= LEAST_LENGTH[name]
        return (Spread.ONE_TO_ONE if is_digest and is_long else Spread.MANY_TO_ONE), name
    if name in ONE_TO_ONE:
        return Spread.ONE_TO_ONE, name
    return (Spread.MANY_TO_ONE if name in MANY_TO_ONE else Spread.UNKNOWN), name


def scrub_function(node: ast.FuncCall) -> str:
    """The name of the `scrub` function that is called, without the schema; nothing for another's."""
    schema, *names = [part.sval or "" for part in node.funcname or ()]
    return names[0] if schema == "scrub" and len(names) == 1 else ""


def whole_number(node: Any) -> int:
    """The constant that stands there; 0 for anything else."""
    return (node.val.ival or 0) if isinstance(node, ast.A_Const) and isinstance(node.val, ast.Integer) else 0


def operator(node: ast.A_Expr) -> str:
    """The operator, without its schema."""
    return "".join(part.sval for part in node.name or ())


def _names(node: ast.ColumnRef, column: str) -> bool:
    return last_name(node) == column


def last_name(node: ast.ColumnRef) -> str:
    """The name of the column; nothing for `*`."""
    last = node.fields[-1] if node.fields else None
    return (last.sval or "") if isinstance(last, ast.String) else ""


def _looks_at_more(node: Any) -> bool:
    """Whether anything below is a column, a call or a query: else it is the same in every row."""
    return any(isinstance(below, ast.ColumnRef | ast.FuncCall | ast.SubLink) for below in nodes(node))


def nodes(root: Any) -> Iterator[Any]:
    """A node and all below it, in the order of the text."""
    if isinstance(root, ast.Node):
        yield root
        for name in root:
            yield from nodes(getattr(root, name))
    elif isinstance(root, tuple):
        for item in root:  # pyright: ignore[reportUnknownVariableType]
            yield from nodes(item)


def _form(node: Any, column: str) -> str:
    """The text of the expression over a column of any name."""
    return RawStream()(_neutral(node, column))


def _neutral(node: Any, column: str) -> Any:
    if isinstance(node, ast.ColumnRef) and _names(node, column):
        return ast.ColumnRef(fields=(ast.String(sval=_ITSELF),))
    if isinstance(node, ast.TypeCast) and isinstance(inner := _neutral(node.arg, column), ast.ColumnRef):
        return inner
    if isinstance(node, ast.Node):
        for name in node:
            setattr(node, name, _neutral(getattr(node, name), column))
        return node
    return tuple(_neutral(item, column) for item in node) if isinstance(node, tuple) else node
