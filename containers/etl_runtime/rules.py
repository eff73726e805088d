"""What is personal, as `columns.yaml` says it (see `etl_runtime.rules_document`): a rule for each table and column."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.toc import quoted, relation

Kind = Literal["keep", "scripted", "expression", "json"]
Mode = Literal["columns", "keep", "truncate", "skip"]
Decision = Literal["keep", "drop", "stop"]
Proof = Literal["everywhere", "per_column", "per_row", "none"]
"""How far an original may come: into no value of any table that is written anew, into no row of its own column, not
into its own row; or it is not proved at all, which takes a reason."""
PLACES = (
    "large_objects",
    "comments",
    "defaults",
    "enum_labels",
    "check_expressions",
    "function_bodies",
    "materialized_views",
    "foreign_servers",
    "sequences",
)
DROPPABLE_PLACES = frozenset({"large_objects", "comments"})
_JSON_FUNCTIONS = {"jsonb": "scrub.json", "json": "scrub.json_text"}


@dataclass(frozen=True, slots=True)
class PathRule:
    """What happens to the leaves that a JSON path leads to: the name of a function that `scrub.apply` knows."""

    function: str
    line: int
    proof: Proof = "everywhere"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """What happens to one column.

    Attributes:
        kind: `keep` releases it as it is; a script assigns what is `scripted`; an `expression` over the row, or a
            function for each path of a `json` document, gives the others.
        line: where columns.yaml says so.
        expression: SQL, of an `expression`.
        proof: of the whole value of a `scripted` column or an `expression`; says nothing of the other kinds.
        reason: why, for people.
        paths: JSON path → its rule, of a `json` column.
        leaves: JSON paths whose leaves are the originals, where the column is a document and not all of it is personal.
    """

    kind: Kind
    line: int
    expression: str = ""
    proof: Proof = "everywhere"
    reason: str = ""
    paths: Mapping[str, PathRule] = field(default_factory=dict[str, PathRule])
    leaves: tuple[str, ...] = ()

    @property
    def is_computed(self) -> bool:
        """Whether an SQL expression over the row gives what is released, its own or the one of its paths."""
        return self.kind in ("expression", "json")


def json_expression(column: str, paths: Mapping[str, PathRule], type_name: str) -> str:
    """The SQL that scrubs the paths of a document: `scrub.json("data", '{"$.name": "person_name"}')`.

    Args:
        column: Its name, unquoted.
        paths: JSON path → its rule.
        type_name: As `format_type` has it, a domain's base type: `jsonb` or `json`.

    Raises:
        ValueError: the type is another.
    """
    function = _JSON_FUNCTIONS.get(type_name)
    if function is None:
        raise ValueError(f"json: is for the types json and jsonb, not for {type_name or 'what cannot be told'}")
    functions = json.dumps({path: rule.function for path, rule in paths.items()}, ensure_ascii=False)
    # Escaped or not, a backslash is read as itself: standard_conforming_strings is on.
    return f"{function}({quoted(column)}, '{functions.replace(chr(39), chr(39) * 2)}')"


@dataclass(frozen=True, slots=True)
class TableRule:
    """What happens to a table, or to each table of a family; `line` is where columns.yaml says so."""

    pattern: str
    line: int
    mode: Mode
    columns: Mapping[str, ColumnRule] = field(default_factory=dict[str, ColumnRule])
    where: str = ""
    reason: str = ""

    @property
    def is_glob(self) -> bool:
        """Whether it stands for a family."""
        return any(character in self.pattern for character in "*?[")

    def covers(self, schema: str, table: str) -> bool:
        """Whether the rule is for this table."""
        name = relation(schema, table)
        return fnmatch.fnmatchcase(name, self.pattern) if self.is_glob else name == self.pattern


@dataclass(frozen=True, slots=True)
class PlaceRule:
    """What happens to a place besides rows."""

    decision: Decision
    line: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """All of columns.yaml."""

    path: str
    tables: tuple[TableRule, ...]
    elsewhere: Mapping[str, PlaceRule]

    def place(self, name: str) -> PlaceRule:
        """The decision on a place; none is `stop`."""
        return self.elsewhere.get(name, PlaceRule("stop", 0))

    def table(self, schema: str, table: str) -> TableRule | None:
        """The rule of a table: the one of its very name, else the one family that it is in.

        Raises:
            Fault: CONFIG when it is in two families.
        """
        covering = self.covering(schema, table)
        if len(covering) > 1:
            lines = " and ".join(f"line {rule.line}" for rule in covering)
            raise Fault(ExitCode.CONFIG, f"{self.path}: {relation(schema, table)} is in two families: {lines}")
        return covering[0] if covering else None

    def covering(self, schema: str, table: str) -> tuple[TableRule, ...]:
        """The rules that may be a table's: the one of its very name, else every family that it is in."""
        found = tuple(rule for rule in self.tables if rule.covers(schema, table))
        return tuple(rule for rule in found if not rule.is_glob) or found
