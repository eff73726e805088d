"""What a demonstration found: what was deployed, how the run went, and how source and target compare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from etl_runtime.manifest import Manifest
from etl_runtime.rules import Rules

from etl_cli.demonstration.examples import TableExample
from etl_cli.quantities import count_text
from etl_cli.run_report import RunReport
from etl_local.comparison import Comparison, ObjectComparison, TableComparison

KINDS_OF_PLACES = {"comments": "comment", "large_objects": "large object"}
"""Each place that rules may drop (`etl_runtime.rules.DROPPABLE_PLACES`) → the kind that the comparison has for it."""


def services(deployed: Mapping[str, int]) -> Counter[str]:
    """Service (`s3`, `iam`, `kubernetes`) → how many resources, out of resource types; components are none."""
    counts: Counter[str] = Counter()
    for token, count in deployed.items():
        package, _, rest = token.partition(":")
        if package == "aws":
            counts[rest.partition("/")[0]] += count
        elif package == "kubernetes":
            counts[package] += count
    return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The end of a demonstration.

    Attributes:
        deployed: resource type (`aws:s3/bucket:Bucket`) → how many.
        report: the run.
        clean: the manifest of the dump that was loaded.
        rules: those by which it was cleaned.
        comparison: of source and target.
        examples: a few rows before and after.
    """

    deployed: Mapping[str, int]
    report: RunReport
    clean: Manifest
    rules: Rules
    comparison: Comparison
    examples: list[TableExample]

    @property
    def plan(self) -> dict[str, str]:
        """Table → path: untouched, expressions, scripts or emptied."""
        cleaning = self.clean.cleaning
        return {str(step["table"]): str(step["path"]) for step in cleaning.plan} if cleaning else {}

    @property
    def proved(self) -> list[Mapping[str, Any]]:
        """The scrubbed columns, each with its originals and how many survived."""
        return list(self.clean.cleaning.proof.get("columns", [])) if self.clean.cleaning else []

    @property
    def untouched(self) -> tuple[TableComparison, ...]:
        """Tables that the plan left alone and whose rows are the same."""
        return tuple(table for table in self.comparison.identical_tables if self._is_untouched(table))

    @property
    def rewritten_bytes(self) -> int:
        """Bytes of the files that were written anew; all the others were copied inside S3, unread."""
        return sum(f.bytes for f in self.clean.files if f.table and self.plan.get(f.table, "untouched") != "untouched")

    @property
    def dropped(self) -> dict[str, int]:
        """Kind of object → how many of it the rules kept out of the target."""
        counts = {kind.kind: len(self._dropped_of(kind)) for kind in self.comparison.objects}
        return {kind: count for kind, count in counts.items() if count}

    @property
    def faults(self) -> list[str]:
        """What must not be: each a line. None for a demonstration that went well."""
        comparison = self.comparison
        faults = [
            f"{t.table} should be untouched and differs" for t in comparison.changed_tables if self._is_untouched(t)
        ]
        faults += [f"{name} is missing in the target" for name in comparison.missing_tables]
        faults += [f"{name} is in the target and not in the source" for name in comparison.unexpected_tables]
        for kind in comparison.objects:
            dropped = self._dropped_of(kind)
            if kind.target_count and self._drops(kind.kind):
                faults.append(f"{count_text(kind.target_count, kind.kind)} in the target, which the rules drop")
            for what, names in (
                ("missing in the target", (name for name in kind.missing if name not in dropped)),
                ("in the target and not in the source", kind.unexpected),
                ("another in the target", kind.different),
            ):
                faults += [f"{kind.kind} {name} is {what}" for name in names]
        if not self.clean.cleaning or self.clean.cleaning.proof.get("result") != "passed":
            faults.append("the clean dump has no proof")
        faults += [f"{c['table']}.{c['column']} still holds originals" for c in self.proved if c.get("survivors")]
        return faults

    def _drops(self, kind: str) -> bool:
        return any(
            kind == name and self.rules.place(place).decision == "drop" for place, name in KINDS_OF_PLACES.items()
        )

    def _dropped_of(self, kind: ObjectComparison) -> frozenset[str]:
        """Names of what the rules kept out of the target; a comment goes with the large object that it is about."""
        if self._drops(kind.kind):
            return frozenset(kind.missing)
        if kind.kind == "comment" and self._drops("large object"):
            return frozenset(name for name in kind.missing if name.startswith("on large object "))
        return frozenset()

    def _is_untouched(self, table: TableComparison) -> bool:
        return self.plan.get(table.table, "untouched") == "untouched"

    def document(self) -> dict[str, Any]:
        """The findings as one JSON object."""
        return {
            "event": "demonstration",
            "deployed": dict(services(self.deployed)),
            "run": self.report.document(),
            "rewritten_bytes": self.rewritten_bytes,
            "proof": [dict(column) for column in self.proved],
            "tables": [
                {
                    "table": table.table,
                    "path": self.plan.get(table.table, "untouched"),
                    "identical": table.identical,
                    "source_rows": table.source_rows,
                    "target_rows": table.target_rows,
                    "changed_columns": {column.name: column.changed_rows for column in table.columns},
                }
                for table in self.comparison.tables
            ],
            "objects": {kind.kind: kind.target_count for kind in self.comparison.objects},
            "dropped": self.dropped,
            "comparison_seconds": round(self.comparison.seconds, 1),
            "examples": [example.document() for example in self.examples],
            "faults": self.faults,
        }
