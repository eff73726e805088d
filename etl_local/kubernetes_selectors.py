"""Label and field selectors, in the two forms that Kubernetes has: query text and the `LabelSelector` object."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from etl_local.kubernetes_kinds import Object, ResourceType
from etl_local.kubernetes_status import bad_request

Selector = Callable[[Object], bool]

_KEY = r"[A-Za-z0-9][A-Za-z0-9./_-]*"
_TERM = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<absent_key>{_KEY})"
    rf"|(?P<set_key>{_KEY})\s+(?P<set_operator>in|notin)\s*\((?P<values>[^()]*)\)"
    rf"|(?P<key>{_KEY})\s*(?P<operator>==|=|!=)\s*(?P<value>[A-Za-z0-9._-]*)"
    rf"|(?P<present_key>{_KEY}))\s*(?:,|$)"
)
_FIELDS = {
    "Pod": {
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.nominatedNodeName",
        "status.phase",
        "status.podIP",
    },
    "Event": {
        "involvedObject.kind",
        "involvedObject.name",
        "involvedObject.namespace",
        "involvedObject.uid",
        "reason",
        "type",
    },
    "Namespace": {"status.phase"},
    "Secret": {"type"},
}


def label_selector(text: str) -> Selector:
    """Read a `labelSelector` parameter: `a=b,c!=d,e in (f,g),h notin (i),j,!k`.

    Raises:
        KubernetesError: 400, not such a text.
    """
    terms: list[Callable[[Mapping[str, str]], bool]] = []
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if not match:
            raise bad_request(f"unable to parse requirement: {text[position:]}")
        terms.append(_term(match))
        position = match.end()
    return lambda obj: all(term(obj["metadata"].get("labels") or {}) for term in terms)


def _term(match: re.Match[str]) -> Callable[[Mapping[str, str]], bool]:
    if key := match["absent_key"]:
        return lambda labels: key not in labels
    if key := match["present_key"]:
        return lambda labels: key in labels
    if key := match["set_key"]:
        values = {value.strip() for value in match["values"].split(",")}
        return _in(key, values) if match["set_operator"] == "in" else _not_in(key, values)
    return _not_in(match["key"], {match["value"]}) if match["operator"] == "!=" else _in(match["key"], {match["value"]})


def _in(key: str, values: set[str]) -> Callable[[Mapping[str, str]], bool]:
    return lambda labels: key in labels and labels[key] in values


def _not_in(key: str, values: set[str]) -> Callable[[Mapping[str, str]], bool]:
    return lambda labels: key not in labels or labels[key] not in values


def matches_labels(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy a `LabelSelector` object; the empty one selects all."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or []:
        key, values = expression["key"], set(expression.get("values") or [])
        satisfied = {
            "In": _in(key, values),
            "NotIn": _not_in(key, values),
            "Exists": lambda found, key=key: key in found,
            "DoesNotExist": lambda found, key=key: key not in found,
        }[expression["operator"]]
        if not satisfied(labels):
            return False
    return True


def field_selector(text: str, kind: ResourceType) -> Selector:
    """Read a `fieldSelector` parameter: `metadata.name=a,status.phase!=Running`.

    Raises:
        KubernetesError: 400, not such a text, or a field by which this kind cannot be selected.
    """
    terms: list[tuple[list[str], str, bool]] = []
    for term in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"([A-Za-z.]+)(==|=|!=)(.*)", term)
        if not match:
            raise bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
        path, operator, value = match.groups()
        if path not in {"metadata.name", "metadata.namespace"} | _FIELDS.get(kind.kind, set()):
            raise bad_request(f"field label not supported: {path}")
        terms.append((path.split("."), value, operator != "!="))
    return lambda obj: all((_at(obj, path) == value) is wanted for path, value, wanted in terms)


def _at(obj: Any, path: list[str]) -> str:
    for part in path:
        obj = obj.get(part) if isinstance(obj, dict) else None
    return "" if obj is None else str(obj)
