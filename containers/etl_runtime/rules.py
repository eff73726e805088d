"""What is personal: `columns.yaml`, read with the line of every entry, so that a fault can be found.

The document (version 1):

    version: 1
    tables:
      public.users:                       # schema.table, quoted as in SQL, or a glob for a family of tables
        columns:
          id: keep
          email: scrub.email(email)       # an SQL expression over the row
          notes: scripted                 # a *.sql file changes it
          born: {expression: "…", proof: per_row, reason: "…"}
        where: "created_at > '2020-01-01'"
      public.sessions: truncate           # no rows
      public.drafts: skip                 # no rows, and the scripts do not see any
      public.countries: {keep: all, reason: "…"}
    elsewhere:
      comments: keep                      # each place besides rows where data can hide
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from etl_runtime.contract import RULES_FILE, ExitCode
from etl_runtime.faults import Fault
from etl_runtime.toc import identifiers, relation

Kind = Literal["keep", "scripted", "expression"]
Mode = Literal["columns", "keep", "truncate", "skip"]
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


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """What happens to one column. `proof`: an original may survive nowhere in it, or not in its own row."""

    kind: Kind
    line: int
    expression: str = ""
    proof: Literal["per_column", "per_row"] = "per_column"
    reason: str = ""


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

    decision: Literal["keep", "drop", "stop"]
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
        covering = [rule for rule in self.tables if rule.covers(schema, table)]
        exact = [rule for rule in covering if not rule.is_glob]
        if exact:
            return exact[0]
        if len(covering) > 1:
            lines = " and ".join(f"line {rule.line}" for rule in covering)
            raise Fault(ExitCode.CONFIG, f"{self.path}: {relation(schema, table)} is in two families: {lines}")
        return covering[0] if covering else None


class _Document:
    """Checks YAML nodes and gathers every fault with its line."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.faults: list[str] = []
        self._patterns: set[str] = set()

    def fault(self, node: yaml.Node, problem: str) -> None:
        self.faults.append(f"{self.path}:{node.start_mark.line + 1}: {problem}")

    def mapping(self, node: yaml.Node, what: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Key text → (key node, value node); another kind of node, or a key twice, is a fault."""
        if not isinstance(node, yaml.MappingNode):
            self.fault(node, f"{what} must be a mapping")
            return {}
        entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in cast(list[tuple[yaml.Node, yaml.Node]], node.value):
            name = self.text(key, f"a key of {what}")
            if name in entries:
                self.fault(key, f"{name} stands twice in {what}")
            entries[name] = (key, value)
        return entries

    def text(self, node: yaml.Node, what: str) -> str:
        """A scalar's text. YAML's null is the SQL expression NULL."""
        if not isinstance(node, yaml.ScalarNode):
            self.fault(node, f"{what} must be text")
            return ""
        return cast(str, node.value)

    def once(self, key: yaml.Node, pattern: str) -> None:
        """A table's name spelt in two ways is one table."""
        if pattern in self._patterns:
            self.fault(key, f"{pattern} stands twice in tables")
        self._patterns.add(pattern)

    def known(self, entries: Mapping[str, tuple[yaml.Node, Any]], names: tuple[str, ...], what: str) -> None:
        for name, (key, _) in entries.items():
            if name not in names:
                self.fault(key, f"{what} has no key {name!a}; it has {', '.join(names)}")


def read_rules(directory: Path) -> Rules:
    """Read `columns.yaml` of a scrub directory.

    Raises:
        Fault: CONFIG, one line per fault with file and line: YAML that does not parse, unknown keys, wrong kinds.
    """
    path = directory / RULES_FILE
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Fault(ExitCode.CONFIG, f"{path} does not exist: a scrub directory has a {RULES_FILE}") from None
    except UnicodeDecodeError:
        raise Fault(ExitCode.CONFIG, f"{path} is not UTF-8 text") from None
    try:
        root = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise Fault(ExitCode.CONFIG, f"{RULES_FILE}:{line}: not YAML: {error.problem or 'it does not parse'}") from None
    except yaml.YAMLError:
        raise Fault(ExitCode.CONFIG, f"{RULES_FILE}: not YAML: it holds a character that YAML forbids") from None
    if root is None:
        raise Fault(ExitCode.CONFIG, f"{RULES_FILE} is empty: it classifies every table and column")
    document = _Document(RULES_FILE)
    top = document.mapping(root, RULES_FILE)
    document.known(top, ("version", "tables", "elsewhere"), RULES_FILE)
    if "version" not in top or document.text(top["version"][1], "version") != "1":
        document.fault(top["version"][1] if "version" in top else root, "version must be 1")
    tables = document.mapping(top["tables"][1], "tables") if "tables" in top else {}
    places = document.mapping(top["elsewhere"][1], "elsewhere") if "elsewhere" in top else {}
    document.known(places, PLACES, "elsewhere")
    rules = Rules(
        document.path,
        tuple(_table(document, name, key, value) for name, (key, value) in tables.items()),
        {name: _place(document, name, value) for name, (_, value) in places.items() if name in PLACES},
    )
    if document.faults:
        raise Fault(ExitCode.CONFIG, "; ".join(document.faults))
    return rules


def _table(document: _Document, name: str, key: yaml.Node, node: yaml.Node) -> TableRule:
    line = key.start_mark.line + 1
    is_glob = any(character in name for character in "*?[")
    parts = identifiers(name)
    if not is_glob and len(parts) != 2:
        document.fault(key, f"{name!a} must be schema.table")
    pattern = name if is_glob or len(parts) != 2 else relation(*parts)
    document.once(key, pattern)
    if isinstance(node, yaml.ScalarNode):
        word = cast(str, node.value)
        if word not in ("truncate", "skip"):
            document.fault(node, f"{name} must be truncate, skip, or a mapping such as {{keep: all, reason: …}}")
        return TableRule(pattern, line, "skip" if word == "skip" else "truncate")
    entries = document.mapping(node, name)
    document.known(entries, ("columns", "where", "keep", "reason"), name)
    values = {word: document.text(entries[word][1], word) for word in ("where", "keep", "reason") if word in entries}
    if "keep" in entries:
        if values["keep"] != "all" or "columns" in entries or "where" in entries:
            document.fault(key, f"{name}: keep takes the word all, and no columns or where beside it")
        if not values.get("reason"):
            document.fault(key, f"{name}: keep: all keeps columns yet to come as well; say why with reason:")
        return TableRule(pattern, line, "keep", reason=values.get("reason", ""))
    if "columns" not in entries:
        document.fault(key, f"{name} must say columns:, keep: all, truncate or skip")
        return TableRule(pattern, line, "skip")
    columns = document.mapping(entries["columns"][1], f"columns of {name}")
    return TableRule(
        pattern,
        line,
        "columns",
        {column: _column(document, f"{name}.{column}", value) for column, (_, value) in columns.items()},
        values.get("where", ""),
        values.get("reason", ""),
    )


def _column(document: _Document, name: str, node: yaml.Node) -> ColumnRule:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        return _column_rule(document, name, node, line)
    entries = document.mapping(node, name)
    document.known(entries, ("expression", "keep", "proof", "reason"), name)
    texts = {key: document.text(value, f"{key} of {name}") for key, (_, value) in entries.items()}
    if ("expression" in texts) == ("keep" in texts):
        document.fault(node, f"{name} must have either expression or keep")
        return ColumnRule("keep", line)
    proof = texts.get("proof", "per_column")
    if proof not in ("per_column", "per_row"):
        document.fault(node, f"proof of {name} must be per_column or per_row")
    if "keep" in texts:
        return ColumnRule("keep", line, reason=texts.get("reason", ""))
    base = _column_rule(document, name, entries["expression"][1], line)
    return ColumnRule(
        base.kind, line, base.expression, "per_row" if proof == "per_row" else "per_column", texts.get("reason", "")
    )


def _column_rule(document: _Document, name: str, node: yaml.Node, line: int) -> ColumnRule:
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
        return ColumnRule("expression", line, "NULL")
    text = document.text(node, name).strip()
    if text in ("keep", "scripted"):
        return ColumnRule(text, line)
    if not text:
        document.fault(node, f"{name} must be keep, scripted or an SQL expression")
    return ColumnRule("expression", line, text)


def _place(document: _Document, name: str, node: yaml.Node) -> PlaceRule:
    line = node.start_mark.line + 1
    reason = ""
    if isinstance(node, yaml.ScalarNode):
        word = cast(str, node.value)
    else:
        entries = document.mapping(node, name)
        document.known(entries, ("decision", "reason"), name)
        word = document.text(entries["decision"][1], name) if "decision" in entries else ""
        reason = document.text(entries["reason"][1], name) if "reason" in entries else ""
    allowed = ("keep", "drop", "stop") if name in DROPPABLE_PLACES else ("keep", "stop")
    if word not in allowed:
        document.fault(node, f"elsewhere.{name} must be one of {', '.join(allowed)}")
        return PlaceRule("stop", line)
    return PlaceRule(cast(Literal["keep", "drop", "stop"], word), line, reason)
