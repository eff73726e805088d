"""The admission rules of an API server: namespaces, service accounts, Pod Security and quotas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from etl_local.kubernetes_kinds import (
    NAMESPACE,
    POD,
    RESOURCE_QUOTA,
    SERVICE_ACCOUNT,
    Kinds,
    Object,
    ResourceType,
)
from etl_local.kubernetes_status import forbidden, not_found

_ENFORCED = "pod-security.kubernetes.io/enforce"
_FINISHED = {"Succeeded", "Failed"}
_RESTRICTED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


class Objects(Protocol):
    """What admission reads of the store."""

    kinds: Kinds

    def find(self, kind: ResourceType, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        ...

    def list(self, kind: ResourceType, namespace: str | None = None) -> list[Object]:
        """The objects of a kind, in one namespace or in all."""
        ...

    def count(self, kind: ResourceType, namespace: str, counted: Callable[[Object], bool]) -> int:
        """How many objects of a kind and namespace satisfy a condition."""
        ...


def admit_namespace(objects: Objects, kind: ResourceType, obj: Object) -> None:
    """A namespace must exist, and not be on its way out, before anything is created in it.

    Raises:
        KubernetesError: 404, 403.
    """
    if not kind.namespaced:
        return
    name = obj["metadata"]["namespace"]
    namespace = objects.find(NAMESPACE, "", name)
    if namespace is None:
        raise not_found(NAMESPACE, name)
    if namespace["metadata"].get("deletionTimestamp"):
        message = f"namespace {name} is being terminated"
        cause = {"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}
        raise forbidden(
            kind,
            obj["metadata"].get("name", ""),
            f"unable to create new content in namespace {name} because it is being terminated",
            [cause],
        )


def admit_service_account(objects: Objects, kind: ResourceType, obj: Object) -> None:
    """A pod runs as a service account that exists; `default` where it names none.

    Raises:
        KubernetesError: 403.
    """
    if kind != POD:
        return
    spec, metadata = obj["spec"], obj["metadata"]
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    if objects.find(SERVICE_ACCOUNT, metadata["namespace"], name) is None:
        why = f'error looking up service account {metadata["namespace"]}/{name}: serviceaccount "{name}" not found'
        raise forbidden(POD, metadata["name"], why)


def admit_pod_security(objects: Objects, kind: ResourceType, obj: Object) -> None:
    """The namespace's `pod-security.kubernetes.io/enforce` level, `restricted` in full and nothing of the others.

    Raises:
        KubernetesError: 403, naming every rule that the pod breaks.
    """
    if kind != POD:
        return
    namespace = objects.find(NAMESPACE, "", obj["metadata"]["namespace"]) or {"metadata": {}}
    if (namespace["metadata"].get("labels") or {}).get(_ENFORCED) != "restricted":
        return
    if found := list(_violations(obj["spec"])):
        why = f'violates PodSecurity "restricted:latest": {", ".join(found)}'
        raise forbidden(POD, obj["metadata"]["name"], why)


def _violations(spec: dict[str, Any]) -> Iterator[str]:
    context = spec.get("securityContext") or {}
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    contexts = [(c["name"], c.get("securityContext") or {}) for c in containers]
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"host namespaces ({field}=true)"
    if names := [name for name, own in contexts if own.get("privileged")]:
        yield f"privileged ({_containers(names)} must not set securityContext.privileged=true)"
    if names := [name for name, own in contexts if own.get("allowPrivilegeEscalation") is not False]:
        yield (
            f"allowPrivilegeEscalation != false ({_containers(names)} must set "
            "securityContext.allowPrivilegeEscalation=false)"
        )
    if names := [name for name, own in contexts if not _drops_all(own)]:
        yield (f'unrestricted capabilities ({_containers(names)} must set securityContext.capabilities.drop=["ALL"])')
    kinds = {next(iter(volume.keys() - {"name"}), "") for volume in spec.get("volumes") or []}
    if refused := sorted(kinds - _RESTRICTED_VOLUMES):
        yield f"restricted volume types (volumes use restricted volume types {', '.join(refused)})"
    if names := [name for name, own in contexts if own.get("runAsNonRoot", context.get("runAsNonRoot")) is not True]:
        yield f"runAsNonRoot != true (pod or {_containers(names)} must set securityContext.runAsNonRoot=true)"
    if names := [name for name, own in contexts if own.get("runAsUser", context.get("runAsUser")) == 0]:
        yield f"runAsUser=0 (pod or {_containers(names)} must not set runAsUser=0)"
    if names := [name for name, own in contexts if not _is_confined(own, context)]:
        yield (
            f"seccompProfile (pod or {_containers(names)} must set securityContext.seccompProfile.type to "
            '"RuntimeDefault" or "Localhost")'
        )


def _drops_all(own: dict[str, Any]) -> bool:
    capabilities = own.get("capabilities") or {}
    added = set(capabilities.get("add") or [])
    return "ALL" in (capabilities.get("drop") or []) and added <= {"NET_BIND_SERVICE"}


def _is_confined(own: dict[str, Any], context: dict[str, Any]) -> bool:
    profile = own.get("seccompProfile") or context.get("seccompProfile") or {}
    return profile.get("type") in {"RuntimeDefault", "Localhost"}


def _containers(names: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"container{'s' if len(names) > 1 else ''} {quoted}"


def admit_quota(objects: Objects, kind: ResourceType, obj: Object) -> None:
    """No more objects than the namespace's quotas count: `count/<plural>.<group>`, and `pods` that have not finished.

    Finished Jobs count, until they are deleted. Quotas of CPU, memory and storage are not enforced.

    Raises:
        KubernetesError: 403.
    """
    if not kind.namespaced:
        return
    charged = {f"count/{kind.qualified}"} | ({"pods"} if kind == POD else set())
    for quota in objects.list(RESOURCE_QUOTA, obj["metadata"]["namespace"]):
        hard, used = (quota.get("spec") or {}).get("hard") or {}, quota_usage(objects, quota)
        if over := sorted(name for name in charged & hard.keys() if used[name] + 1 > int(hard[name])):
            requested = ",".join(f"{name}=1" for name in over)
            spent = ",".join(f"{name}={used[name]}" for name in over)
            limited = ",".join(f"{name}={hard[name]}" for name in over)
            why = f"requested: {requested}, used: {spent}, limited: {limited}"
            raise forbidden(kind, obj["metadata"]["name"], f"exceeded quota: {quota['metadata']['name']}, {why}")


def quota_usage(objects: Objects, quota: Object) -> dict[str, int]:
    """How much of each counted thing is there, for the names in a quota's `spec.hard` that are counts."""
    namespace = quota["metadata"]["namespace"]
    usage: dict[str, int] = {}
    for name in (quota.get("spec") or {}).get("hard") or {}:
        if name == "pods":
            usage[name] = objects.count(POD, namespace, lambda pod: pod["status"].get("phase") not in _FINISHED)
        elif name.startswith("count/"):
            kind = next((kind for kind in objects.kinds if f"count/{kind.qualified}" == name), None)
            usage[name] = objects.count(kind, namespace, lambda _obj: True) if kind else 0
    return usage
