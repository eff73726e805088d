"""A batch/v1 API in memory, as the generated client shows it: what Jobs are there, and what goes wrong next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kubernetes.client import ApiException, V1Job, V1JobCondition, V1JobList, V1JobStatus, V1ObjectMeta

JOB_TEMPLATE = """\
apiVersion: batch/v1
kind: Job
metadata:
  labels: {team: data}
spec:
  backoffLimit: 3
  template:
    metadata:
      annotations: {cluster-autoscaler.kubernetes.io/safe-to-evict: "false"}
    spec:
      restartPolicy: Never
      containers:
        - name: transform
          image: transform@sha256:00
          env:
            - {name: MOUNT_POINT, value: /scratch}
"""


class ClusterApi:
    """Stands where `kubernetes.client.BatchV1Api` stands.

    Attributes:
        jobs: Name → the Job as it was created.
        faults: What the next creations meet, in turn: an exception, or None for a creation that succeeds. A function
            is called first, with the name, for what others do meanwhile.
        list_fault: What every list meets, if anything.
        calls: Names of the calls, in order.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.faults: list[Exception | Callable[[str], Exception | None] | None] = []
        self.list_fault: Exception | None = None
        self.finished: dict[str, str] = {}
        self.deleting: set[str] = set()
        self.calls: list[str] = []

    def create_namespaced_job(self, namespace: str, body: dict[str, Any], **options: Any) -> None:
        self._seen("create", namespace, options)
        name = body["metadata"]["name"]
        fault = self.faults.pop(0) if self.faults else None
        if callable(fault) and not isinstance(fault, Exception):
            fault = fault(name)
        if fault is not None:
            raise fault
        if name in self.jobs:
            raise ApiException(status=409, reason="AlreadyExists")
        self.jobs[name] = body

    def list_namespaced_job(self, namespace: str, *, label_selector: str, **options: Any) -> V1JobList:
        self._seen("list", namespace, options)
        assert label_selector == "app.kubernetes.io/name=postgres-etl,app.kubernetes.io/component=transform"
        if self.list_fault is not None:
            raise self.list_fault
        return V1JobList(items=[self._job(name) for name in self.jobs])

    def read_namespaced_job(self, name: str, namespace: str, **options: Any) -> V1Job:
        self._seen("read", namespace, options)
        if name not in self.jobs:
            raise ApiException(status=404, reason="NotFound")
        return self._job(name)

    def _seen(self, call: str, namespace: str, options: dict[str, Any]) -> None:
        assert namespace == "etl"
        assert options["_request_timeout"] <= 10
        self.calls.append(call)

    def _job(self, name: str) -> V1Job:
        conditions = [V1JobCondition(type=self.finished[name], status="True")] if name in self.finished else None
        deleted = datetime(2026, 1, 1, tzinfo=UTC) if name in self.deleting else None
        metadata = self.jobs[name]["metadata"]
        return V1Job(
            metadata=V1ObjectMeta(
                name=name,
                annotations=metadata.get("annotations"),
                labels=metadata["labels"],
                deletion_timestamp=deleted,
            ),
            status=V1JobStatus(conditions=conditions),
        )


def refusal(status: int, message: str = "") -> ApiException:
    """What the API server says instead of yes."""
    error = ApiException(status=status, reason="x")
    error.body = message
    return error
