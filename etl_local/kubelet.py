"""The rest of a cluster in this process: controllers of Jobs and Deployments, a kubelet that runs pods as processes.

A container's command is started as a local process with exactly the container's variables (`kubelet_environment` tells
which are rewritten), its volumes as private directories (`kubelet_volumes`), its output as the pod's log. CPU and
memory limits, users, network policies and images are not enforced: this is one machine and one user. CronJobs,
StatefulSets and DaemonSets are stored and not run.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

from etl_local.kubelet_deployments import DeploymentController
from etl_local.kubelet_environment import Surroundings
from etl_local.kubelet_jobs import JobController
from etl_local.kubelet_objects import FINISHED, controller_of
from etl_local.kubelet_pod import LocalPod, PodServices
from etl_local.kubelet_queue import WorkQueue
from etl_local.kubernetes_api import KubernetesApi
from etl_local.kubernetes_defaults import timestamp
from etl_local.kubernetes_history import Change
from etl_local.kubernetes_kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    POD,
    RESOURCE_QUOTA,
    SECRET,
    SERVICE_ACCOUNT,
    Object,
    ResourceType,
)
from etl_local.kubernetes_status import KubernetesError
from etl_local.kubernetes_store import DeleteOptions

Key = tuple[ResourceType, str, str]
_NODE = "local"


class Kubelet:
    """Runs what the objects of an API server ask for, from `with` to its end."""

    def __init__(
        self,
        api: KubernetesApi,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        python: Path | str = sys.executable,
        pythonpath: Sequence[Path] = (),
        on_log: Callable[[str, str], None] | None = None,
        *,
        images: Collection[str] | None = None,
        backoff_seconds: float = 0.5,
        longest_backoff_seconds: float = 30,
        last_grace_seconds: float = 5,
    ) -> None:
        """Describe a kubelet; it starts with its context.

        Args:
            api: the API server.
            directory: pods get directories of their own here, and `logs/<pod>.log` stays when they are gone. Keep the
                path short where programs make Unix sockets in their volumes.
            environment: variables that every container gets, such as `PATH` and endpoints; its own win.
            python: the interpreter that the command `python` means.
            pythonpath: where it finds the programs.
            on_log: given pod name and line for each line, in threads of the pods.
            images: the images that can be pulled; None: all.
            backoff_seconds: before a first restart or retry; doubled each time. A cluster takes 10.
            longest_backoff_seconds: at which it stops doubling.
            last_grace_seconds: how long containers get to end when the kubelet ends.
        """
        self._api = api
        self._store = api.store
        self._directory = directory
        self._surroundings = Surroundings(dict(environment or {}), str(python), tuple(pythonpath))
        self._on_log = on_log
        self._images = images
        self._backoff_seconds = backoff_seconds
        self._longest_backoff_seconds = longest_backoff_seconds
        self._last_grace_seconds = last_grace_seconds
        self._queue: WorkQueue[Key] = WorkQueue()
        self._pods: dict[tuple[str, str], LocalPod] = {}
        self._jobs = JobController(self._store, self._backoff, partial(self._look_again, JOB))
        self._deployments = DeploymentController(self._store, self._backoff, partial(self._look_again, DEPLOYMENT))
        self._log_lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="kubelet", daemon=True)
        self._stop_listening: Callable[[], None] = lambda: None

    def __enter__(self) -> Kubelet:
        (self._directory / "logs").mkdir(parents=True, exist_ok=True)
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": _NODE}}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": timestamp()}
        self._api.create(node | {"status": {"conditions": [ready]}})
        self._stop_listening = self._store.history.listen(self._notice)
        for kind in (DEPLOYMENT, JOB, POD):
            for obj in self._store.list(kind):
                self._queue.add((kind, obj["metadata"]["namespace"], obj["metadata"]["name"]))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all containers, kill those that do not, and remove the pods' directories. Objects stay as they are."""
        self._stop_listening()
        self._queue.close()
        if self._thread.is_alive():
            self._thread.join()
        pods = list(self._pods.values())
        for pod in pods:
            pod.stop(self._last_grace_seconds)
        deadline = time.monotonic() + self._last_grace_seconds
        for pod in pods:
            pod.wait(deadline - time.monotonic())
        for pod in pods:
            pod.close()
        self._pods.clear()

    def ports(self, pod: str, namespace: str = "default") -> dict[int, int]:
        """Container port → local port of a pod.

        Raises:
            KeyError: no such pod runs here.
        """
        return dict(self._pods[namespace, pod].ports)

    # --- what to look at

    def _notice(self, change: Change) -> None:
        """Under the store's lock: note what a change concerns."""
        metadata = change.object["metadata"]
        namespace = metadata.get("namespace", "")
        if change.kind in (DEPLOYMENT, JOB, POD):
            self._queue.add((change.kind, namespace, metadata["name"]))
        if change.kind == POD:
            for owner in filter(None, (controller_of(change.object), controller_of(change.previous or change.object))):
                kind = {"Job": JOB, "Deployment": DEPLOYMENT}.get(owner["kind"])
                if kind:
                    self._queue.add((kind, namespace, owner["name"]))
        elif change.kind in (CONFIG_MAP, SECRET, SERVICE_ACCOUNT, RESOURCE_QUOTA):
            for place, name in list(self._pods):
                if place == namespace:
                    self._queue.add((POD, place, name))

    def _look_again(self, kind: ResourceType, seconds: float, namespace: str, name: str) -> None:
        if seconds > 0:
            self._queue.add_after(seconds, (kind, namespace, name))
        else:
            self._queue.add((kind, namespace, name))

    def _backoff(self, retries: int) -> float:
        return min(self._longest_backoff_seconds, self._backoff_seconds * 2 ** min(retries, 30))

    def _work(self) -> None:
        while key := self._queue.take():
            kind, namespace, name = key
            try:
                if kind == POD:
                    self._look_at_pod(namespace, name)
                elif kind == JOB:
                    self._jobs.look_at(namespace, name)
                else:
                    self._deployments.look_at(namespace, name)
            except KubernetesError as error:
                # somebody else was faster: deleted it, or changed it. The change has put it on the queue again.
                if error.code not in {404, 409}:
                    self._report(error)
            except Exception as error:  # one object must not keep all others from being looked at
                self._report(error)

    def _report(self, error: Exception) -> None:
        threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, self._thread)))

    # --- pods

    def _look_at_pod(self, namespace: str, name: str) -> None:
        pod = self._store.find(POD, namespace, name)
        local = self._pods.get((namespace, name))
        if local and (pod is None or pod["metadata"]["uid"] != local.uid):
            local.close()
            self._api.logs.forget(local.uid)
            del self._pods[namespace, name]
            local = None
        if pod is None or self._jobs.disowns(pod):
            return
        deleting = "deletionTimestamp" in pod["metadata"]
        if local is None and (pod["status"].get("phase") in FINISHED or deleting):
            self._end_unstarted(pod)
            return
        try:
            local = local or self._take(pod)
            if deleting:
                local.stop(pod["metadata"]["deletionGracePeriodSeconds"])
            local.step()
        except OSError as error:
            self._evict(namespace, name, error)
            return
        self._store.update(
            POD, namespace, name, lambda found: local.write_status(found["status"]), subresource="status"
        )
        if deleting and local.has_ended:
            local.close()
            self._store.delete(POD, namespace, name, DeleteOptions(grace_seconds=0, uid=local.uid))

    def _evict(self, namespace: str, name: str, error: OSError) -> None:
        """Fail a pod that this machine has no room for, as a node does whose disk is full."""
        if local := self._pods.get((namespace, name)):
            local.close()
        status = {
            "phase": "Failed",
            "reason": "Evicted",
            "message": f"The node was low on resource: ephemeral-storage. {error.strerror}",
        }
        self._store.update(POD, namespace, name, lambda found: found["status"].update(status), subresource="status")

    def _end_unstarted(self, pod: Object) -> None:
        """A pod on its way out that nothing runs of any more, or ever."""
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        if "deletionTimestamp" not in pod["metadata"]:
            return
        if pod["status"].get("phase") not in FINISHED:
            self._store.update(POD, namespace, name, lambda p: p["status"].update(phase="Failed"), subresource="status")
        if pod["metadata"].get("deletionGracePeriodSeconds"):
            self._store.delete(POD, namespace, name, DeleteOptions(grace_seconds=0, uid=pod["metadata"]["uid"]))

    def _take(self, pod: Object) -> LocalPod:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]

        pod = self._store.update(POD, namespace, name, lambda found: found["spec"].update(nodeName=_NODE))
        account = pod["spec"]["serviceAccountName"]
        automounts = pod["spec"].get("automountServiceAccountToken")
        if automounts is None:
            found = self._store.find(SERVICE_ACCOUNT, namespace, account) or {}
            automounts = found.get("automountServiceAccountToken", True)
        services = PodServices(
            surroundings=self._surroundings,
            find=lambda kind, wanted: self._store.find(kind, namespace, wanted),
            write_kubeconfig=partial(self._write_kubeconfig, namespace, account) if automounts else None,
            logs=self._api.logs,
            on_line=partial(self._log, name),
            images=self._images,
            backoff=self._backoff,
            look_again=lambda seconds: self._look_again(POD, seconds, namespace, name),
        )
        local = self._pods[namespace, name] = LocalPod(pod, self._directory, services)
        return local

    def _write_kubeconfig(self, namespace: str, account: str, path: Path) -> None:
        token = self._api.service_account_token(namespace, account)
        self._api.kubeconfig(path, token=token, namespace=namespace)

    def _log(self, pod: str, line: str) -> None:
        # the file is for whoever looks into a stand-in; where it cannot be written, the pod goes on
        with self._log_lock, contextlib.suppress(OSError), self._log_path(pod).open("a") as file:
            file.write(f"{line}\n")
        if self._on_log is not None:
            self._on_log(pod, line)

    def _log_path(self, pod: str) -> Path:
        return self._directory / "logs" / f"{pod}.log"
