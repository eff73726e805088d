"""The leaves of JSON documents by their paths. A key that seems to be data itself stands as `.*`, never by its name."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_ -]{0,39}")
_MOST_KEYS: Final = 40
"""More keys than these at one place are no fields of a form."""


def json_leaves(documents: Sequence[str]) -> dict[str, list[str]]:
    """JSON path, as `scrub.json` takes it → the texts found there; other leaves' paths have none.

    Args:
        documents: A sample; what is no JSON is passed over.
    """
    parsed: list[Any] = []
    for text in documents:
        try:
            parsed.append(json.loads(text))
        except ValueError:
            continue
    found: dict[str, list[str]] = defaultdict(list)
    _gather("$", parsed, found)
    return dict(sorted(found.items()))


def _gather(path: str, nodes: Sequence[Any], found: dict[str, list[str]]) -> None:
    objects = [node for node in nodes if isinstance(node, Mapping)]
    elements = [element for node in nodes if isinstance(node, list) for element in node]
    leaves = [node for node in nodes if not isinstance(node, Mapping | list) and node is not None]
    if leaves:
        found[path].extend(leaf for leaf in leaves if isinstance(leaf, str) and leaf)
    if elements:
        _gather(f"{path}[*]", elements, found)
    below: dict[str, list[Any]] = defaultdict(list)
    for node in objects:
        for key, value in node.items():
            below[key].append(value)
    if len(below) > _MOST_KEYS or not all(_KEY.fullmatch(key) for key in below):
        _gather(f"{path}.*", [value for values in below.values() for value in values], found)
        return
    for key, values in below.items():
        _gather(f'{path}."{key}"' if " " in key or "-" in key else f"{path}.{key}", values, found)
