"""A first columns.yaml: a rule or a TODO for everything that a schema has, and beside each why it stands there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

import yaml
from etl_runtime.rules import PLACES
from etl_runtime.rules_document import UNDECIDED

from etl_cli.rules.rows import RowSource, column_values
from etl_cli.rules.schema import Schema, Table
from etl_cli.rules.suggestions import Suggestion, Suggestions

_HEAD: Final = """\
# What is personal, and what becomes of it: a first draft by `postgres-etl rules init`, from names, types and a sample.
#
# Decide every {undecided}; no run takes one. Read the rest, too: a comment says how sure it is (high at best) and why.
# `postgres-etl rules check` tells what is left.
version: 1
tables:
"""
_PLACES: Final = {
    "enum_labels": ("keep", "labels that developers wrote"),
    "sequences": ("keep", "numbers"),
    "materialized_views": ("keep", "computed anew at the load, from cleaned tables"),
    "defaults": ("keep", "what developers wrote"),
    "check_expressions": ("keep", "what developers wrote"),
}


def draft_rules(schema: Schema, source: RowSource, most: int) -> str:
    """The text of the file.

    Args:
        schema: What it is for.
        source: Where a sample of rows is had from.
        most: Rows of each table to look at.
    """

    @cache
    def rows(name: str) -> Sequence[tuple[str | None, ...]]:
        return source.rows(schema.tables[name], most)

    def values(table: Table, column: str) -> Sequence[str]:
        leaf = next(iter(schema.leaves(table.name)), table)
        return column_values(leaf, rows(leaf.name), column)

    suggestions = Suggestions(schema, values)
    lines = [_HEAD.format(undecided=UNDECIDED)]
    done: set[str] = set()
    for table in schema.with_rows:
        if table.name in done:
            continue
        pattern, family = _family(schema, table)
        done.update(member.name for member in family)
        more = "" if table.dumped_columns else " {}"
        lines.append(f"  {_scalar(pattern)}:\n    columns:{more}\n")
        for name in table.dumped_columns:
            lines += (f"      {line}\n" for line in _column(name, suggestions.of(table, name)))
        lines.append("\n")
    lines.append("elsewhere:\n")
    for place in PLACES:
        if found := schema.place(place):
            decision, why = _PLACES.get(place, (UNDECIDED, f"such as {found[0]}"))
            lines.append(f"  {place}: {decision}  # {why}\n")
    return "".join(lines)


def _family(schema: Schema, table: Table) -> tuple[str, Sequence[Table]]:
    """One rule for the parts of a partitioned table, where a glob names them and nothing else."""
    for name in schema.ancestors(table.name) - {table.name}:
        if schema.tables[name].kind == "partitioned" and not (schema.ancestors(name) - {name}):
            family = schema.leaves(name)
            covered = [other for other in schema.tables.values() if other.name.startswith(name)]
            plain = '"' not in name
            if plain and {t.name for t in covered if t.kind == "table"} == {t.name for t in family}:
                return f"{name}*", family
    return table.name, (table,)


def _column(name: str, suggestion: Suggestion) -> Iterator[str]:
    key = _scalar(name)
    if suggestion.paths:
        yield _commented(f"{key}:", suggestion.comment)
        yield "  json:"
        for path, leaf in suggestion.paths.items():
            yield _commented(f"    {_scalar(path)}: {_leaf(leaf)}", leaf.comment)
        return
    text = suggestion.expression(name)
    if suggestion.proof:
        yield _commented(f"{key}:", suggestion.comment)
        yield f"  expression: {_scalar(text)}"
        yield f"  proof: {suggestion.proof}"
        yield f"  reason: {_scalar(suggestion.reason)}"
    else:
        yield _commented(f"{key}: {_scalar(text)}", suggestion.comment)


def _leaf(leaf: Suggestion) -> str:
    if not leaf.proof:
        return leaf.rule
    return f"{{function: {leaf.rule}, proof: {leaf.proof}, reason: {json.dumps(leaf.reason)}}}"


def _commented(line: str, comment: str) -> str:
    return f"{line}  # {comment}" if comment else line


def _scalar(text: str) -> str:
    """A text as YAML, without quotes where it needs none."""
    try:
        is_plain = yaml.safe_load(f"{text}: 0") == {text: 0} and yaml.safe_load(f"k: {text}") == {"k": text}
    except yaml.YAMLError:
        is_plain = False
    return text if is_plain else json.dumps(text, ensure_ascii=False)
