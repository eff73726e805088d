"""One container of a local pod over its restarts: its process, its log, its probes and its status."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from etl_local.child_process import ChildProcess
from etl_local.kubelet_probes import Probes
from etl_local.kubernetes_defaults import timestamp
from etl_local.kubernetes_logs import ContainerLog

_CANNOT_RUN = 128  # what container runtimes report for a command that cannot be started


class LocalContainer:
    """A container. Only `_exited` is called in another thread than the rest.

    Attributes:
        spec: the container as the pod has it.
        name: its name.
        state: `waiting`, `running` or `terminated`.
        exit_code: of the last run, once it is terminated.
        restarts: how often it was started again.
    """

    def __init__(self, spec: dict[str, Any], changed: Callable[[], None]) -> None:
        """Describe a container; `changed` is called whenever it should be looked at."""
        self.spec = spec
        self.name: str = spec["name"]
        self.state = "waiting"
        self.exit_code = 0
        self.restarts = 0
        self.has_run = False
        self._changed = changed
        self._reason, self._message = "ContainerCreating", ""
        self._due = 0.0
        self._process: ChildProcess | None = None
        self._log: ContainerLog | None = None
        self._probes: Probes | None = None
        self._stopping = False
        self._ended = threading.Event()
        self._started_at = self._finished_at = ""
        self._last: dict[str, Any] = {}

    @property
    def is_due(self) -> bool:
        """Whether it waits and may be started now."""
        return self.state == "waiting" and time.monotonic() >= self._due

    def wait_for(self, reason: str, message: str = "") -> None:
        """Stay waiting, and say why."""
        self._reason, self._message = reason, message

    def restart_after(self, seconds: float) -> None:
        """Go back to waiting, to be started again after a time."""
        self._last = self._state()
        self.restarts += 1
        self.state = "waiting"
        self._due = time.monotonic() + seconds
        self.wait_for("CrashLoopBackOff", f"back-off {seconds:g}s restarting failed container={self.name}")

    def start(
        self,
        argv: list[str],
        environment: dict[str, str],
        directory: Path,
        ports: dict[int, int],
        log: ContainerLog,
        on_line: Callable[[str], None],
    ) -> None:
        """Start its process; one that cannot be started has failed with exit code 128."""
        self._log, self._stopping = log, False
        self._ended.clear()
        process = ChildProcess(argv, environment, directory, on_line=on_line, on_exit=lambda _code: self._exited())
        self._started_at = timestamp()
        self.has_run = True
        try:
            process.start()
        except (OSError, ValueError) as error:
            self._terminated(_CANNOT_RUN, "StartError", f'exec: "{argv[0]}": {error}')
            return
        self._process, self.state = process, "running"
        self._probes = Probes(self.spec, ports, self._changed)

    def cannot_start(self, reason: str, message: str) -> None:
        """Fail without having run."""
        self._started_at = timestamp()
        self._terminated(_CANNOT_RUN, reason, message)

    def observe(self) -> None:
        """Take notice of a process that has ended."""
        if self.state == "running" and self._ended.is_set() and self._process is not None:
            code = self._process.exit_code or 0
            self._terminated(code, "Completed" if code == 0 else "Error", "")

    @property
    def is_sick(self) -> bool:
        """Whether its liveness or startup probe has failed, and nobody has stopped it yet."""
        return self.state == "running" and not self._stopping and self._probes is not None and not self._probes.alive

    def stop(self, grace_seconds: float) -> None:
        """Ask it to end, and kill it when its grace is over; returns at once."""
        if self.state != "running" or self._process is None:
            return
        if not self._stopping or grace_seconds <= 0:
            self._stopping = True
            process = self._process
            name = f"end of {self.name}"
            threading.Thread(target=process.terminate, args=(grace_seconds,), name=name, daemon=True).start()

    def kill(self) -> None:
        """End it at once; returns when it is gone."""
        if self._probes is not None:
            self._probes.stop()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._log is not None:
            self._log.end()

    def wait(self, seconds: float) -> None:
        """Wait so long at most for a running process to end."""
        if self.state == "running":
            self._ended.wait(max(0.0, seconds))

    def _exited(self) -> None:
        if self._log is not None:
            self._log.end()
        self._ended.set()
        self._changed()

    def _terminated(self, code: int, reason: str, message: str) -> None:
        if self._probes is not None:
            self._probes.stop()
        if self._log is not None:
            self._log.end()
        self.state, self.exit_code = "terminated", code
        self._finished_at = timestamp()
        self._reason, self._message = reason, message

    @property
    def is_ready(self) -> bool:
        """Whether it runs and its readiness probe succeeds."""
        return self.state == "running" and self._probes is not None and self._probes.ready

    def _state(self) -> dict[str, Any]:
        details = {"reason": self._reason, "message": self._message}
        if self.state == "running":
            return {"running": {"startedAt": self._started_at}}
        if self.state == "terminated":
            times = {"exitCode": self.exit_code, "startedAt": self._started_at, "finishedAt": self._finished_at}
            return {"terminated": times | {key: text for key, text in details.items() if text}}
        return {"waiting": {key: text for key, text in details.items() if text}}

    def status(self, *, init: bool = False) -> dict[str, Any]:
        """The entry in the pod's `containerStatuses`."""
        done = init and self.state == "terminated" and self.exit_code == 0
        return {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": self.spec["image"],
            "ready": done or self.is_ready,
            "started": self.state == "running" and self._probes is not None and self._probes.started,
            "restartCount": self.restarts,
            "state": self._state(),
            "lastState": self._last,
        }
