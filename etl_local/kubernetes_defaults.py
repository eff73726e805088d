"""What an API server fills in before it stores an object: defaults, generated selectors, the fields it alone owns."""

from __future__ import annotations

import base64
import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

from etl_local.kubernetes_kinds import Object, ResourceType

_WITH_STATUS = {"CronJob", "Deployment", "Job", "Namespace", "Pod", "ReplicaSet", "ResourceQuota", "Service"}
"""Kinds whose status has an endpoint of its own, so that writes to the object itself cannot touch it."""

_GRACE_SECONDS = 30
_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words


def timestamp(moment: datetime | None = None) -> str:
    """A moment, now by default, as Kubernetes writes it: UTC, whole seconds."""
    return (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def generated_name(prefix: str) -> str:
    """A name from a `generateName`: the prefix and five random characters."""
    return prefix[:58] + "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(5))


def stamp(obj: Object) -> None:
    """Give a new object its identity, in place, and take from it what no client may set."""
    metadata = obj["metadata"]
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = generated_name(metadata["generateName"])
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "selfLink"):
        metadata.pop(field, None)
    metadata.update(uid=str(uuid.uuid4()), creationTimestamp=timestamp(), generation=1)


def has_status(kind: ResourceType) -> bool:
    """Whether the status is written through `…/status` alone."""
    return kind.kind in _WITH_STATUS


def fill_in(kind: ResourceType, obj: Object) -> None:
    """Complete a new object in place; its metadata has name and uid already."""
    if has_status(kind):
        obj["status"] = {}
    match kind.kind:
        case "Namespace":
            obj["status"] = {"phase": "Active"}
            obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
            obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
        case "Pod":
            _pod_spec(obj.setdefault("spec", {}))
            obj["status"] = {"phase": "Pending", "qosClass": _quality_of_service(obj["spec"])}
        case "Job":
            _job(obj)
        case "Deployment":
            _deployment(obj.setdefault("spec", {}))
        case "Secret":
            obj.setdefault("type", "Opaque")
        case "ServiceAccount":
            obj.pop("status", None)
        case _:
            pass
    _secret_text(kind, obj)


def fill_in_update(kind: ResourceType, new: Object, old: Object, *, subresource: str) -> None:
    """Complete a changed object in place: what its writer may not touch stays as it was."""
    kept = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink")
    for field in kept:
        new["metadata"].pop(field, None)
        if field in old["metadata"]:
            new["metadata"][field] = old["metadata"][field]
    if subresource == "status":
        _keep(new, old, "spec")
    elif has_status(kind):
        _keep(new, old, "status")
    match kind.kind:
        case "Pod":
            _pod_spec(new.setdefault("spec", {}))
        case "Job":
            # the generated parts are left out by those who apply a manifest again
            spec = new.setdefault("spec", {})
            _keep_missing(spec, old["spec"], "selector")
            _job(new)
        case "Deployment":
            _deployment(new.setdefault("spec", {}))
        case "Secret":
            new.setdefault("type", old.get("type", "Opaque"))
        case _:
            pass
    _secret_text(kind, new)


def _keep(new: Object, old: Object, field: str) -> None:
    new.pop(field, None)
    if field in old:
        new[field] = old[field]


def _keep_missing(new: Object, old: Object, field: str) -> None:
    if field in old:
        new.setdefault(field, old[field])


def _secret_text(kind: ResourceType, obj: Object) -> None:
    """`stringData` is written, `data` is read."""
    if kind.kind == "Secret" and obj.get("stringData"):
        data = obj.setdefault("data", {})
        for key, text in obj["stringData"].items():
            data[key] = base64.b64encode(text.encode()).decode()
    if kind.kind == "Secret":
        obj.pop("stringData", None)


def _job(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    uid, name = obj["metadata"]["uid"], obj["metadata"].get("name", "")
    indexed = spec.setdefault("completionMode", "NonIndexed") == "Indexed"
    if spec.get("completions") is None and spec.get("parallelism") is None and not indexed:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed")
    template = spec.setdefault("template", {})
    if not spec.get("manualSelector"):
        labels = template.setdefault("metadata", {}).setdefault("labels", {})
        for prefix in ("", "batch.kubernetes.io/"):
            labels[f"{prefix}controller-uid"] = uid
            labels[f"{prefix}job-name"] = name
        spec.setdefault("selector", {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or []:
        for pattern in rule.get("onPodConditions") or []:
            pattern.setdefault("status", "True")
    _pod_spec(template.setdefault("spec", {}))


def _deployment(spec: dict[str, Any]) -> None:
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate" and not strategy.get("rollingUpdate"):
        strategy["rollingUpdate"] = {"maxSurge": "25%", "maxUnavailable": "25%"}
    _pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))


def _pod_spec(spec: dict[str, Any]) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("terminationGracePeriodSeconds", _GRACE_SECONDS)
    spec.setdefault("securityContext", {})
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        _container(container)
    for volume in spec.get("volumes") or []:
        for source in ("configMap", "projected", "secret"):
            if volume.get(source) is not None:
                volume[source].setdefault("defaultMode", 0o644)


def _container(container: dict[str, Any]) -> None:
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("resources", {})
    latest = ":" not in container.get("image", "").rpartition("/")[2]
    container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(probe):
            defaults = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
            container[probe] = defaults | container[probe]


def _quality_of_service(spec: dict[str, Any]) -> str:
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    pairs = [
        ((c.get("resources") or {}).get("requests") or {}, (c.get("resources") or {}).get("limits") or {})
        for c in containers
    ]
    if not any(requests or limits for requests, limits in pairs):
        return "BestEffort"
    guaranteed = all(
        limits.get(name) and requests.get(name, limits[name]) == limits[name]
        for requests, limits in pairs
        for name in ("cpu", "memory")
    )
    return "Guaranteed" if guaranteed else "Burstable"
