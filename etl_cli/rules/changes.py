"""What changed between two sets of rules and their schemas, as a reviewer wants it: what releases more comes first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Final

from etl_runtime.rules import ColumnRule, PathRule, PlaceRule, Proof, Rules, TableRule

from etl_cli.rules.schema import Schema

_STRENGTH: Final[Mapping[Proof, int]] = {"none": 0, "per_row": 1, "per_column": 2, "everywhere": 3}
_NOTHING: Final = "—"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A scrub directory as it is, or was.

    Attributes:
        rules: of columns.yaml.
        scripts: file name → text.
        schema: of the snapshot beside them, if there is one.
    """

    rules: Rules
    scripts: Mapping[str, str]
    schema: Schema | None


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is otherwise than before; `releases_more`: values may come out that did not."""

    subject: str
    before: str
    after: str
    releases_more: bool = False

    @property
    def line(self) -> str:
        """For people."""
        return f"{'!' if self.releases_more else ' '} {self.subject}: {self.before} → {self.after}"


def changes(before: RuleSet, after: RuleSet) -> list[Change]:
    """All changes; those that release more come first, the others as they stand in the rules."""
    found = [
        *_schema_changes(before.schema, after.schema, after.rules),
        *_table_changes(before.rules, after.rules),
        *_place_changes(before.rules, after.rules),
        *_script_changes(before.scripts, after.scripts),
    ]
    return sorted(found, key=lambda change: not change.releases_more)


def _schema_changes(before: Schema | None, after: Schema | None, rules: Rules) -> Iterator[Change]:
    """New, gone and changed columns; of a new one, what the rules make of it."""
    if before is None or after is None:
        return
    for name in [*before.tables, *(name for name in after.tables if name not in before.tables)]:
        old, new = before.tables.get(name), after.tables.get(name)
        if new is None or old is None:
            yield Change(f"table {name}", _NOTHING if old is None else "there", _NOTHING if new is None else "there")
            continue
        columns = [*old.columns, *(column for column in new.columns if column not in old.columns)]
        covering = rules.covering(*new.parts)
        for column in columns:
            was, now = old.columns.get(column), new.columns.get(column)
            if was != now:
                rule = covering[0].columns.get(column) if len(covering) == 1 else None
                told = f"{_type(now)}, {_column_text(rule)}" if was is None and rule is not None else _type(now)
                kept = (
                    was is None
                    and bool(covering)
                    and (covering[0].mode == "keep" or (rule is not None and rule.kind == "keep"))
                )
                yield Change(f"column {name}.{column}", _type(was), told, releases_more=kept)


def _type(column: object) -> str:
    return _NOTHING if column is None else str(getattr(column, "type", column))


def _table_changes(before: Rules, after: Rules) -> Iterator[Change]:
    old, new = ({rule.pattern: rule for rule in rules.tables} for rules in (before, after))
    for pattern in [*old, *(pattern for pattern in new if pattern not in old)]:
        yield from _rule_changes(pattern, old.get(pattern), new.get(pattern))


def _rule_changes(pattern: str, old: TableRule | None, new: TableRule | None) -> Iterator[Change]:
    if old is None or new is None or old.mode != new.mode:
        was_empty = old is None or old.mode in ("truncate", "skip")
        more = new is not None and new.mode not in ("truncate", "skip") and (was_empty or new.mode == "keep")
        yield Change(pattern, _mode(old), _mode(new), releases_more=more)
        return
    if old.where != new.where:
        more = bool(old.where)
        yield Change(f"{pattern} where", old.where or "all rows", new.where or "all rows", releases_more=more)
    for column in [*old.columns, *(column for column in new.columns if column not in old.columns)]:
        yield from _column_changes(f"{pattern}.{column}", old.columns.get(column), new.columns.get(column))


def _mode(rule: TableRule | None) -> str:
    if rule is None:
        return _NOTHING
    return (
        "keep: all" if rule.mode == "keep" else f"{len(rule.columns)} columns" if rule.mode == "columns" else rule.mode
    )


def _column_changes(subject: str, old: ColumnRule | None, new: ColumnRule | None) -> Iterator[Change]:
    if old is not None and new is not None and old.kind == new.kind == "json":
        for path in [*old.paths, *(path for path in new.paths if path not in old.paths)]:
            was, now = old.paths.get(path), new.paths.get(path)
            if _path_text(was) != _path_text(now):
                more = now is None or (was is not None and _STRENGTH[now.proof] < _STRENGTH[was.proof])
                yield Change(f"{subject} {path}", _path_text(was), _path_text(now), releases_more=more)
    elif _column_text(old) != _column_text(new):
        more = new is not None and (
            (new.kind == "keep" and (old is None or old.kind != "keep"))
            or (old is not None and old.kind != "keep" and _STRENGTH[new.proof] < _STRENGTH[old.proof])
            or (old is not None and bool(set(old.leaves) - set(new.leaves)) and bool(new.leaves))
        )
        yield Change(subject, _column_text(old), _column_text(new), releases_more=more)


def _column_text(rule: ColumnRule | None) -> str:
    if rule is None:
        return "no rule"
    if rule.kind == "json":
        return "json " + ", ".join(f"{path} by {_path_text(path_rule)}" for path, path_rule in rule.paths.items())
    text = rule.expression or rule.kind
    leaves = f", leaves {', '.join(rule.leaves)}" if rule.leaves else ""
    return text + _proof_text(rule.proof) + leaves if rule.kind != "keep" else text


def _path_text(rule: PathRule | None) -> str:
    return "kept" if rule is None else rule.function + _proof_text(rule.proof)


def _proof_text(proof: Proof) -> str:
    return "" if proof == "everywhere" else f" (proof: {proof})"


def _place_changes(before: Rules, after: Rules) -> Iterator[Change]:
    for name in dict.fromkeys([*before.elsewhere, *after.elsewhere]):
        was, now = before.place(name), after.place(name)
        if was.decision != now.decision:
            more = _rank(now) > _rank(was)
            yield Change(f"elsewhere.{name}", was.decision, now.decision, releases_more=more)


def _rank(place: PlaceRule) -> int:
    return ("stop", "drop", "keep").index(place.decision)


def _script_changes(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        if was is None or now is None:
            # What a script that is gone did is done no more.
            yield Change(
                name, "there" if was is not None else _NOTHING, "there" if now is not None else _NOTHING, now is None
            )
            continue
        lines = [line[:1] for line in unified_diff(was.splitlines(), now.splitlines(), n=0, lineterm="")][2:]
        yield Change(name, "script", f"{lines.count('+')} lines more, {lines.count('-')} less")
