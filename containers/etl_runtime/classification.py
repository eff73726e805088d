"""Rules against an archive: every table, column and hiding place has a decision, or nothing goes on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.rules import ColumnRule, Rules, TableRule, json_expression
from etl_runtime.toc import Toc, TocEntry, copy_columns, quoted, relation

_HARMLESS = frozenset(
    {
        "ENCODING",
        "STDSTRINGS",
        "SEARCHPATH",
        "DATABASE",
        "SCHEMA",
        "EXTENSION",
        "TABLE",
        "TABLE DATA",
        "TABLE ATTACH",
        "SEQUENCE",
        "SEQUENCE OWNED BY",
        "CONSTRAINT",
        "FK CONSTRAINT",
        "INDEX",
        "INDEX ATTACH",
        "COLLATION",
        "SHELL TYPE",
        "OPERATOR",
        "OPERATOR CLASS",
        "OPERATOR FAMILY",
        "CAST",
        "ACCESS METHOD",
        "TEXT SEARCH CONFIGURATION",
        "TEXT SEARCH DICTIONARY",
        "TEXT SEARCH PARSER",
        "TEXT SEARCH TEMPLATE",
        "STATISTICS",
        "ROW SECURITY",
        "TRANSFORM",
        "CONVERSION",
    }
)
NEVER_RELEASED = frozenset({"DATABASE PROPERTIES", "USER MAPPING"})
"""Settings of the source database and credentials for foreign servers: no load restores them, and both hold secrets."""
_PLACES = {
    "large_objects": {"BLOB", "BLOBS", "BLOB METADATA"},
    "comments": {"COMMENT"},
    "defaults": {"DEFAULT"},
    "check_expressions": {"CHECK CONSTRAINT", "DOMAIN", "POLICY"},
    "function_bodies": {
        "FUNCTION",
        "PROCEDURE",
        "AGGREGATE",
        "TRIGGER",
        "EVENT TRIGGER",
        "RULE",
        "VIEW",
        "PROCEDURAL LANGUAGE",
    },
    "materialized_views": {"MATERIALIZED VIEW", "MATERIALIZED VIEW DATA"},
    "foreign_servers": {"SERVER", "FOREIGN DATA WRAPPER", "FOREIGN TABLE"},
    "sequences": {"SEQUENCE SET"},
}
_NOUNS = {
    "BLOB": "large object",
    "BLOBS": "group of large objects",
    "BLOB METADATA": "group of large objects",
    "MATERIALIZED VIEW DATA": "materialized view",
    "SEQUENCE SET": "sequence",
    "TYPE": "enum",
}
"""What an entry is called where that is another word than its description."""
_CONTENTS_OF_OTHERS = {"BLOBS", "MATERIALIZED VIEW DATA"}
_RELATIONS = {
    "DOMAIN",
    "FOREIGN TABLE",
    "MATERIALIZED VIEW",
    "MATERIALIZED VIEW DATA",
    "SEQUENCE SET",
    "TABLE",
    "TYPE",
    "VIEW",
}
"""Entries whose tag is one plain name."""
_PLACE_OF = {description: place for place, descriptions in _PLACES.items() for description in descriptions}


@dataclass(frozen=True, slots=True)
class ClassifiedTable:
    """One table's rows in the archive, and the rule for them, the expressions of its `json` columns made."""

    entry: TocEntry
    rule: TableRule

    @property
    def name(self) -> str:
        """`schema.table`."""
        return relation(self.entry.schema, self.entry.tag)

    @property
    def sql_name(self) -> str:
        """The name in quotes, for statements."""
        return f"{quoted(self.entry.schema)}.{quoted(self.entry.tag)}"

    @property
    def columns(self) -> tuple[tuple[str, ColumnRule], ...]:
        """Name and rule of each column, in the order of the data file."""
        kept = ColumnRule("keep", self.rule.line)
        return tuple((name, self.rule.columns.get(name, kept)) for name in self.entry.columns)

    @property
    def scrubbed(self) -> tuple[tuple[str, ColumnRule], ...]:
        """The columns whose originals may not come out."""
        return tuple((name, rule) for name, rule in self.columns if rule.kind != "keep")

    @property
    def empties(self) -> bool:
        """Whether no row comes out."""
        return self.rule.mode in ("truncate", "skip")

    @property
    def rewrites(self) -> bool:
        """Whether the rule by itself, without any script, changes what comes out."""
        return self.empties or bool(self.rule.where) or any(rule.is_computed for _, rule in self.columns)


