from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from etl_runtime import dispatch_metrics
from etl_runtime.dispatch_metrics import DispatchMetrics

Get = Callable[[str], tuple[int, str]]


@pytest.fixture
def metrics() -> DispatchMetrics:
    return DispatchMetrics()


@pytest.fixture
def get(metrics: DispatchMetrics) -> Iterator[Get]:
    server = metrics.serve("127.0.0.1", 0)
    port = server.server_address[1]

    def answer(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answered:
                return answered.status, answered.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    yield answer
    server.shutdown()
    server.server_close()


def test_it_listens_where_it_is_told_alone(metrics: DispatchMetrics) -> None:
    server = metrics.serve("127.0.0.2", 0)
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.server_address[1])).close()
        socket.create_connection(("127.0.0.2", server.server_address[1])).close()
    finally:
        server.shutdown()
        server.server_close()


def test_the_dispatcher_is_alive_while_its_loop_goes_round(
    metrics: DispatchMetrics, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get("/healthz") == (200, "ok\n")
    later = dispatch_metrics.time.monotonic() + 181
    monkeypatch.setattr(dispatch_metrics.time, "monotonic", lambda: later)
    assert get("/healthz") == (503, "no\n")
    metrics.tick()
    assert get("/healthz") == (200, "ok\n")


def test_the_dispatcher_is_ready_while_kubernetes_and_the_queue_answer(metrics: DispatchMetrics, get: Get) -> None:
    assert get("/readyz") == (503, "no\n")
    metrics.listed(active=1, free=2)
    assert get("/readyz") == (503, "no\n")
    metrics.received_ok(0)
    assert get("/readyz") == (200, "ok\n")
    metrics.queue_error()
    assert get("/readyz") == (503, "no\n")
    metrics.received_ok(0)
    metrics.api_error("list", "500")
    assert get("/readyz") == (503, "no\n")
    metrics.listed(active=1, free=2)
    assert get("/readyz") == (200, "ok\n")
    metrics.api_error("create", "500")
    assert get("/readyz") == (200, "ok\n")
    assert get("/healthz") == (200, "ok\n")


def test_what_happened_to_messages_is_counted(metrics: DispatchMetrics, get: Get) -> None:
    metrics.received.inc()
    for reason in ("another_bucket", "another_bucket", "kubernetes_422", "manifest"):
        metrics.reject(reason)
    metrics.received_ok(42)
    metrics.listed(active=5, free=-2)
    status, text = get("/metrics")
    lines = [line for line in text.splitlines() if not line.startswith("#") and "_created" not in line]
    assert status == 200
    assert "postgres_etl_dispatcher_received_total 1.0" in lines
    assert 'postgres_etl_dispatcher_rejected_total{kind="security",reason="another_bucket"} 2.0' in lines
    assert 'postgres_etl_dispatcher_rejected_total{kind="cluster",reason="kubernetes_422"} 1.0' in lines
    assert 'postgres_etl_dispatcher_rejected_total{kind="data",reason="manifest"} 1.0' in lines
    assert "postgres_etl_dispatcher_oldest_message_age_seconds 42.0" in lines
    assert "postgres_etl_dispatcher_active_jobs 5.0" in lines
    assert "postgres_etl_dispatcher_free_slots 0.0" in lines


def test_two_dispatchers_of_one_process_count_apart() -> None:
    one, other = DispatchMetrics(), DispatchMetrics()
    one.dispatched.inc()
    assert other.registry.get_sample_value("postgres_etl_dispatcher_dispatched_total") == 0
