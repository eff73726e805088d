"""What is looked for: the originals of one scrubbed column, or of some paths of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from etl_runtime.classification import ClassifiedTable
from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.json_path import json_path_steps
from etl_runtime.proof.kernel import JsonPaths, Units
from etl_runtime.rules import ColumnRule, Proof
from etl_runtime.table_shape import TableShape
from etl_runtime.toc import relation


@dataclass(frozen=True, slots=True)
class Watch:
    """One column, or the paths of one that are proved alike.

    Attributes:
        number: Of all watches of a run, from 1; it makes the column's digests its own.
        table: Its table.
        column: Its name.
        at: Its place in the data file, from 0.
        proof: How far an original may come.
        units: What of a value is looked for.
        paths: JSON paths, of `Units.LEAVES`.
        row_columns: Places of the primary key's columns, of a proof by row.
        rule_line: In columns.yaml.
        expression: The rule's, where it has one.
    """

    number: int
    table: ClassifiedTable
    column: str
    at: int
    proof: Proof
    units: Units
    paths: tuple[str, ...]
    row_columns: tuple[tuple[int, bool], ...]
    rule_line: int
    expression: str

    @property
    def name(self) -> str:
        """`schema.table.column`."""
        return f"{self.table.name}.{relation('', self.column)}"

    @property
    def is_everywhere(self) -> bool:
        """Whether the originals are looked for in every place."""
        return self.proof == "everywhere"

    def kernel_paths(self) -> JsonPaths | None:
        """The paths, for the kernel."""
        return JsonPaths([json_path_steps(path) for path in self.paths]) if self.paths else None


@dataclass(frozen=True, slots=True)
class ColumnProof:
    """What was found of one watch.

    Attributes:
        watch: What was looked for.
        originals: Values that were looked for.
        survivors: Values released of the same column that are originals.
        elsewhere: Column → times that an original stands in one of its values.
    """

    watch: Watch
    originals: int
    survivors: int
    elsewhere: dict[str, int]

    def document(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        document: dict[str, Any] = {
            "table": self.watch.table.name,
            "column": self.watch.column,
            "proof": self.watch.proof,
            "originals": self.originals,
            "survivors": self.survivors,
        }
        return document | ({"paths": list(self.watch.paths)} if self.watch.paths else {})


@dataclass(frozen=True, slots=True)
class Unproved:
    """A column, or paths of one, that the rules leave unproved, and why."""

    table: str
    column: str
    reason: str
    paths: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        document: dict[str, Any] = {"table": self.table, "column": self.column, "proof": "none", "reason": self.reason}
        return document | ({"paths": list(self.paths)} if self.paths else {})


def watches_of(shape: TableShape, primary_key: Sequence[str], first: int) -> tuple[list[Watch], list[Unproved]]:
    """The watches of a table's scrubbed columns, numbered from `first` on.

    Raises:
        Fault: CONFIG when a column asks for a proof by row and its table has no primary key whose columns are all kept.
    """
    table, found, left = shape.table, list[Watch](), list[Unproved]()
    order = {name: number for number, name in enumerate(table.entry.columns)}
    kept = {name for name, rule in table.columns if rule.kind == "keep"}
    for name, rule in table.scrubbed:
        for proof, paths, reason in _parts(rule):
            if proof == "none":
                left.append(Unproved(table.name, name, reason, paths))
                continue
            if proof == "per_row" and not (primary_key and kept.issuperset(primary_key)):
                raise Fault(
                    ExitCode.CONFIG,
                    f"columns.yaml:{rule.line}: {table.name}.{name}: proof: per_row needs a primary key of kept"
                    " columns",
                )
            rows = tuple((order[part], shape.column(part).is_padded) for part in primary_key)
            units = Units.LEAVES if paths else Units.ELEMENTS if shape.column(name).is_many else Units.WHOLE
            found.append(
                Watch(
                    first + len(found),
                    table,
                    name,
                    order[name],
                    proof,
                    units,
                    paths,
                    rows if proof == "per_row" else (),
                    rule.line,
                    rule.expression if rule.kind == "expression" else "",
                )
            )
    return found, left


def _parts(rule: ColumnRule) -> list[tuple[Proof, tuple[str, ...], str]]:
    """The column, or the paths of it that are proved alike: proof, paths, reason."""
    if rule.kind != "json":
        return [(rule.proof, rule.leaves, rule.reason)]
    parts: dict[Proof, list[str]] = {}
    for path, path_rule in rule.paths.items():
        parts.setdefault(path_rule.proof, []).append(path)
    reasons = "; ".join(dict.fromkeys(r.reason for r in rule.paths.values() if r.proof == "none" and r.reason))
    return [(proof, tuple(paths), reasons) for proof, paths in parts.items()]
