"""Rules beside the schema that they are for: which rule each table has, and what becomes of each column by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from etl_runtime.rules import ColumnRule, Rules, TableRule
from etl_runtime.rules_document import UNDECIDED

from etl_cli.rules.expressions import Expression, Spread, read_expression
from etl_cli.rules.findings import Finding, Severity
from etl_cli.rules.schema import Column, Schema, Table

_KEPT = ColumnRule("keep", 0)


@dataclass(frozen=True)
class RuledTable:
    """A table that has rows in a dump, and its rule."""

    table: Table
    rule: TableRule

    @property
    def is_emptied(self) -> bool:
        """Whether no row of it comes out."""
        return self.rule.mode in ("truncate", "skip")

    @property
    def loses_rows(self) -> bool:
        """Whether some or all rows stay behind by the rule."""
        return self.is_emptied or bool(self.rule.where)

    def column_rule(self, column: str) -> ColumnRule:
        """The rule of a column; one without is kept, as far as can be told."""
        return self.rule.columns.get(column, _KEPT)

    @cached_property
    def changed(self) -> Mapping[str, tuple[Column, ColumnRule]]:
        """The columns that do not stay as they are, by name."""
        return {
            name: (column, rule)
            for name, column in self.table.dumped_columns.items()
            if (rule := self.column_rule(name)).kind != "keep"
        }

    def is_undecided(self, column: str) -> bool:
        """Whether nobody has decided on a column, or on one of its paths."""
        rule = self.column_rule(column)
        words = (rule.expression, *(path.function for path in rule.paths.values()))
        return UNDECIDED in words

    def expression(self, column: str) -> Expression | None:
        """What is made of a column by its own expression; None where it has none, or one that does not parse."""
        rule = self.column_rule(column)
        return read_expression(rule.expression, column) if rule.kind == "expression" else None

    def spread(self, column: str) -> Spread:
        """Whether different values of a column stay different."""
        if self.column_rule(column).kind == "keep":
            return Spread.ONE_TO_ONE
        found = self.expression(column)
        return found.spread if found else Spread.UNKNOWN


@dataclass(frozen=True)
class Inspection:
    """What the checks look at.

    Attributes:
        rules: as far as they could be read.
        schema: what they are for.
        file: path of columns.yaml, as findings name it.
    """

    rules: Rules
    schema: Schema
    file: str

    @cached_property
    def tables(self) -> Mapping[str, RuledTable]:
        """The tables with rows that have one rule, by name."""
        return {
            table.name: RuledTable(table, covering[0])
            for table in self.schema.with_rows
            if len(covering := self.rules.covering(*table.parts)) == 1
        }

    @property
    def kept(self) -> Iterator[RuledTable]:
        """The tables of which rows come out."""
        return (table for table in self.tables.values() if not table.is_emptied)

    def error(self, check: str, line: int, subject: str, text: str) -> Finding:
        """An error at a line of columns.yaml."""
        return Finding(check, Severity.ERROR, self.file, line, subject, text)

    def warning(self, check: str, line: int, subject: str, text: str) -> Finding:
        """A warning at a line of columns.yaml."""
        return Finding(check, Severity.WARNING, self.file, line, subject, text)
