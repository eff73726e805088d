"""What every pod of the pipeline has in common: who it runs as, and all that it is not allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from etl_infra.documents.container_definition import RUNTIME_UID
from etl_infra.documents.iam import Text

Name = TypeVar("Name", bound=str)

POD_SECURITY: Final[Mapping[str, Any]] = {
    "runAsNonRoot": True,
    "runAsUser": RUNTIME_UID,
    "runAsGroup": RUNTIME_UID,
    "fsGroup": RUNTIME_UID,
    "seccompProfile": {"type": "RuntimeDefault"},
}

CONTAINER_SECURITY: Final[Mapping[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "privileged": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}


def environment(variables: Mapping[Name, Text]) -> list[dict[str, Text]]:
    """A container's environment, in name order."""
    return [{"name": str(name), "value": variables[name]} for name in sorted(variables)]


def resources(cpu_millis: int, memory_mib: int, ephemeral_storage_gib: int) -> dict[str, dict[str, str]]:
    """Requests equal to limits: a pod gets what it was promised, and cannot take more."""
    amount = {
        "cpu": f"{cpu_millis}m",
        "memory": f"{memory_mib}Mi",
        "ephemeral-storage": f"{ephemeral_storage_gib}Gi",
    }
    return {"requests": dict(amount), "limits": dict(amount)}
