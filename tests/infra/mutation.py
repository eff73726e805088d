"""A deployment with one setting taken away or changed: what a check must notice."""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
from dataclasses import dataclass
from typing import Any, Final

import yaml

from tests.infra.engine import Deployment, Registered


class Removed:
    """The value of a setting that is taken away."""

    def __repr__(self) -> str:
        return "removed"


REMOVED: Final = Removed()


@dataclass(frozen=True)
class Mutation:
    """One change of one resource, and the sentence that no longer holds then.

    Attributes:
        breaks: the sentence of the one check that must fail.
        kind: of the resource, as `Deployment.all` takes it.
        name: its logical name, "" for the first of its kind.
        path: keys of its inputs, into documents that are text, too; a list's item by its index, `Sid`, `name` or `id`.
            The first may be `@protect` or `@secrets`. Nothing at all removes the resource.
        value: what stands there then.
        stack: the fixture that is changed.
    """

    breaks: str
    kind: str
    name: str
    path: tuple[Any, ...] = ()
    value: Any = REMOVED
    stack: str = "whole"

    def __str__(self) -> str:
        return f"{self.name or self.kind}:{'.'.join(map(str, self.path))}={self.value}"

    def applied(self, deployment: Deployment) -> Deployment:
        """The deployment with this change; the one given is left alone.

        Raises:
            LookupError: there is nothing of the kind to change.
        """
        target = next(r for r in deployment.all(self.kind) if self.name in ("", r.name))
        resources = [changed for r in deployment.resources if (changed := self._changed(r) if r is target else r)]
        return Deployment(resources=resources, invokes=deployment.invokes, exports=deployment.exports)

    def _changed(self, resource: Registered) -> Registered | None:
        if not self.path:
            return None
        if str(self.path[0]).startswith("@"):
            return dataclasses.replace(resource, **{self.path[0][1:]: self.value})
        inputs = _with(resource.inputs, self.path, self.value)
        assert inputs != resource.inputs, f"{self} changes nothing"
        return dataclasses.replace(resource, inputs=inputs)


_json = functools.cache(json.loads)
_yaml = functools.cache(functools.partial(yaml.load, Loader=yaml.CSafeLoader))


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The value with another one at a path; what does not lie on the path is the same object."""
    if isinstance(value, str):
        if value.startswith(("{", "[")):
            return json.dumps(_with(_json(value), path, new))
        return yaml.dump(_with(_yaml(value), path, new), Dumper=yaml.CSafeDumper)
    head, *rest = path
    value = copy.copy(value)
    if isinstance(value, list):
        head = head if isinstance(head, int) else _index(value, head)
        if head == len(value):
            value.append(None)
    if rest:
        value[head] = _with(value[head], tuple(rest), new)
    elif new is REMOVED:
        del value[head]
    else:
        value[head] = new
    return value


def _index(items: list[Any], key: str) -> int:
    return next(i for i, item in enumerate(items) if isinstance(item, dict) and key in _names(item))


def _names(item: dict[str, Any]) -> set[Any]:
    return {item.get(name) for name in ("Sid", "name", "id", "message", "Name")}
