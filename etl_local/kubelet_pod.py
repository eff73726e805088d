"""One pod as processes of this machine: directories, init containers in order, containers, restarts, phase."""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etl_local.kubelet_container import LocalContainer
from etl_local.kubelet_environment import Surroundings, process_of, variables
from etl_local.kubelet_objects import set_condition
from etl_local.kubelet_volumes import CannotStart, Find, make_volumes
from etl_local.kubernetes_defaults import timestamp
from etl_local.kubernetes_kinds import Object
from etl_local.kubernetes_logs import PodLogs

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class PodServices:
    """What a pod needs of its kubelet.

    Attributes:
        surroundings: what all containers share.
        find: looks up an object of the pod's namespace.
        write_kubeconfig: given a path, writes the service account's credentials; None where the pod has none.
        logs: where lines go.
        on_line: given each line as well.
        images: the images that can be pulled; None: all.
        backoff: given a number of restarts, the seconds before the next.
        look_again: has the pod looked at again after so many seconds.
    """

    surroundings: Surroundings
    find: Find
    write_kubeconfig: Callable[[Path], object] | None
    logs: PodLogs
    on_line: Callable[[str], None]
    images: Collection[str] | None
    backoff: Callable[[int], float]
    look_again: Callable[[float], None]


class LocalPod:
    """A pod that this machine runs. All but the lines of its log happens in the kubelet's one thread.

    Attributes:
        uid: the pod's uid.
        ports: container port → local port.
    """

    def __init__(self, pod: Object, directory: Path, services: PodServices) -> None:
        """Take a pod on; nothing is started before the first `step`."""
        self.uid: str = pod["metadata"]["uid"]
        self._pod = pod
        self._services = services
        self._directory = Path(tempfile.mkdtemp(prefix="p", dir=directory))
        # a database server may run as another user, who must be able to pass through
        self._directory.chmod(0o711)
        self._volumes: dict[str, Path] | None = None
        self._stopping = False
        self._policy: str = pod["spec"]["restartPolicy"]
        self._grace: int = pod["spec"]["terminationGracePeriodSeconds"]
        self._started_at = timestamp()
        spec = pod["spec"]
        self.ports = _free_ports(spec)
        self._inits = [LocalContainer(container, self._changed) for container in spec.get("initContainers") or []]
        self._containers = [LocalContainer(container, self._changed) for container in spec["containers"]]
        if self._inits:
            for container in self._containers:
                container.wait_for("PodInitializing")

    def _changed(self) -> None:
        self._services.look_again(0)

    # --- progress

    def step(self) -> None:
        """Do whatever can be done now: start, restart, take notice of ends."""
        for container in (*self._inits, *self._containers):
            container.observe()
            if container.is_sick:
                container.stop(self._grace)
        if self._stopping or self.has_ended:
            return
        if self._volumes is None and not self._make_volumes():
            return
        for init in self._inits:
            self._advance(init, "OnFailure" if self._policy == "Always" else self._policy)
            if init.state != "terminated" or init.exit_code:
                return
        for container in self._containers:
            self._advance(container, self._policy)

    def _make_volumes(self) -> bool:
        try:
            self._volumes = make_volumes(self._pod, self._directory, self._services.find)
        except CannotStart as error:
            for container in (*self._inits, *self._containers):
                container.wait_for(error.reason, str(error))
            return False
        return True

    def _advance(self, container: LocalContainer, policy: str) -> None:
        if container.state == "terminated" and _restarts(container, policy):
            seconds = self._services.backoff(container.restarts)
            container.restart_after(seconds)
            self._services.look_again(seconds)
        if container.is_due:
            self._start(container)

    def _start(self, container: LocalContainer) -> None:
        services = self._services
        image = container.spec["image"]
        if services.images is not None and image not in services.images:
            container.wait_for("ErrImagePull", f'failed to pull and unpack image "{image}": not found')
            return
        try:
            resolved = variables(container.spec, self._pod, services.find)
            argv, environment = process_of(
                container.spec, resolved, self._volumes or {}, self.ports, services.surroundings
            )
        except CannotStart as error:
            if error.reason == "StartError":
                container.cannot_start(error.reason, str(error))
                self._changed()
            else:
                container.wait_for(error.reason, str(error))
            return
        if services.write_kubeconfig is not None and "KUBECONFIG" not in resolved:
            kubeconfig = self._directory / "kubeconfig"
            services.write_kubeconfig(kubeconfig)
            environment["KUBECONFIG"] = str(kubeconfig)
        log = services.logs.begin(self.uid, container.name)

        def on_line(line: str) -> None:
            log.append(line)
            services.on_line(line)

        working_directory = self._directory / "w"
        working_directory.mkdir(exist_ok=True)
        container.start(argv, environment, working_directory, self.ports, log, on_line)
        if container.state == "terminated":
            self._changed()

    # --- ends

    def stop(self, grace_seconds: float) -> None:
        """Ask all containers to end; whatever has not ended then is killed. Nothing is started any more."""
        self._stopping = True
        for container in (*self._inits, *self._containers):
            container.observe()
            container.stop(grace_seconds)

    def wait(self, seconds: float) -> None:
        """Wait so long at most until nothing runs."""
        deadline = time.monotonic() + seconds
        for container in (*self._inits, *self._containers):
            container.wait(deadline - time.monotonic())

    def close(self) -> None:
        """Kill what runs and remove the pod's directories."""
        self._stopping = True
        for container in (*self._inits, *self._containers):
            container.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def has_ended(self) -> bool:
        """Whether nothing runs, and nothing will be started any more."""
        if any(container.state == "running" for container in (*self._inits, *self._containers)):
            return False
        return self._stopping or self._init_failed or all(self._is_done(container) for container in self._containers)

    @property
    def _init_failed(self) -> bool:
        failed = (init for init in self._inits if init.state == "terminated" and init.exit_code)
        return self._policy == "Never" and any(failed)

    def _is_done(self, container: LocalContainer) -> bool:
        return container.state == "terminated" and (self._stopping or not _restarts(container, self._policy))

    # --- status

    @property
    def _phase(self) -> str:
        if self.has_ended:
            succeeded = all(c.state == "terminated" and c.exit_code == 0 for c in self._containers)
            return "Succeeded" if succeeded else "Failed"
        return "Running" if any(container.has_run for container in self._containers) else "Pending"

    def write_status(self, status: dict[str, Any]) -> None:
        """Bring a pod's status up to date, in place; conditions of others stay."""
        phase = self._phase
        initialized = all(init.state == "terminated" and init.exit_code == 0 for init in self._inits)
        ready = all(container.is_ready for container in self._containers)
        done = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase, "ContainersNotReady")
        set_condition(status, "PodScheduled", "True")
        set_condition(status, "Initialized", str(initialized), "" if initialized else "ContainersNotInitialized")
        for condition in ("ContainersReady", "Ready"):
            set_condition(status, condition, str(ready), "" if ready else done)
        status["phase"] = phase
        status["startTime"] = self._started_at
        status["hostIP"] = status["podIP"] = _LOOPBACK
        status["podIPs"] = [{"ip": _LOOPBACK}]
        status["containerStatuses"] = [container.status() for container in self._containers]
        if self._inits:
            status["initContainerStatuses"] = [init.status(init=True) for init in self._inits]


def _restarts(container: LocalContainer, policy: str) -> bool:
    return policy == "Always" or (policy == "OnFailure" and container.exit_code != 0)


def _free_ports(spec: dict[str, Any]) -> dict[int, int]:
    """A free local port for each port that the containers declare."""
    ports: dict[int, int] = {}
    held: list[socket.socket] = []
    try:
        for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
            for declared in container.get("ports") or []:
                probe = socket.socket()
                held.append(probe)
                probe.bind((_LOOPBACK, 0))
                ports.setdefault(declared["containerPort"], probe.getsockname()[1])
    finally:
        for probe in held:
            probe.close()
    return ports