def classify(toc: Toc, rules: Rules) -> tuple[ClassifiedTable, ...]:
    """Match rules and archive, both ways.

    Raises:
        Fault: CONFIG, naming every table, column (with its type) and place that has no rule, and every rule, with its
            line, that names what is not in the archive.
    """
    faults: list[str] = []
    tables: list[ClassifiedTable] = []
    used: set[int] = set()
    definitions = {(e.schema, e.tag): e.definition for e in toc.entries if e.description == "TABLE"}
    domains = _domains(toc)
    for entry in toc.table_data:
        name = relation(entry.schema, entry.tag)
        rule = rules.table(entry.schema, entry.tag)
        if rule is None:
            faults.append(f"table {name} is not classified in {rules.path}")
            continue
        used.add(id(rule))
        columns = copy_columns(entry.copy_statement)
        if rule.mode == "columns":
            types = {column: _type(definitions.get((entry.schema, entry.tag), ""), column) for column in columns}
            faults += [
                f"column {name}.{column}{_in_brackets(types[column])} is not classified in {rules.path}:{rule.line}"
                for column in columns
                if column not in rule.columns
            ]
            faults += [
                f"{rules.path}:{column_rule.line}: {name} has no column {column}"
                for column, column_rule in rule.columns.items()
                if column not in columns
            ]
            rule, problems = _compiled(rule, {column: _base_type(domains, types[column]) for column in types})
            faults += [f"{rules.path}:{line}: {name}.{problem}" for line, problem in problems]
        tables.append(ClassifiedTable(entry, rule))
    faults += [
        f"{rules.path}:{rule.line}: the dump has no table {rule.pattern}"
        for rule in rules.tables
        if id(rule) not in used and not _without_rows(toc, rule)
    ]
    faults += _place_faults(toc, rules)
    if faults:
        raise Fault(ExitCode.CONFIG, _told(faults))
    return tuple(tables)


def dropped_descriptions(toc: Toc, rules: Rules) -> frozenset[str]:
    """The kinds of entries that are left out of the clean table of contents, by the rules or always."""
    present = {entry.description for entry in toc.entries}
    dropped = [_PLACES[place] for place in _PLACES if rules.place(place).decision == "drop"]
    return frozenset(present & NEVER_RELEASED.union(*dropped))


def _told(faults: list[str], most: int = 12) -> str:
    more = f"; and {len(faults) - most} more" if len(faults) > most else ""
    return "; ".join(faults[:most]) + more


def _without_rows(toc: Toc, rule: TableRule) -> bool:
    """Whether the rule is for a table that exists and of which a dump has no rows: a partitioned or foreign one."""
    return any(
        entry.description in ("TABLE", "FOREIGN TABLE") and rule.covers(entry.schema, entry.tag)
        for entry in toc.entries
    )


