"""Foreign keys: both sides get the same pseudonyms, and no row refers to one that stays behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from etl_cli.rules.expressions import Spread
from etl_cli.rules.findings import Finding
from etl_cli.rules.inspection import Inspection, RuledTable
from etl_cli.rules.schema import ForeignKey
from etl_cli.rules.script_effects import ScriptEffects


def check_references(inspection: Inspection, effects: ScriptEffects) -> Iterator[Finding]:
    """References that would be broken by the rules. One that is NOT VALID already binds no row of a dump."""
    for table in inspection.schema.tables.values():
        for name, key in table.foreign_keys.items():
            if not key.is_valid:
                continue
            children = [
                inspection.tables[t.name] for t in inspection.schema.leaves(table.name) if t.name in inspection.tables
            ]
            parents = [
                inspection.tables[t.name] for t in inspection.schema.leaves(key.table) if t.name in inspection.tables
            ]
            for child in children:
                if child.is_emptied or any(child.spread(column) is Spread.NULL for column in key.columns):
                    continue
                yield from _dangling(inspection, name, key, child, parents, effects)
                yield from _different(inspection, name, key, child, parents)


def _dangling(
    inspection: Inspection,
    name: str,
    key: ForeignKey,
    child: RuledTable,
    parents: Sequence[RuledTable],
    effects: ScriptEffects,
) -> Iterator[Finding]:
    parent = next((parent for parent in parents if parent.loses_rows), None)
    if parent is None:
        return
    how = parent.rule.mode if parent.is_emptied else "where:"
    columns = ", ".join(key.columns)
    text = (
        f"refers to {parent.table.name}, of which {how} (line {parent.rule.line}) leaves rows behind: {name} would fail"
    )
    helped = (
        child.rule.where
        or effects.deletes_from(child.table)
        or all(effects.may_assign(child.table, column) for column in key.columns)
    )
    subject = f"{child.table.name} ({columns})"
    if helped:
        yield inspection.warning(
            "reference", child.rule.line, subject, f"{text}, unless its own filter or a script takes such rows out"
        )
    else:
        yield inspection.error(
            "reference", child.rule.line, subject, f"{text}; filter it too, or set the column to NULL"
        )


def _different(
    inspection: Inspection, name: str, key: ForeignKey, child: RuledTable, parents: Sequence[RuledTable]
) -> Iterator[Finding]:
    # A family's tables share a rule as a rule; the first stands for them.
    parent = next((parent for parent in parents if not parent.is_emptied), None)
    if parent is None:
        return
    for column, referenced in zip(key.columns, key.referenced, strict=True):
        ours, theirs = child.column_rule(column), parent.column_rule(referenced)
        line = ours.line or child.rule.line
        subject, other = f"{child.table.name}.{column}", f"{parent.table.name}.{referenced}"
        kinds = {ours.kind, theirs.kind}
        if kinds == {"keep"}:
            continue
        if "scripted" in kinds:
            text = f"has to stay equal to {other} for {name}, and that is left to a script"
            yield inspection.warning("reference", line, subject, text)
        elif ours.kind == "keep":
            text = f"is kept, and {other} (line {theirs.line}) is scrubbed: {name} would fail; give both the same rule"
            yield inspection.error("reference", line, subject, text)
        elif theirs.kind == "keep":
            text = f"is scrubbed, and {other} is kept: {name} would fail; give both the same rule"
            yield inspection.error("reference", line, subject, text)
        else:
            own, others = child.expression(column), parent.expression(referenced)
            if own is not None and others is not None and own.form != others.form:
                text = f"is scrubbed otherwise than {other} (line {theirs.line}): {name} would fail"
                yield inspection.error("reference", line, subject, text)
