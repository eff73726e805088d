"""Everything that exists has a decision, and every decision is about something that exists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from etl_runtime.rules import PLACES, TableRule

from etl_cli.rules.findings import Finding
from etl_cli.rules.inspection import Inspection
from etl_cli.rules.schema import Table


def check_classification(inspection: Inspection) -> Iterator[Finding]:
    """Unclassified tables, columns and places; rules for what is not there; tables in two families."""
    used: set[int] = set()
    for table in inspection.schema.tables.values():
        covering = inspection.rules.covering(*table.parts)
        used.update(rule.line for rule in covering)
        if table.kind == "table":
            yield from _table_findings(inspection, table, covering)
    for rule in inspection.rules.tables:
        if rule.line not in used:
            what = "matches no table of the schema" if rule.is_glob else "is no table of the schema"
            yield inspection.error("unknown", rule.line, rule.pattern, what)
    for place in PLACES:
        if (found := inspection.schema.place(place)) and inspection.rules.place(place).decision == "stop":
            first, *others = found
            more = f" and {len(others)} more" if others else ""
            yield inspection.error(
                "unclassified",
                inspection.rules.place(place).line,
                f"elsewhere.{place}",
                f"is not decided, and the schema has some: {first}{more}",
            )


def _table_findings(inspection: Inspection, table: Table, covering: Sequence[TableRule]) -> Iterator[Finding]:
    if not covering:
        yield inspection.error("unclassified", 0, table.name, f"is not classified: {_columns(table)}")
        return
    rule, *others = covering
    if others:
        lines = " and ".join(f"line {rule.line}" for rule in covering)
        yield inspection.error("unclassified", rule.line, table.name, f"is in two families: {lines}")
    elif rule.mode == "columns":
        yield from _column_findings(inspection, table, rule)


def _columns(table: Table) -> str:
    return f"its columns are {', '.join(table.dumped_columns)}" if table.dumped_columns else "it has no columns"


def _column_findings(inspection: Inspection, table: Table, rule: TableRule) -> Iterator[Finding]:
    for name, column in table.dumped_columns.items():
        if name not in rule.columns:
            yield inspection.error(
                "unclassified", rule.line, f"{table.name}.{name}", f"({column.type}) is not classified"
            )
    for name, column_rule in rule.columns.items():
        if name not in table.columns:
            yield inspection.error("unknown", column_rule.line, f"{table.name}.{name}", "is no column of the schema")
        elif table.columns[name].is_generated:
            yield inspection.error(
                "unknown", column_rule.line, f"{table.name}.{name}", "is generated from other columns: it takes no rule"
            )
