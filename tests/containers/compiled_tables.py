"""Tables for the compiled functions, without a database that has them."""

from __future__ import annotations

from collections.abc import Mapping

from etl_runtime.classification import ClassifiedTable
from etl_runtime.compiled_table import CompiledTable, Keyring
from etl_runtime.rules import ColumnRule, TableRule
from etl_runtime.scrub_functions import key_constants
from etl_runtime.table_shape import ColumnShape, Condition, TableShape
from etl_runtime.toc import TocEntry, quoted

KEY = "5a" * 32
_BASES = {"timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz"}


def shape(
    types: Mapping[str, str],
    rules: Mapping[str, ColumnRule],
    *,
    not_null: tuple[str, ...] = (),
    conditions: tuple[Condition, ...] = (),
    where: str = "",
) -> TableShape:
    """A table `public.t`: column → type as format_type has it; the others than in `rules` are kept."""
    kept = {name: ColumnRule("keep", 1) for name in types}
    columns = ", ".join(map(quoted, types))
    entry = TocEntry(1, "t", "TABLE DATA", "", f"COPY public.t ({columns}) FROM stdin;\n", "public", "1.dat", 0, 0)
    table = ClassifiedTable(entry, TableRule("public.t", 1, "columns", kept | dict(rules), where))
    return TableShape(
        table, {name: _column(name, type_, name in not_null) for name, type_ in types.items()}, conditions
    )


def _column(name: str, type_: str, not_null: bool) -> ColumnShape:
    base, _, length = type_.removesuffix(")").partition("(")
    return ColumnShape(
        name, type_, _BASES.get(base, base), "X", int(length) + 4 if length.isdecimal() else -1, not_null, None, False
    )


def expression(text: str) -> ColumnRule:
    return ColumnRule("expression", 1, text)


def compiled(of: TableShape, encoding: str = "UTF8") -> CompiledTable:
    """With constants as a database without any gives them: the text itself."""
    return CompiledTable(of, encoding, Keyring(**key_constants(KEY)), _constant)


def _constant(_column: ColumnShape, text: str) -> bytes | None:
    return b"\\N\n" if text.lower() == "null" else text.strip("'").encode() + b"\n"
