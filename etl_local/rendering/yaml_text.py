"""YAML for people: long texts by the line, short lists in one line, no anchors, keys in the order given."""

from __future__ import annotations

from typing import Any, Final

import yaml

_LONGEST_LIST_IN_A_LINE: Final = 90


def yaml_text(value: Any) -> str:
    """The value as YAML, the same for the same value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as such, no anchors, lists indented below their key."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the name is PyYAML's
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002  # the same
        super().increase_indent(flow, False)


def _represent_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    plain = all(isinstance(item, str | int | float) for item in items)
    fits = sum(len(str(item)) + 2 for item in items) <= _LONGEST_LIST_IN_A_LINE
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=plain and fits)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(str, _represent_text)
