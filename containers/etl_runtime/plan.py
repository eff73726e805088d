"""What a transform will do to each table, and why: printed before anything is done, kept in the clean manifest."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from etl_runtime.classification import ClassifiedTable

Path = Literal["untouched", "expressions", "scripts", "emptied"]


@dataclass(frozen=True, slots=True)
class Step:
    """One table's path. `untouched`: copied inside S3. The others: written anew.

    `loaded`: whether its rows were read for the scripts, which could reach it; what is untouched and not loaded never
    leaves S3.
    """

    table: ClassifiedTable
    path: Path
    reason: str
    loaded: bool = False

    def document(self, rows: tuple[int, int] | None = None) -> dict[str, Any]:
        """As it stands in the manifest; `rows` are those before and after, where the table was written anew."""
        document: dict[str, Any] = {
            "table": self.table.name,
            "path": self.path,
            "reason": self.reason,
            "loaded": self.loaded,
        }
        if rows is not None:
            document["rows_before"], document["rows_after"] = rows
        return document


@dataclass(frozen=True, slots=True)
class Plan:
    """A step for every table that has rows in the archive, in the archive's order."""

    steps: Sequence[Step]

    @property
    def rewritten(self) -> tuple[ClassifiedTable, ...]:
        """The tables that are written anew."""
        return tuple(step.table for step in self.steps if step.path != "untouched")

    def after_scripts(self, changed: Collection[tuple[str, str]], loaded: Collection[tuple[str, str]]) -> Plan:
        """The plan, once it is known which tables the scripts changed, and which had to be loaded for them."""

        def revised(step: Step) -> Step:
            name = (step.table.entry.schema, step.table.entry.tag)
            step = replace(step, loaded=name in loaded)
            if name not in changed or step.path == "emptied":
                return step
            return replace(step, path="scripts", reason=f"a script changed it; {step.reason}")

        return Plan([revised(step) for step in self.steps])


def make_plan(tables: Sequence[ClassifiedTable], scripts: Sequence[str]) -> Plan:
    """Choose each table's path from its rule; tables that only scripts change show themselves once they have run."""
    return Plan([_step(table, scripts) for table in tables])


def _step(table: ClassifiedTable, scripts: Sequence[str]) -> Step:
    rule = table.rule
    if table.empties:
        return Step(table, "emptied", f"line {rule.line} says {rule.mode}")
    expressions = [name for name, column in table.columns if column.is_computed]
    scripted = [name for name, column in table.columns if column.kind == "scripted"]
    reasons = ([f"expressions for {', '.join(expressions)}"] if expressions else []) + (
        ["a row filter"] if rule.where else []
    )
    if scripted:
        told = f"{', '.join(scripted)} left to {', '.join(scripts) or 'scripts, of which there are none'}"
        return Step(table, "scripts", "; ".join([*reasons, told]))
    if reasons:
        return Step(table, "expressions", "; ".join(reasons))
    return Step(table, "untouched", f"line {rule.line} keeps every column")
