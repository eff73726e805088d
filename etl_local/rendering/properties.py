"""The difference of two structures, a line a property, the members of a list told apart by their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

import yaml

from etl_local.rendering.yaml_text import yaml_text

_NAMES: Final = ("Sid", "id", "Id", "name", "Name", "key", "sourceVolume", "cidr")
"""What tells the members of a list apart, so that one that is put in between does not seem to change the rest."""
_INDENT: Final = "    "
_ABSENT: Final = object()


def property_changes(before: Any, after: Any) -> list[str]:
    """The lines that a reader needs, marked in the first column.

    `!` is a value that changed (`path: old → new`), `+` and `-` one that came or went, whole.
    """
    return list(_compared("", before, after))


def _compared(path: str, before: Any, after: Any) -> Iterator[str]:
    if before == after:
        return
    match before, after:
        case dict(), dict():
            yield from _members(path, cast(dict[str, Any], before), cast(dict[str, Any], after), "{path}.{key}")
        case list(), list():
            yield from _lists(path, cast(list[Any], before), cast(list[Any], after))
        case _ if isinstance(before, dict | list) or isinstance(after, dict | list):
            yield from _whole("-", path, before)
            yield from _whole("+", path, after)
        case _:
            yield f"!{_INDENT}{path}: {_said(before)} → {_said(after)}"


def _members(path: str, before: dict[str, Any], after: dict[str, Any], form: str) -> Iterator[str]:
    for key in [*before, *(key for key in after if key not in before)]:
        place = form.format(path=path, key=key).lstrip(".")
        old, new = before.get(key, _ABSENT), after.get(key, _ABSENT)
        if new is _ABSENT:
            yield from _whole("-", place, old)
        elif old is _ABSENT:
            yield from _whole("+", place, new)
        else:
            yield from _compared(place, old, new)


def _lists(path: str, before: list[Any], after: list[Any]) -> Iterator[str]:
    name = next((name for name in _NAMES if _is_named(before, name) and _is_named(after, name)), None)
    if name:
        old, new = {item[name]: item for item in before}, {item[name]: item for item in after}
        if old == new:
            yield f"!{_INDENT}{path}: the same in another order"
        yield from _members(path, old, new, "{path}[{key}]")
    elif not any(isinstance(item, dict | list) for item in (*before, *after)):
        gone, come = [item for item in before if item not in after], [item for item in after if item not in before]
        if not gone and not come:
            yield f"!{_INDENT}{path}: the same in another order, or another number of times"
        yield from (f"-{_INDENT}{path}: {_said(item)}" for item in gone)
        yield from (f"+{_INDENT}{path}: {_said(item)}" for item in come)
    else:
        numbered = [{str(number): item for number, item in enumerate(items)} for items in (before, after)]
        yield from _members(path, numbered[0], numbered[1], "{path}[{key}]")


def _is_named(items: list[Any], name: str) -> bool:
    names = [cast(dict[str, Any], item).get(name) for item in items if isinstance(item, dict)]
    texts = [name for name in names if isinstance(name, str)]
    return len(texts) == len(items) == len(set(texts))


def _whole(mark: str, path: str, value: Any) -> Iterator[str]:
    """A value on a line of its own, or as a block below its path."""
    if not isinstance(value, dict | list) or not value:
        yield f"{mark}{_INDENT}{path}: {_said(value)}"
        return
    yield f"{mark}{_INDENT}{path}:"
    yield from (f"{mark}{_INDENT}  {line}" for line in yaml_text(value).splitlines())


def _said(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000).splitlines()[0]
