"""The Deployment controller: as many pods of the current template as are asked, the old ones gone first.

Pods belong to their Deployment directly, there are no ReplicaSets, and every strategy is carried out as `Recreate`.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

from etl_local.kubelet_objects import FINISHED, is_ready, pod_from, pods_of, record_event, set_condition
from etl_local.kubernetes_defaults import generated_name
from etl_local.kubernetes_kinds import DEPLOYMENT, POD, Object
from etl_local.kubernetes_status import KubernetesError
from etl_local.kubernetes_store import ObjectStore

_HASH = "pod-template-hash"


class DeploymentController:
    """Brings the pods and the status of each Deployment to what its spec asks. Used by one thread."""

    def __init__(
        self, store: ObjectStore, backoff: Callable[[int], float], look_again: Callable[[float, str, str], None]
    ) -> None:
        """Make a controller; arguments as of a `JobController`."""
        self._store = store
        self._backoff = backoff
        self._look_again = look_again
        self._refusals: dict[str, int] = {}

    def look_at(self, namespace: str, name: str) -> None:
        """Do for one Deployment whatever can be done now."""
        deployment = self._store.find(DEPLOYMENT, namespace, name)
        if deployment is None or "deletionTimestamp" in deployment["metadata"]:
            return
        spec = deployment["spec"]
        digest = _template_digest(spec["template"])
        there = [pod for pod in pods_of(self._store, deployment) if pod["status"].get("phase") not in FINISHED]
        leaving = [pod for pod in there if "deletionTimestamp" in pod["metadata"]]
        staying = [pod for pod in there if "deletionTimestamp" not in pod["metadata"]]
        current = [pod for pod in staying if pod["metadata"]["labels"].get(_HASH) == digest]
        unwanted = [pod for pod in staying if pod not in current] + current[spec["replicas"] :]
        for pod in unwanted:
            self._store.delete(POD, namespace, pod["metadata"]["name"])
        current = current[: spec["replicas"]]
        status = copy.deepcopy(deployment["status"])
        if not unwanted and not leaving:
            current += self._create(deployment, digest, spec["replicas"] - len(current), status)
        self._write(deployment, status, current)

    def _create(self, deployment: Object, digest: str, missing: int, status: dict[str, Any]) -> list[Object]:
        metadata = deployment["metadata"]
        created: list[Object] = []
        for _ in range(missing):
            pod = pod_from(
                deployment["spec"]["template"], generated_name(f"{metadata['name']}-{digest}-"), DEPLOYMENT, deployment
            )
            pod["metadata"]["labels"][_HASH] = digest
            try:
                created.append(self._store.create(POD, pod))
            except KubernetesError as error:
                set_condition(status, "ReplicaFailure", "True", "FailedCreate", error.message)
                record_event(self._store, DEPLOYMENT, deployment, "Warning", "FailedCreate", error.message)
                refusals = self._refusals.get(metadata["uid"], 0)
                self._refusals[metadata["uid"]] = refusals + 1
                self._look_again(self._backoff(refusals), metadata["namespace"], metadata["name"])
                return created
        status["conditions"] = [c for c in status.get("conditions") or [] if c["type"] != "ReplicaFailure"]
        self._refusals.pop(metadata["uid"], None)
        return created

    def _write(self, deployment: Object, status: dict[str, Any], current: list[Object]) -> None:
        wanted = deployment["spec"]["replicas"]
        ready = sum(1 for pod in current if is_ready(pod))
        if ready >= wanted:
            set_condition(
                status, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."
            )
            set_condition(status, "Progressing", "True", "NewReplicaSetAvailable")
        else:
            set_condition(
                status,
                "Available",
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            )
            set_condition(status, "Progressing", "True", "ReplicaSetUpdated")
        counts = {
            "replicas": len(current),
            "updatedReplicas": len(current),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": max(0, wanted - ready),
        }
        for name, count in counts.items():
            status.pop(name, None)
            if count:
                status[name] = count
        status["observedGeneration"] = deployment["metadata"]["generation"]

        def put(found: Object) -> None:
            found["status"] = status

        metadata = deployment["metadata"]
        self._store.update(DEPLOYMENT, metadata["namespace"], metadata["name"], put, subresource="status")


def _template_digest(template: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
