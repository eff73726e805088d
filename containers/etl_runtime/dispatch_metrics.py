"""What the dispatcher shows of itself: Prometheus metrics, health and readiness, on one port."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app  # type: ignore[reportUnknownVariableType]

_TICK_SECONDS = 180
"""The loop ticks at each round and each message. A receive takes 105 s at most, and a message's calls to S3 and to
Kubernetes 165 s, when nothing answers; longer than this it hangs."""
_SECURITY = frozenset({"another_bucket", "another_region", "key", "collision"})


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

        def counter(noun: str, text: str, *labels: str) -> Counter:
            return Counter(f"{name}_{noun}", text, labels, registry=self.registry)

        def gauge(noun: str, text: str) -> Gauge:
            return Gauge(f"{name}_{noun}", text, registry=self.registry)

        self.received = counter("received", "Messages received")
        self.test_events = counter("test_events", "Test events of S3")
        self.dispatched = counter("dispatched", "Jobs created")
        self.duplicate = counter("duplicate", "Records whose Job existed")
        self.source_gone = counter("source_gone", "Records whose dump is gone")
        self.postponed = counter("postponed", "Messages left to come again")
        self.rejected = counter("rejected", "Records of which no Job will come", "reason", "kind")
        self.reconciled = counter("reconciled", "Jobs created for dumps that no message named")
        self.reconcile_errors = counter("reconcile_errors", "Passes that ended early")
        self.api_errors = counter("api_errors", "Failed calls to Kubernetes", "call", "code")
        self.queue_errors = counter("queue_errors", "Failed receives from SQS")
        self.active = gauge("active_jobs", "Jobs not finished")
        self.free = gauge("free_slots", "Jobs that may still start")
        self.oldest_message = gauge("oldest_message_age_seconds", "Age of the oldest message of the last receive")
        self.last_tick = gauge("last_tick_seconds", "Time of the loop's last round")
        self.last_reconcile = gauge("last_reconcile_seconds", "Time of the last whole pass")
        self.create_seconds = Histogram(f"{name}_create_seconds", "Time to create a Job", registry=self.registry)
        self.latency_seconds = Histogram(
            f"{name}_latency_seconds",
            "From a message's sending to its Job",
            buckets=(0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 14400, math.inf),
            registry=self.registry,
        )
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

    def received_ok(self, oldest_seconds: float) -> None:
        """SQS answered; the oldest of what it gave has this age."""
        self._received_ok = True
        self.oldest_message.set(oldest_seconds)

    def reject(self, reason: str) -> None:
        """A record was refused for good. Of kind `security` is what nobody who means well sends."""
        kind = "security" if reason in _SECURITY else "cluster" if reason.startswith("kubernetes_") else "data"
        self.rejected.labels(reason, kind).inc()

    def api_error(self, call: str, code: str) -> None:
        """Kubernetes did not answer as it should; the code is an HTTP status, or an error's name."""
        self._listed = self._listed and call != "list"
        self.api_errors.labels(call, code).inc()

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
