"""The transform Jobs of a Kubernetes namespace: found by execution, read with their pods' logs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import urllib3
from etl_runtime.contract import (
    EXECUTION_ANNOTATION,
    EXECUTION_LABEL,
    TRANSFORM_CONTAINER,
    TRANSFORM_LABELS,
    execution_label,
)
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException, OpenApiException
from kubernetes.config.config_exception import ConfigException

from etl_cli.ending import RefusedError
from etl_cli.events import State
from etl_cli.program_log import LogLine

KUBERNETES_ERRORS: Final = (OpenApiException, urllib3.exceptions.HTTPError, OSError)
_REQUEST_SECONDS: Final = 20
_TAIL_LINES: Final = 200


def kubernetes_error(error: Exception) -> str:
    """An error of the Kubernetes API by its code alone."""
    return f"Kubernetes answered {error.status}" if isinstance(error, ApiException) else type(error).__name__


@dataclass(frozen=True, slots=True)
class TransformJob:
    """One Job as it was last seen.

    Attributes:
        name: the Job's name.
        state: RUNNING, SUCCEEDED, FAILED or TIMED_OUT.
        execution_id: the annotation, whole.
        reason: why it failed, in Kubernetes' words; empty else.
        created_at: when the dispatcher made it.
        ended_at: when it completed or failed.
        pods: how many run now.
    """

    name: str
    state: State
    execution_id: str
    reason: str
    created_at: datetime
    ended_at: datetime | None
    pods: int


def _job(job: client.V1Job) -> TransformJob:
    metadata, status = job.metadata, job.status
    assert metadata is not None  # noqa: S101 - the API server gives every object its metadata
    state, reason, ended_at = State.RUNNING, "", None
    for condition in (status and status.conditions) or []:
        if condition.status != "True" or condition.type not in ("Complete", "Failed"):
            continue
        ended_at = condition.last_transition_time
        if condition.type == "Complete":
            state = State.SUCCEEDED
        else:
            reason = condition.reason or ""
            state = State.TIMED_OUT if reason == "DeadlineExceeded" else State.FAILED
    return TransformJob(
        name=metadata.name or "",
        state=state,
        execution_id=(metadata.annotations or {}).get(EXECUTION_ANNOTATION, ""),
        reason=reason,
        created_at=metadata.creation_timestamp or datetime.min,
        ended_at=ended_at,
        pods=(status and status.active) or 0,
    )


class TransformJobs:
    """Reads Jobs, pods and logs of one namespace; changes nothing."""

    def __init__(self, namespace: str, kubeconfig: Path | None = None, context: str | None = None) -> None:
        """Find out how to reach the cluster; nothing is asked of it yet.

        Args:
            namespace: where the Jobs are.
            kubeconfig: a configuration file; None for `KUBECONFIG`, the usual place, or the pod's own account.
            context: a context of that file; None for its current one.

        Raises:
            RefusedError: there is no usable configuration.
        """
        self.namespace = namespace
        try:
            api = self._api(kubeconfig, context)
        except (ConfigException, OSError) as error:
            where = kubeconfig or "KUBECONFIG or ~/.kube/config"
            text = " ".join(str(error).split())
            raise RefusedError(f"no way to the Kubernetes cluster by {where}: {text}") from None
        self._batch, self._core = client.BatchV1Api(api), client.CoreV1Api(api)

    @staticmethod
    def _api(kubeconfig: Path | None, context: str | None) -> client.ApiClient:
        try:
            # The client reads KUBECONFIG when it is imported, which may be before the variable is set.
            path = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG")
            return config.new_client_from_config(path, context, persist_config=False)
        except ConfigException:
            if kubeconfig or context:
                raise
            settings = client.Configuration()
            try:
                config.load_incluster_config(client_configuration=settings)
            except ConfigException:
                settings = None
            if settings is None:
                raise
            return client.ApiClient(settings)

    def of_execution(self, execution_name: str) -> list[TransformJob]:
        """The Jobs that carry the label of an execution, oldest first.

        Raises:
            one of `KUBERNETES_ERRORS`: the API server refused or could not be asked.
        """
        return self._listed(f"{EXECUTION_LABEL}={execution_label(execution_name)}")

    def all(self) -> list[TransformJob]:
        """Every transform Job, oldest first.

        Raises:
            one of `KUBERNETES_ERRORS`: the API server refused or could not be asked.
        """
        return self._listed(",".join(f"{name}={value}" for name, value in TRANSFORM_LABELS.items()))

    def _listed(self, selector: str) -> list[TransformJob]:
        answer = self._batch.list_namespaced_job(
            self.namespace, label_selector=selector, _request_timeout=_REQUEST_SECONDS
        )
        return sorted(map(_job, answer.items), key=lambda job: job.created_at)

    def log(self, job: TransformJob) -> list[LogLine]:
        """The last events that a Job's newest pod said; none if it has no pod, or its log may not be read.

        Reading the end of the log again at each look needs no connection held open for hours, and nothing of it is
        lost on the way: what matters is how far the program is now, and why it ended.
        """
        try:
            newest = self._newest_pod(job)
            if newest is None or newest.metadata is None or newest.metadata.name is None:
                return []
            text = self._core.read_namespaced_pod_log(
                newest.metadata.name,
                self.namespace,
                container=TRANSFORM_CONTAINER,
                tail_lines=_TAIL_LINES,
                _request_timeout=_REQUEST_SECONDS,
            )
        except KUBERNETES_ERRORS:
            return []
        return [line for line in map(LogLine.parse, (text or "").splitlines()) if line is not None]

    def pod_message(self, job: TransformJob) -> str:
        """What the cluster says of a Job's newest pod, such as why it was evicted; "" where it says nothing."""
        try:
            newest = self._newest_pod(job)
        except KUBERNETES_ERRORS:
            return ""
        return (newest.status.message or "") if newest and newest.status else ""

    def _newest_pod(self, job: TransformJob) -> client.V1Pod | None:
        pods = self._core.list_namespaced_pod(
            self.namespace, label_selector=f"job-name={job.name}", _request_timeout=_REQUEST_SECONDS
        ).items
        return max(
            (pod for pod in pods if pod.metadata is not None),
            key=lambda pod: (pod.metadata and pod.metadata.creation_timestamp) or datetime.min,
            default=None,
        )
