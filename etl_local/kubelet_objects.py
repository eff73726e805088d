"""Reading and writing objects the way controllers do: owners, conditions, events."""

from __future__ import annotations

import contextlib
from typing import Any

from etl_local.kubernetes_defaults import generated_name, timestamp
from etl_local.kubernetes_kinds import EVENT, POD, Object, ResourceType
from etl_local.kubernetes_status import KubernetesError
from etl_local.kubernetes_store import ObjectStore

FINISHED = frozenset({"Succeeded", "Failed"})


def owner_reference(kind: ResourceType, owner: Object) -> dict[str, Any]:
    """What an object made by a controller says of its owner."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(obj: Object) -> dict[str, Any] | None:
    """The owner reference of the controller that made an object."""
    references = obj["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def pods_of(store: ObjectStore, owner: Object) -> list[Object]:
    """The pods that an object controls, the oldest first."""
    uid = owner["metadata"]["uid"]
    found = [
        pod for pod in store.list(POD, owner["metadata"]["namespace"]) if (controller_of(pod) or {}).get("uid") == uid
    ]
    return sorted(found, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))


def pod_from(template: dict[str, Any], name: str, kind: ResourceType, owner: Object) -> Object:
    """A pod of a controller's pod template."""
    metadata = template.get("metadata") or {}
    return {
        "metadata": {
            "name": name,
            "generateName": name[: name.rindex("-") + 1],
            "namespace": owner["metadata"]["namespace"],
            "labels": dict(metadata.get("labels") or {}),
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": [owner_reference(kind, owner)],
        },
        "spec": template["spec"],
    }


def is_ready(pod: Object) -> bool:
    """Whether a pod runs and its readiness probes succeed."""
    conditions = pod["status"].get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def has_condition(obj: Object, *types: str) -> bool:
    """Whether one of these conditions is true."""
    conditions = obj.get("status", {}).get("conditions") or []
    return any(condition["type"] in types and condition["status"] == "True" for condition in conditions)


def set_condition(status: dict[str, Any], kind: str, value: str, reason: str = "", message: str = "") -> None:
    """Set one condition in place; its transition time changes only with its status."""
    conditions = status.setdefault("conditions", [])
    condition = next((found for found in conditions if found["type"] == kind), None)
    if condition is None:
        condition = {"type": kind}
        conditions.append(condition)
    if condition.get("status") != value:
        condition["lastTransitionTime"] = timestamp()
    condition["status"] = value
    for field, text in (("reason", reason), ("message", message)):
        if text:
            condition[field] = text
        else:
            condition.pop(field, None)


def record_event(store: ObjectStore, kind: ResourceType, obj: Object, level: str, reason: str, message: str) -> None:
    """Write an Event about an object. It is lost when its namespace is on its way out, as in a cluster.

    Args:
        store: where.
        kind: the object's kind.
        obj: the object.
        level: `Normal` or `Warning`.
        reason: one word.
        message: a sentence.
    """
    metadata = obj["metadata"]
    now = timestamp()
    event: Object = {
        "metadata": {"name": generated_name(f"{metadata['name']}."), "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": level,
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": "local"},
    }
    with contextlib.suppress(KubernetesError):
        store.create(EVENT, event)
