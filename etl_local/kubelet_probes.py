"""Startup, readiness and liveness probes of local containers: `httpGet` and `tcpSocket`, on the mapped port.

`exec` and `grpc` probes count as succeeding.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable
from typing import Any

_EAGER_SECONDS = 0.05
_HOST = "127.0.0.1"


class Probes:
    """The probes of one run of one container, each in a thread, until it is stopped.

    Attributes:
        started: whether the startup probe has succeeded, or there is none.
        ready: whether the readiness probe succeeds, or there is none.
        alive: false once the liveness or the startup probe has failed often enough.
    """

    def __init__(self, container: dict[str, Any], ports: dict[int, int], changed: Callable[[], None]) -> None:
        """Begin to probe.

        Args:
            container: the container.
            ports: container port → local port.
            changed: called in a probe's thread after one of the attributes changed.
        """
        self._container = container
        self._ports = ports
        self._changed = changed
        self._stopped = threading.Event()
        self.started = not container.get("startupProbe")
        self.ready = not container.get("readinessProbe") and self.started
        self.alive = True
        for name, watch in (
            ("startupProbe", self._watch_startup),
            ("readinessProbe", self._watch_readiness),
            ("livenessProbe", self._watch_liveness),
        ):
            if probe := container.get(name):
                thread = threading.Thread(
                    target=watch, args=(probe,), name=f"{name} of {container['name']}", daemon=True
                )
                thread.start()

    def stop(self) -> None:
        """Stop probing; nothing changes after a probe under way."""
        self._stopped.set()

    def _watch_startup(self, probe: dict[str, Any]) -> None:
        self._stopped.wait(probe.get("initialDelaySeconds") or 0)
        left = probe["failureThreshold"] * probe["periodSeconds"]
        while not self._stopped.is_set() and left > 0:
            if self._succeeds(probe):
                self.started = True
                self.ready = self.ready or not self._container.get("readinessProbe")
                self._changed()
                return
            left -= _EAGER_SECONDS
            self._stopped.wait(_EAGER_SECONDS)
        self._die()

    def _watch_readiness(self, probe: dict[str, Any]) -> None:
        self._stopped.wait(probe.get("initialDelaySeconds") or 0)
        failures = successes = 0
        while not self._stopped.is_set():
            if self.started and self._succeeds(probe):
                successes, failures = successes + 1, 0
            else:
                successes, failures = 0, failures + 1
            if not self.ready and successes >= probe["successThreshold"]:
                self.ready = True
                self._changed()
            elif self.ready and failures >= probe["failureThreshold"]:
                self.ready = False
                self._changed()
            # eager until the first success: who waits for a Deployment should not wait for a period too
            self._stopped.wait(probe["periodSeconds"] if self.ready or failures == 0 else _EAGER_SECONDS)

    def _watch_liveness(self, probe: dict[str, Any]) -> None:
        # not at once: on a busy laptop a program may take longer to start than a cluster's would
        self._stopped.wait((probe.get("initialDelaySeconds") or 0) + probe["periodSeconds"])
        failures = 0
        while not self._stopped.is_set():
            if self.started:
                failures = 0 if self._succeeds(probe) else failures + 1
            if failures >= probe["failureThreshold"]:
                self._die()
                return
            self._stopped.wait(probe["periodSeconds"])

    def _die(self) -> None:
        if not self._stopped.is_set():
            self.alive = False
            self._changed()

    def _succeeds(self, probe: dict[str, Any]) -> bool:
        timeout = probe["timeoutSeconds"]
        if action := probe.get("httpGet"):
            return self._answers(action, timeout)
        if action := probe.get("tcpSocket"):
            with contextlib.suppress(OSError), socket.create_connection((_HOST, self._port(action["port"])), timeout):
                return True
            return False
        return True

    def _answers(self, action: dict[str, Any], timeout: float) -> bool:
        connection = http.client.HTTPConnection(_HOST, self._port(action["port"]), timeout=timeout)
        headers = {header["name"]: header["value"] for header in action.get("httpHeaders") or []}
        try:
            connection.request("GET", action.get("path") or "/", headers={"User-Agent": "kube-probe/1.34"} | headers)
            return 200 <= connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _port(self, port: int | str) -> int:
        """A probe's port, by number or by the name of a container port, as the local one."""
        for declared in self._container.get("ports") or []:
            if port in (declared.get("name"), declared["containerPort"]):
                port = declared["containerPort"]
        return self._ports.get(int(port), int(port))
