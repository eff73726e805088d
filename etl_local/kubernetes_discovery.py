"""What a Kubernetes API server says about itself: version, health, and the groups and kinds that it serves."""

from __future__ import annotations

from typing import Any

from etl_local.kubernetes_defaults import has_status
from etl_local.kubernetes_kinds import Kinds, ResourceType
from etl_local.kubernetes_status import KubernetesError

VERSION = {
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.0",
    "gitCommit": "0" * 40,
    "gitTreeState": "clean",
    "buildDate": "2025-08-27T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "local",
}
_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def discover(path: str, kinds: Kinds) -> dict[str, Any] | str:
    """The document, or for health the text, at a path that names no kind.

    Raises:
        KubernetesError: 404.
    """
    document: dict[str, Any] | str
    match [part for part in path.split("/") if part]:
        case ["version"]:
            document = VERSION
        case ["healthz" | "livez" | "readyz", *_]:
            document = "ok"
        case ["api"]:
            document = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            groups = [_group(group, kinds) for group in sorted({kind.group for kind in kinds if kind.group})]
            document = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["apis", group] if any(kind.group == group for kind in kinds):
            document = {"kind": "APIGroup", "apiVersion": "v1"} | _group(group, kinds)
        case ["api", version]:
            document = _resources("", version, kinds)
        case ["apis", group, version]:
            document = _resources(group, version, kinds)
        case _:
            raise KubernetesError(404, "the server could not find the requested resource")
    return document


def _group(group: str, kinds: Kinds) -> dict[str, Any]:
    versions = sorted({kind.version for kind in kinds if kind.group == group})
    entries = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": entries, "preferredVersion": entries[-1]}


def _resources(group: str, version: str, kinds: Kinds) -> dict[str, Any]:
    served = [kind for kind in kinds if (kind.group, kind.version) == (group, version)]
    if not served:
        raise KubernetesError(404, "the server could not find the requested resource")
    resources = [entry for kind in served for entry in _entries(kind)]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": served[0].api_version,
        "resources": resources,
    }


def _entries(kind: ResourceType) -> list[dict[str, Any]]:
    entry = {
        "name": kind.plural,
        "singularName": kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": _VERBS,
    }
    entries = [entry]
    if has_status(kind):
        entries.append(entry | {"name": f"{kind.plural}/status", "verbs": ["get", "patch", "update"]})
    if kind.kind == "Pod":
        entries.append(entry | {"name": "pods/log", "verbs": ["get"]})
        entries.append(entry | {"name": "pods/eviction", "kind": "Eviction", "verbs": ["create"]})
    return entries
