"""What every pod of the pipeline has in common: who it runs as, and all that it is not allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class PodSize:
    """What one pod takes: thousandths of a core, MiB of memory, GiB of the node's disk."""

    cpu_millis: int
    memory_mib: int
    storage_gib: int

    def amounts(self) -> dict[str, str]:
        """The size as Kubernetes writes it."""
        return {
            "cpu": f"{self.cpu_millis}m",
            "memory": f"{self.memory_mib}Mi",
            "ephemeral-storage": f"{self.storage_gib}Gi",
        }

    def times(self, pods: int) -> PodSize:
        """The size of so many of these pods together."""
        return PodSize(
            cpu_millis=self.cpu_millis * pods, memory_mib=self.memory_mib * pods, storage_gib=self.storage_gib * pods
        )

    def __add__(self, other: PodSize) -> PodSize:
        return PodSize(
            cpu_millis=self.cpu_millis + other.cpu_millis,
            memory_mib=self.memory_mib + other.memory_mib,
            storage_gib=self.storage_gib + other.storage_gib,
        )


def resources(size: PodSize) -> dict[str, dict[str, str]]:
    """Requests equal to limits: a pod gets what it was promised, and cannot take more."""
    return {"requests": size.amounts(), "limits": size.amounts()}
