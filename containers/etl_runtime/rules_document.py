"""Reads `columns.yaml` with the line of every entry, so that a fault can be found.

The document (version 1):

    version: 1
    tables:
      public.users:                       # schema.table, quoted as in SQL, or a glob for a family of tables
        columns:
          id: keep
          email: scrub.email(email)       # an SQL expression over the row
          notes: scripted                 # a *.sql file changes it
          born: {expression: "…", proof: per_row, reason: "…"}
          profile:                        # json or jsonb: what each path leads to, by a function that scrub.json knows
            json:
              $.contact.email: email
              $.contact.phones[*]: {function: phone, proof: per_row, reason: "…"}
          log: {expression: scripted, leaves: [$.**.email]}
        where: "created_at > '2020-01-01'"
      public.sessions: truncate           # no rows
      public.drafts: skip                 # no rows, and the scripts do not see any
      public.countries: {keep: all, reason: "…"}
    elsewhere:
      comments: keep                      # each place besides rows where data can hide

`proof` says how far an original may come (`everywhere` unless it says per_column, per_row, or none with a reason);
`leaves` says which parts of a document are originals. `TODO` stands for what nobody has decided: no run takes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

import yaml

from etl_runtime.contract import RULES_FILE, ExitCode
from etl_runtime.faults import Fault
from etl_runtime.json_path import JsonPathError, json_path_steps
from etl_runtime.rules import (
    DROPPABLE_PLACES,
    PLACES,
    ColumnRule,
    Decision,
    PathRule,
    PlaceRule,
    Proof,
    Rules,
    TableRule,
)
from etl_runtime.toc import identifiers, relation
from etl_runtime.yaml_checks import YamlChecks, line_of

UNDECIDED = "TODO"
"""What stands where a decision is yet to be made."""
_PROOFS: tuple[Proof, ...] = get_args(Proof)
_FUNCTION = re.compile(r"(?:scrub\.)?[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True, order=True)
class RuleFault:
    """What is wrong at a line of columns.yaml, counted from 1; line 0 is the file as a whole."""

    line: int
    problem: str

    def __str__(self) -> str:
        return f"{RULES_FILE}:{self.line}: {self.problem}" if self.line else f"{RULES_FILE}{self.problem}"


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
    rules, faults = parse_rules(content)
    if faults:
        raise Fault(ExitCode.CONFIG, "; ".join(map(str, faults)))
    return rules


def parse_rules(content: str) -> tuple[Rules, tuple[RuleFault, ...]]:
    """The rules that a document holds, and everything that is wrong with it, in the order in which it is found.

    Where there are faults, the rules are what could be made out.
    """
    nothing = Rules(RULES_FILE, (), {})
    try:
        root = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        return nothing, (RuleFault(line, f"not YAML: {error.problem or 'it does not parse'}"),)
    except yaml.YAMLError:
        return nothing, (RuleFault(0, ": not YAML: it holds a character that YAML forbids"),)
    if root is None:
        return nothing, (RuleFault(0, " is empty: it classifies every table and column"),)
    document = _Document()
    rules = document.rules(root)
    return rules, tuple(RuleFault(line, problem) for line, problem in document.faults)


class _Document(YamlChecks):
    """Makes rules of YAML nodes."""

    def __init__(self) -> None:
        super().__init__()
        self._patterns: set[str] = set()

    def rules(self, root: yaml.Node) -> Rules:
        top = self.mapping(root, RULES_FILE)
        self.known(top, ("version", "tables", "elsewhere"), RULES_FILE)
        if "version" not in top or self.text(top["version"][1], "version") != "1":
            self.fault(top["version"][1] if "version" in top else root, "version must be 1")
        tables = self.mapping(top["tables"][1], "tables") if "tables" in top else {}
        places = self.mapping(top["elsewhere"][1], "elsewhere") if "elsewhere" in top else {}
        self.known(places, PLACES, "elsewhere")
        return Rules(
            RULES_FILE,
            tuple(self._table(name, key, value) for name, (key, value) in tables.items()),
            {name: self._place(name, value) for name, (_, value) in places.items() if name in PLACES},
        )

    def _table(self, name: str, key: yaml.Node, node: yaml.Node) -> TableRule:
        line = line_of(key)
        pattern = self._pattern(name, key)
        if isinstance(node, yaml.ScalarNode):
            word = cast(str, node.value)
            if word == UNDECIDED:
                self.fault(node, f"{name} is {UNDECIDED}: decide its columns:, keep: all, truncate or skip")
            elif word not in ("truncate", "skip"):
                self.fault(node, f"{name} must be truncate, skip, or a mapping such as {{keep: all, reason: …}}")
            return TableRule(pattern, line, "skip" if word == "skip" else "truncate")
        entries = self.mapping(node, name)
        self.known(entries, ("columns", "where", "keep", "reason"), name)
        values = self.texts(entries, ("where", "keep", "reason"))
        where, reason = values.get("where", ""), values.get("reason", "")
        if "keep" in entries:
            if values["keep"] != "all" or "columns" in entries or "where" in entries:
                self.fault(key, f"{name}: keep takes the word all, and no columns or where beside it")
            if not reason:
                self.fault(key, f"{name}: keep: all keeps columns yet to come as well; say why with reason:")
            return TableRule(pattern, line, "keep", reason=reason)
        if "columns" not in entries:
            self.fault(key, f"{name} must say columns:, keep: all, truncate or skip")
            return TableRule(pattern, line, "skip")
        columns = self.mapping(entries["columns"][1], f"columns of {name}")
        rules = {column: self._column(f"{name}.{column}", value) for column, (_, value) in columns.items()}
        return TableRule(pattern, line, "columns", rules, where, reason)

    def _pattern(self, name: str, key: yaml.Node) -> str:
        """What a table's key stands for; a name spelt in two ways is one table."""
        is_glob = any(character in name for character in "*?[")
        parts = identifiers(name)
        if not is_glob and len(parts) != 2:
            self.fault(key, f"{name!a} must be schema.table")
        pattern = name if is_glob or len(parts) != 2 else relation(*parts)
        if pattern in self._patterns:
            self.fault(key, f"{pattern} stands twice in tables")
        self._patterns.add(pattern)
        return pattern

    def _column(self, name: str, node: yaml.Node) -> ColumnRule:
        line = line_of(node)
        if isinstance(node, yaml.ScalarNode):
            return self._word_or_expression(name, node, line)
        entries = self.mapping(node, name)
        self.known(entries, ("expression", "json", "keep", "proof", "leaves", "reason"), name)
        kinds = [key for key in ("expression", "json", "keep") if key in entries]
        if len(kinds) != 1:
            self.fault(node, f"{name} must have one of expression, json and keep")
            return ColumnRule("keep", line)
        reason = self.texts(entries, ("reason",)).get("reason", "")
        if kinds[0] != "expression":
            for key in ("proof", "leaves"):
                if key in entries:
                    where = "at each of its paths" if kinds[0] == "json" else "nowhere: what is kept is not proved"
                    self.fault(entries[key][0], f"{key} of {name} stands {where}")
        if kinds[0] == "json":
            return ColumnRule("json", line, reason=reason, paths=self._paths(name, entries["json"][1]))
        if kinds[0] == "keep":
            return ColumnRule("keep", line, reason=reason)
        base = self._word_or_expression(name, entries["expression"][1], line)
        proof = self._proof(name, entries, reason)
        leaves = self._leaves(name, entries["leaves"][1]) if "leaves" in entries else ()
        if base.kind == "keep" and {"proof", "leaves"} & entries.keys():
            self.fault(node, f"{name} is kept, and what is kept is not proved")
        return ColumnRule(base.kind, line, base.expression, proof, reason, leaves=leaves)

    def _word_or_expression(self, name: str, node: yaml.Node, line: int) -> ColumnRule:
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
            return ColumnRule("expression", line, "NULL")
        text = self.text(node, name).strip()
        if text in ("keep", "scripted"):
            return ColumnRule(text, line)
        if text == UNDECIDED:
            self.fault(node, f"{name} is {UNDECIDED}: decide keep, scripted, json: or an SQL expression")
        elif not text:
            self.fault(node, f"{name} must be keep, scripted or an SQL expression")
        return ColumnRule("expression", line, text)

    def _proof(self, name: str, entries: Mapping[str, tuple[yaml.Node, yaml.Node]], reason: str) -> Proof:
        if "proof" not in entries:
            return "everywhere"
        key, node = entries["proof"]
        word = self.text(node, f"proof of {name}")
        for proof in _PROOFS:
            if word == proof:
                if proof == "none" and not reason:
                    self.fault(key, f"{name} is not proved; say why with reason:")
                return proof
        self.fault(node, f"proof of {name} must be one of {', '.join(_PROOFS)}")
        return "everywhere"

    def _leaves(self, name: str, node: yaml.Node) -> tuple[str, ...]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.fault(node, f"leaves of {name} must be a list of JSON paths")
            return ()
        return tuple(self._path(item, f"a leaf of {name}") for item in cast(list[yaml.Node], node.value))

    def _paths(self, name: str, node: yaml.Node) -> dict[str, PathRule]:
        entries = self.mapping(node, f"json of {name}")
        if isinstance(node, yaml.MappingNode) and not entries:
            self.fault(node, f"json of {name} has no path; keep the column, or name what is personal in it")
        return {
            self._path(key, f"a path of {name}"): self._path_rule(f"{path} of {name}", value)
            for path, (key, value) in entries.items()
        }

    def _path(self, node: yaml.Node, what: str) -> str:
        text = self.text(node, what)
        try:
            json_path_steps(text)
        except JsonPathError as error:
            self.fault(node, f"{what}: {error}")
        return text

    def _path_rule(self, name: str, node: yaml.Node) -> PathRule:
        line = line_of(node)
        entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        if not isinstance(node, yaml.ScalarNode):
            entries = self.mapping(node, name)
            self.known(entries, ("function", "proof", "reason"), name)
            if "function" not in entries:
                self.fault(node, f"{name} must have a function")
                return PathRule("", line)
            node = entries["function"][1]
        function = self.text(node, f"function of {name}")
        if function == UNDECIDED:
            self.fault(node, f"{name} is {UNDECIDED}: decide its function")
        elif not _FUNCTION.fullmatch(function):
            self.fault(node, f"{name} must be the name of a function that scrub.json knows, such as email")
        reason = self.texts(entries, ("reason",)).get("reason", "")
        return PathRule(function, line, self._proof(name, entries, reason), reason)

    def _place(self, name: str, node: yaml.Node) -> PlaceRule:
        line = line_of(node)
        reason = ""
        if isinstance(node, yaml.ScalarNode):
            word = cast(str, node.value)
        else:
            entries = self.mapping(node, name)
            self.known(entries, ("decision", "reason"), name)
            word = self.text(entries["decision"][1], name) if "decision" in entries else ""
            reason = self.text(entries["reason"][1], name) if "reason" in entries else ""
        if word == UNDECIDED:
            self.fault(node, f"elsewhere.{name} is {UNDECIDED}: decide keep, drop (comments, large objects) or stop")
            return PlaceRule("stop", line)
        allowed: tuple[Decision, ...] = ("keep", "drop", "stop") if name in DROPPABLE_PLACES else ("keep", "stop")
        if word not in allowed:
            self.fault(node, f"elsewhere.{name} must be one of {', '.join(allowed)}")
            return PlaceRule("stop", line)
        return PlaceRule(cast(Decision, word), line, reason)
