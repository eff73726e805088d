"""The page of access: who may do what to which resource, as the policies of all stacks together give it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from etl_infra.documents.access_matrix import Right, access_matrix
from etl_local.documentation.markdown import code, page, table
from etl_local.rendering.recorded_stack import RecordedStack

_PREFACE: Final = """\
<!-- `make docs` writes this page from the policies that the stacks register. -->
# Access

Who may do what to which resource, derived from the policies that the three stacks register: a right stands here if
every policy that has a say allows it. Identifiers that only a cloud could give are made up from names. What does not
stand here, this project gives nobody; other policies of an account may."""


def registered_rights(stacks: Mapping[str, RecordedStack]) -> list[Right]:
    """Every right that the policies of these stacks give, of roles and services.

    Args:
        stacks: the recorded stacks by environment; rights across accounts need both sides.
    """
    return access_matrix({name: stack.deployment.resources for name, stack in stacks.items()})


def access_page(rights: Iterable[Right]) -> str:
    """The page, a section for each principal."""
    sections: defaultdict[str, defaultdict[tuple[str, str], set[str]]] = defaultdict(lambda: defaultdict(set))
    for right in rights:
        sections[right.principal][right.resource, right.condition].add(right.action)
    lines = [_PREFACE]
    for principal, reached in sorted(sections.items()):
        rows = [
            (code(resource), ", ".join(map(code, sorted(actions))), condition)
            for (resource, condition), actions in sorted(reached.items())
        ]
        lines += ["", f"## {principal}", "", *table(("Resource", "Actions", "Only when"), rows)]
    return page(*lines)
