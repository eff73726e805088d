"""Checks on YAML nodes that gather every fault with its line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import yaml


def line_of(node: yaml.Node) -> int:
    """The line that a node begins at, from 1."""
    return node.start_mark.line + 1


class YamlChecks:
    """Reads nodes as what they should be; what they are not is a fault, and reading goes on.

    Attributes:
        faults: Line and problem of each, in the order in which they were found.
    """

    def __init__(self) -> None:
        self.faults: list[tuple[int, str]] = []

    def fault(self, node: yaml.Node, problem: str) -> None:
        """Note a fault."""
        self.faults.append((line_of(node), problem))

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

    def texts(self, entries: Mapping[str, tuple[yaml.Node, yaml.Node]], words: tuple[str, ...]) -> dict[str, str]:
        """The texts of those of these keys that are there."""
        return {word: self.text(entries[word][1], word) for word in words if word in entries}

    def known(self, entries: Mapping[str, tuple[yaml.Node, Any]], names: tuple[str, ...], what: str) -> None:
        """Let there be no other keys than these."""
        for name, (key, _) in entries.items():
            if name not in names:
                self.fault(key, f"{what} has no key {name!a}; it has {', '.join(names)}")
