"""The Job controller: pods for Jobs, retries, failure policies, deadlines, and the end of finished Jobs.

Follows https://kubernetes.io/docs/concepts/workloads/controllers/job/ for batch/v1. Retries wait as long as the
kubelet's back-off says, which is shorter than a cluster's 10 s; all other times are the Job's own.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

from etl_local import kubelet_job_failures as failures
from etl_local.kubelet_objects import (
    FINISHED,
    has_condition,
    is_ready,
    pod_from,
    pods_of,
    record_event,
    set_condition,
)
from etl_local.kubernetes_defaults import generated_name, timestamp
from etl_local.kubernetes_kinds import JOB, POD, Object
from etl_local.kubernetes_status import KubernetesError
from etl_local.kubernetes_store import DeleteOptions, ObjectStore

TRACKING = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"


class JobController:
    """Brings the pods and the status of each Job to what its spec asks. Used by one thread."""

    def __init__(
        self, store: ObjectStore, backoff: Callable[[int], float], look_again: Callable[[float, str, str], None]
    ) -> None:
        """Make a controller.

        Args:
            store: the objects.
            backoff: given the number of earlier retries, the seconds before the next.
            look_again: has a Job, by namespace and name, looked at again after so many seconds.
        """
        self._store = store
        self._backoff = backoff
        self._look_again = look_again
        self._started: dict[str, float] = {}
        self._timed: set[str] = set()
        self._finished: dict[str, float] = {}
        self._retries: dict[str, int] = {}
        self._not_before: dict[str, float] = {}

    def look_at(self, namespace: str, name: str) -> None:
        """Do for one Job whatever can be done now."""
        job = self._store.find(JOB, namespace, name)
        if job is None:
            return
        if "deletionTimestamp" in job["metadata"]:
            for pod in pods_of(self._store, job):
                self._release(pod)
        elif has_condition(job, "Complete", "Failed"):
            self._expire(job)
        else:
            self._advance(job)

    def disowns(self, pod: Object) -> bool:
        """Let go of a pod that waits to be counted by a Job that is gone; whether it was one."""
        metadata = pod["metadata"]
        if TRACKING not in (metadata.get("finalizers") or []):
            return False
        for owner in metadata.get("ownerReferences") or []:
            job = self._store.find(JOB, metadata["namespace"], owner["name"]) if owner["kind"] == "Job" else None
            if job and job["metadata"]["uid"] == owner["uid"]:
                return False
        self._release(pod)
        return True

    # --- a running Job

    def _advance(self, job: Object) -> None:
        metadata, spec = job["metadata"], job["spec"]
        status = copy.deepcopy(job["status"])
        pods = pods_of(self._store, job)
        if not spec["suspend"] and "startTime" not in status:
            status["startTime"] = timestamp()
            self._started[metadata["uid"]] = time.monotonic()
        failure = self._count_ended(job, status, pods)
        active = [pod for pod in pods if pod["status"].get("phase") not in FINISHED]
        leaving = [pod for pod in active if "deletionTimestamp" in pod["metadata"]]
        staying = [pod for pod in active if "deletionTimestamp" not in pod["metadata"]]
        failure = failure or failures.of_pods(job, status, staying) or self._deadline(job, status)
        if failure and not failures.decided(status):
            set_condition(status, "FailureTarget", "True", *failure)
        elif failures.is_complete(spec, status, bool(active)):
            set_condition(
                status, "SuccessCriteriaMet", "True", "CompletionsReached", "Reached expected number of succeeded pods"
            )
        decided = failures.decided(status)
        if decided or spec["suspend"]:
            for pod in staying:
                self._store.delete(POD, pod["metadata"]["namespace"], pod["metadata"]["name"])
            staying = []
        elif not spec["suspend"]:
            created = self._create_missing(job, status, staying, leaving)
            staying += created
        self._suspend(job, status)
        if decided and not self._still_there(active):
            self._finish(job, status)
        status["active"] = len(staying)
        status["ready"] = sum(1 for pod in staying if is_ready(pod))
        status["terminating"] = len(leaving)
        status["uncountedTerminatedPods"] = {}
        self._write(job, status)
        for pod in pods:
            if failures.is_to_count(job, pod):
                self._release(pod)

    def _still_there(self, active: list[Object]) -> bool:
        for pod in active:
            found = self._store.find(POD, pod["metadata"]["namespace"], pod["metadata"]["name"])
            if found and found["status"].get("phase") not in FINISHED:
                return True
        return False

    def _count_ended(self, job: Object, status: dict[str, Any], pods: list[Object]) -> tuple[str, str] | None:
        """Add pods that have ended to the counts, each once: its finalizer says that it was not counted yet."""
        uid = job["metadata"]["uid"]
        failure: tuple[str, str] | None = None
        for pod in pods:
            if not failures.is_to_count(job, pod) or TRACKING not in (pod["metadata"].get("finalizers") or []):
                continue
            if pod["status"].get("phase") == "Succeeded":
                status["succeeded"] = status.get("succeeded", 0) + 1
                failures.add_index(job, status, pod["metadata"].get("annotations", {}).get(INDEX))
                self._retries.pop(uid, None)
                continue
            verdict, counts = failures.verdict(job, pod)
            failure = failure or verdict
            if counts:
                status["failed"] = status.get("failed", 0) + 1
            self._delay(job)
        return failure

    def _delay(self, job: Object) -> None:
        uid = job["metadata"]["uid"]
        retries = self._retries.get(uid, 0)
        self._retries[uid] = retries + 1
        self._not_before[uid] = time.monotonic() + self._backoff(retries)

    def _deadline(self, job: Object, status: dict[str, Any]) -> tuple[str, str] | None:
        seconds = job["spec"].get("activeDeadlineSeconds")
        if seconds is None or "startTime" not in status or failures.decided(status):
            return None
        metadata = job["metadata"]
        left = self._started.setdefault(metadata["uid"], time.monotonic()) + seconds - time.monotonic()
        if left <= 0:
            return "DeadlineExceeded", "Job was active longer than specified deadline"
        if metadata["uid"] not in self._timed:
            self._timed.add(metadata["uid"])
            self._look_again(left + 0.001, metadata["namespace"], metadata["name"])
        return None

    def _suspend(self, job: Object, status: dict[str, Any]) -> None:
        if job["spec"]["suspend"]:
            set_condition(status, "Suspended", "True", "JobSuspended", "Job suspended")
            status.pop("startTime", None)
            self._timed.discard(job["metadata"]["uid"])
        elif has_condition({"status": status}, "Suspended"):
            set_condition(status, "Suspended", "False", "JobResumed", "Job resumed")

    # --- pods

    def _create_missing(
        self, job: Object, status: dict[str, Any], staying: list[Object], leaving: list[Object]
    ) -> list[Object]:
        spec, metadata = job["spec"], job["metadata"]
        left = failures.completions_left(spec, status, bool(staying))
        occupied = len(staying) + (len(leaving) if spec["podReplacementPolicy"] == "Failed" else 0)
        missing = min(spec["parallelism"], left) - occupied
        if missing <= 0:
            return []
        wait = self._not_before.get(metadata["uid"], 0.0) - time.monotonic()
        if wait > 0:
            self._look_again(wait + 0.001, metadata["namespace"], metadata["name"])
            return []
        indexes = failures.free_indexes(spec, status, [*staying, *leaving], INDEX)
        created: list[Object] = []
        for number in range(missing):
            index = indexes[number] if indexes is not None else None
            try:
                created.append(self._store.create(POD, _pod(job, index)))
            except KubernetesError as error:
                record_event(self._store, JOB, job, "Warning", "FailedCreate", f"Error creating: {error.message}")
                self._delay(job)
                again = self._not_before[metadata["uid"]] - time.monotonic()
                self._look_again(again + 0.001, metadata["namespace"], metadata["name"])
                break
        return created

    def _release(self, pod: Object) -> None:
        metadata = pod["metadata"]
        if TRACKING in (metadata.get("finalizers") or []):
            found = self._store.find(POD, metadata["namespace"], metadata["name"])
            if found and found["metadata"]["uid"] == metadata["uid"]:
                self._store.update(POD, metadata["namespace"], metadata["name"], _without_tracking)

    # --- a finished Job

    def _finish(self, job: Object, status: dict[str, Any]) -> None:
        uid = job["metadata"]["uid"]
        target = next(c for c in status["conditions"] if c["type"] in failures.DECISIONS and c["status"] == "True")
        finished = {"FailureTarget": "Failed", "SuccessCriteriaMet": "Complete"}[target["type"]]
        set_condition(status, finished, "True", target.get("reason", ""), target.get("message", ""))
        if finished == "Complete":
            status["completionTime"] = timestamp()
        self._finished[uid] = time.monotonic()
        for memory in (self._started, self._retries, self._not_before):
            memory.pop(uid, None)
        self._timed.discard(uid)
        level = "Normal" if finished == "Complete" else "Warning"
        reason = "Completed" if finished == "Complete" else target.get("reason", "")
        record_event(self._store, JOB, job, level, reason, target.get("message", ""))

    def _expire(self, job: Object) -> None:
        metadata = job["metadata"]
        for pod in pods_of(self._store, job):
            if pod["status"].get("phase") in FINISHED:
                self._release(pod)
        seconds = job["spec"].get("ttlSecondsAfterFinished")
        if seconds is None:
            return
        left = self._finished.setdefault(metadata["uid"], time.monotonic()) + seconds - time.monotonic()
        if left > 0:
            self._look_again(left + 0.001, metadata["namespace"], metadata["name"])
        else:
            self._store.delete(JOB, metadata["namespace"], metadata["name"], DeleteOptions(propagation="Foreground"))

    def _write(self, job: Object, status: dict[str, Any]) -> None:
        def put(found: Object) -> None:
            found["status"] = {key: value for key, value in status.items() if value not in (None, 0)}

        self._store.update(JOB, job["metadata"]["namespace"], job["metadata"]["name"], put, subresource="status")


def _without_tracking(pod: Object) -> None:
    finalizers = pod["metadata"].pop("finalizers")
    if others := [finalizer for finalizer in finalizers if finalizer != TRACKING]:
        pod["metadata"]["finalizers"] = others


def _pod(job: Object, index: int | None) -> Object:
    name = job["metadata"]["name"]
    if index is None:
        pod = pod_from(job["spec"]["template"], generated_name(f"{name}-"), JOB, job)
    else:
        pod = pod_from(job["spec"]["template"], generated_name(f"{name}-{index}-"), JOB, job)
        pod["metadata"]["annotations"][INDEX] = pod["metadata"]["labels"][INDEX] = str(index)
        spec = pod["spec"] = copy.deepcopy(pod["spec"])
        for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
            container.setdefault("env", []).append({"name": "JOB_COMPLETION_INDEX", "value": str(index)})
    pod["metadata"]["finalizers"] = [TRACKING]
    return pod