def _compiled(rule: TableRule, types: Mapping[str, str]) -> tuple[TableRule, list[tuple[int, str]]]:
    """The rule with the expressions of its `json` columns; and the line and column of each that is of another type."""
    columns = dict(rule.columns)
    problems: list[tuple[int, str]] = []
    for name, column in rule.columns.items():
        if column.kind == "json" and name in types:
            try:
                columns[name] = replace(column, expression=json_expression(name, column.paths, types[name]))
            except ValueError as error:
                problems.append((column.line, f"{name}: {error}"))
    return replace(rule, columns=columns), problems


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _type(definition: str, column: str) -> str:
    """The type that CREATE TABLE gives the column, or nothing where it cannot be told."""
    for name in (re.escape(column), re.escape(quoted(column))):
        match = re.search(
            rf"^\s+{name} (.+?)(?: (?:DEFAULT|NOT NULL|COLLATE|GENERATED|CONSTRAINT|STORAGE)\b.*)?,?$",
            definition,
            re.MULTILINE,
        )
        if match:
            return match[1]
    return ""


def _domains(toc: Toc) -> Mapping[str, str]:
    """Domain → the type that it is made on, both spelled as in column definitions."""
    created = (
        re.match(
            r"CREATE DOMAIN (.+?) AS (.+?)(?: (?:COLLATE|DEFAULT|NOT NULL|CONSTRAINT)\b.*)?(?:;|\n|$)", e.definition
        )
        for e in toc.entries
        if e.description == "DOMAIN"
    )
    return {domain[1]: domain[2] for domain in created if domain}


def _base_type(domains: Mapping[str, str], type_name: str) -> str:
    """What a domain stands on in the end; the type itself where it is none."""
    while type_name in domains:  # Postgres lets no domain stand on itself
        type_name = domains[type_name]
    return type_name


def _place_faults(toc: Toc, rules: Rules) -> list[str]:
    found: dict[str, list[TocEntry]] = {}
    faults: list[str] = []
    for entry in toc.entries:
        for place in _places(entry):
            if place:
                found.setdefault(place, []).append(entry)
            else:
                faults.append(
                    f"{entry.description} {relation(entry.schema, entry.tag)} is of a kind that no rule can allow"
                )
    for place, entries in found.items():
        if rules.place(place).decision == "stop":
            faults.append(f"{_counted(place, entries)}: decide elsewhere.{place} in {rules.path}")
    return faults


def _counted(place: str, entries: Sequence[TocEntry]) -> str:
    """How many of which kinds, and the first of them: `1 view, 2 functions in the dump, such as public.sales`."""
    shown = [entry for entry in entries if entry.description not in _CONTENTS_OF_OTHERS] or entries
    nouns = {**_NOUNS, "TABLE": f"table with {place.replace('_', ' ')}"}
    counts = Counter(nouns.get(entry.description, entry.description.lower()) for entry in shown)
    kinds = ", ".join(f"{count} {noun if count == 1 else _plural(noun)}" for noun, count in counts.items())
    return f"{kinds} in the dump, such as {_name(shown[0])}"


def _plural(noun: str) -> str:
    head, *rest = re.split(r"(?= of | with )", noun)
    return (f"{head[:-1]}ies" if head.endswith("y") else f"{head}s") + "".join(rest)


def _name(entry: TocEntry) -> str:
    """The name of what an entry is; other tags than a relation's are of several words, such as `TABLE users`."""
    if entry.description in _RELATIONS:
        return relation(entry.schema, entry.tag)
    return f"{entry.tag} in {relation(entry.schema, '')}" if entry.schema else entry.tag or entry.description.lower()


def _places(entry: TocEntry) -> list[str]:
    """The places that an entry fills; "" for a kind that is not known, which stops the run."""
    description = entry.description
    if description == "TYPE":
        return ["enum_labels"] if " AS ENUM " in entry.definition else []
    if description in ("TABLE", "FOREIGN TABLE"):
        places = ["defaults"] if re.search(r" DEFAULT ", entry.definition) else []
        places += ["check_expressions"] if re.search(r"\bCHECK \(", entry.definition) else []
        return places + (["foreign_servers"] if description == "FOREIGN TABLE" else [])
    if description in _HARMLESS | NEVER_RELEASED:
        return []
    return [_PLACE_OF.get(description, "")]
