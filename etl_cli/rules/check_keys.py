"""What a cleaned row must still be: not NULL, the only one of its key, and told from others in the proof."""

from __future__ import annotations

from collections.abc import Iterator

from etl_runtime.rules import ColumnRule

from etl_cli.rules.expressions import LEAST_LENGTH, MANY_TO_ONE, Spread, columns_named
from etl_cli.rules.findings import Finding
from etl_cli.rules.inspection import Inspection, RuledTable
from etl_cli.rules.schema import Schema, UniqueIndex

_OF_OTHER_TYPES = frozenset({"date_shift", "mac", "noise"})
"""Functions of types for which no other is one to one: a token is no date."""
_FEW_VALUES = frozenset({"boolean", "smallint", "date"})


def check_keys(inspection: Inspection) -> Iterator[Finding]:
    """NULL where it may not be, keys that would collide, and proofs that cannot be made."""
    for table in inspection.kept:
        for name, (column, rule) in table.changed.items():
            not_null = (
                column.not_null or name in table.table.primary_key or _is_never_null(inspection.schema, column.type)
            )
            if not_null and table.spread(name) is Spread.NULL:
                yield inspection.error(
                    "not-null", rule.line, f"{table.table.name}.{name}", "is NOT NULL and is given NULL"
                )
            yield from _proof_findings(inspection, table, name, column.type, rule)
        indexes = {"primary key": UniqueIndex(table.table.primary_key)} if table.table.primary_key else {}
        for name, index in (indexes | {f"index {name}": i for name, i in table.table.unique.items()}).items():
            yield from _collisions(inspection, table, name, index)


def _is_never_null(schema: Schema, type_name: str) -> bool:
    definition = schema.types.get(type_name)
    return definition is not None and definition.kind == "domain" and definition.not_null


def _proof_findings(
    inspection: Inspection, table: RuledTable, name: str, type_name: str, rule: ColumnRule
) -> Iterator[Finding]:
    subject = f"{table.table.name}.{name}"
    proofs = {rule.line: rule.proof} if rule.kind != "json" else {path.line: path.proof for path in rule.paths.values()}
    changed = [part for part in table.table.primary_key if part in table.changed]
    for line, proof in proofs.items():
        if proof == "per_row" and (changed or not table.table.primary_key):
            why = f"{', '.join(changed)} of it is scrubbed" if changed else "there is none"
            yield inspection.error("proof", line, subject, f"is proved per_row by its table's primary key, and {why}")
    definition = inspection.schema.types.get(type_name)
    has_few = inspection.schema.base_type(type_name) in _FEW_VALUES or (definition and definition.kind == "enum")
    if has_few and rule.proof in ("everywhere", "per_column") and table.spread(name) in (
        Spread.ONE_TO_ONE, Spread.MANY_TO_ONE, Spread.UNKNOWN,
    ):  # fmt: skip
        yield inspection.warning(
            "proof",
            rule.line,
            subject,
            f"is {type_name}, of few values: one row's original is another's; say proof: per_row",
        )


def _collisions(inspection: Inspection, table: RuledTable, name: str, index: UniqueIndex) -> Iterator[Finding]:
    """What a unique index says of the rules of its columns."""
    columns = [*index.columns, *columns_named(index.expression)]
    spreads = {column: table.spread(column) for column in columns if column in table.table.columns}
    changed = {column: spread for column, spread in spreads.items() if column in table.changed}
    if not changed or (Spread.NULL in spreads.values() and not index.nulls_not_distinct):
        return
    apart = [column for column, spread in spreads.items() if spread is Spread.ONE_TO_ONE]
    for column, spread in changed.items():
        rule = table.column_rule(column)
        subject = f"{table.table.name}.{column}"
        alone = not apart and len(changed) == len(spreads) and not index.expression
        if spread in (Spread.CONSTANT, Spread.NULL):
            text = f"is the same in every row, and {name} is unique"
            if not alone:
                text += f"; the others of it ({', '.join(c for c in spreads if c != column)}) may not tell rows apart"
        elif spread is Spread.MANY_TO_ONE:
            expression = table.expression(column)
            advice = _advice(expression.function if expression else "")
            text = f"may become the same in two rows, and {name} is unique: {advice}"
        elif spread is Spread.UNKNOWN and rule.kind == "expression":
            yield inspection.warning(
                "unique", rule.line, subject, f"cannot be told to stay different where it was, and {name} is unique"
            )
            continue
        else:
            continue
        finding = inspection.error if alone else inspection.warning
        yield finding("unique", rule.line, subject, text)


def _advice(function: str) -> str:
    if function in LEAST_LENGTH:
        units = "digits" if function == "token" else "bytes"
        return f"scrub.{function} is one to one from {LEAST_LENGTH[function]} {units} on"
    if function in _OF_OTHER_TYPES:
        return f"scrub.{function} is not one to one"
    better = MANY_TO_ONE.get(function) or "scrub.token(…, 32)"
    return f"scrub.{function} is not one to one, {better} is" if function else f"{better} is one to one"
