"""Every setting of what a stack registers, taken away or changed, one at a time: the mutations that nobody wrote."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.infra.checks import CHECKS
from tests.infra.checks.registry import Check
from tests.infra.engine import Deployment, Registered
from tests.infra.mutation import REMOVED, Mutation
from tests.infra.policies import policies


@dataclass(frozen=True)
class Leaf:
    """One setting: the resource that has it, its path there, and its value.

    Attributes:
        resource: that has it.
        path: keys of its inputs, and indices of lists, into documents that are text, too.
        value: what stands there.
    """

    resource: Registered
    path: tuple[Any, ...]
    value: Any

    @property
    def place(self) -> str:
        """The kind and the path, `*` for each place in a list."""
        return ".".join((kind(self.resource), *("*" if isinstance(key, int) else str(key) for key in self.path)))

    def mutations(self) -> Iterator[Mutation]:
        """Without it, and with another value."""
        for value in (REMOVED, another(self.value)):
            yield Mutation("", self.resource.type, self.resource.name, self.path, value)


def kind(resource: Registered) -> str:
    """The last part of a type, that of Kubernetes with its group: `Queue`, `v1:Role`."""
    of_kubernetes = resource.type.startswith("kubernetes:")
    return re.split(r"[/]" if of_kubernetes else ":", resource.type)[-1]


def leaves(deployment: Deployment) -> Iterator[Leaf]:
    """Every setting of every resource."""
    for resource in deployment.resources:
        if resource.type.startswith(("aws:", "kubernetes:")):
            yield from (Leaf(resource, path, value) for path, value in _leaves(resource.inputs, ()))


def _leaves(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    document = _document(value, path)
    if document is not None:
        value = document
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield path, value


def _document(value: Any, path: tuple[Any, ...]) -> Any:
    if not isinstance(value, str):
        return None
    if path[-1:] == ("job.yaml",):
        return yaml.safe_load(value)
    with contextlib.suppress(ValueError):
        return json.loads(value) if value.startswith(("{", "[")) else None
    return None


def another(value: Any) -> Any:
    """A value of the same sort that is not this one."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return str(int(value) + 1) if value.isdigit() else f"{value}x"
        case list():
            return ["x"]
        case _:
            return {"x": "x"}


class Watched(Registered):
    """A resource that notes who looks at its settings."""

    seen: set[str] = set()  # noqa: RUF012 - one for all of them is the point

    def __getattribute__(self, name: str) -> Any:
        if name == "inputs":
            Watched.seen.add(object.__getattribute__(self, "name"))
        return object.__getattribute__(self, name)


def watchers(deployment: Deployment) -> Mapping[str, list[Check]]:
    """Logical name → the checks that look at the settings of what has it: no other could see one change."""
    fields = [field.name for field in dataclasses.fields(Registered)]
    watched = dataclasses.replace(
        deployment,
        resources=[Watched(**{name: getattr(r, name) for name in fields}) for r in deployment.resources],
    )
    found: defaultdict[str, list[Check]] = defaultdict(list)
    for check in CHECKS.values():
        Watched.seen.clear()
        assert not list(check(watched))
        for name in Watched.seen:
            found[name].append(check)
    return found


def is_seen(mutation: Mutation, deployment: Deployment, checks: list[Check], agreed: Mapping[str, Any]) -> bool:
    """Whether a check no longer holds, or cannot even be made, or a policy is no longer the one that was agreed."""
    mutated = mutation.applied(deployment)
    try:
        if any(any(True for _ in check(mutated)) for check in checks):
            return True
    except (LookupError, TypeError, ValueError, AttributeError):
        return True
    return mutation.name in agreed and policies(mutated)[mutation.name] != agreed[mutation.name]
