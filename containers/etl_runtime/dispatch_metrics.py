"""What the dispatcher shows of itself: Prometheus metrics, health and readiness, on one port."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app  # type: ignore[reportUnknownVariableType]

_TICK_SECONDS = 180
"""The loop waits at most 20 s for messages and 120 s for a batch of them; longer than this it hangs."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A probe every few seconds is no news."""


class DispatchMetrics:
    """Counters of what happened to messages, and whether the loop is alive (health) and able (readiness)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        name = "postgres_etl_dispatcher"
        self.received = Counter(f"{name}_received", "Messages received", registry=self.registry)
        self.dispatched = Counter(f"{name}_dispatched", "Jobs created", registry=self.registry)
        self.duplicate = Counter(f"{name}_duplicate", "Records whose Job existed", registry=self.registry)
        self.source_gone = Counter(f"{name}_source_gone", "Records whose dump is gone", registry=self.registry)
        self.rejected = Counter(
            f"{name}_rejected", "Messages left to the dead-letter queue", ["reason"], registry=self.registry
        )
        self.api_errors = Counter(f"{name}_api_errors", "Failed calls to Kubernetes", ["call"], registry=self.registry)
        self.queue_errors = Counter(f"{name}_queue_errors", "Failed calls to SQS", registry=self.registry)
        self.active = Gauge(f"{name}_active_jobs", "Jobs not finished", registry=self.registry)
        self.free = Gauge(f"{name}_free_slots", "Jobs that may still start", registry=self.registry)
        self.last_tick = Gauge(f"{name}_last_tick_seconds", "Time of the loop's last round", registry=self.registry)
        self.create_seconds = Histogram(f"{name}_create_seconds", "Time to create a Job", registry=self.registry)
        self._ticked = time.monotonic()
        self._listed = self._received_ok = False

    def tick(self) -> None:
        """A round of the loop begins."""
        self._ticked = time.monotonic()
        self.last_tick.set_to_current_time()

    def listed(self, active: int, free: int) -> None:
        """Kubernetes said how many Jobs there are."""
        self._listed = True
        self.active.set(active)
        self.free.set(max(free, 0))

    def received_ok(self) -> None:
        """SQS answered."""
        self._received_ok = True

    def api_error(self, call: str) -> None:
        """Kubernetes did not answer as it should."""
        self._listed = self._listed and call != "list"
        self.api_errors.labels(call).inc()

    def queue_error(self) -> None:
        """SQS did not answer as it should."""
        self._received_ok = False
        self.queue_errors.inc()

    @property
    def alive(self) -> bool:
        """Whether the loop goes round; AWS and Kubernetes may be down meanwhile."""
        return time.monotonic() - self._ticked < _TICK_SECONDS

    @property
    def ready(self) -> bool:
        """Whether the last list of Jobs and the last receive succeeded."""
        return self._listed and self._received_ok

    def serve(self, address: str, port: int) -> WSGIServer:
        """Answer /metrics, /healthz and /readyz in a thread; `0.0.0.0` is every address of the pod."""
        metrics = cast(Callable[..., Iterable[bytes]], make_wsgi_app(self.registry))

        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            probes = {"/healthz": lambda: self.alive, "/readyz": lambda: self.ready}
            if (probe := probes.get(environ.get("PATH_INFO", ""))) is None:
                return metrics(environ, start)
            good = probe()
            start("200 OK" if good else "503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"ok\n" if good else b"no\n"]

        server = make_server(address, port, answer, server_class=_Server, handler_class=_QuietHandler)
        # It looks for the end of the program as often as this.
        threading.Thread(target=server.serve_forever, args=(0.1,), name="metrics", daemon=True).start()
        return server
