"""A Kubernetes cluster of this process, driven by the official client over HTTP."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from kubernetes import client, config

from etl_local.kubelet import Kubelet
from etl_local.kubernetes_api import KubernetesApi

Found = TypeVar("Found")


def eventually(look: Callable[[], Found], *, seconds: float = 30) -> Found:
    """What `look` returns once that is true; the test fails when it takes too long."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"still {found!r} after {seconds} s"
        time.sleep(0.005)
    return found


def started_since(before: set[psutil.Process]) -> set[psutil.Process]:
    """The processes below this one, without those children and what they start, as a server of other tests does."""
    new = set(psutil.Process().children()) - before
    return new.union(*(process.children(recursive=True) for process in new))


@dataclass
class Cluster:
    """An API server and clients of it."""

    api: KubernetesApi
    directory: Path
    stack: ExitStack
    lines: list[tuple[str, str]] = field(default_factory=list)

    def client(self, token: str | None = None) -> client.ApiClient:
        path = self.api.kubeconfig(self.directory / "kubeconfig", token)
        return self.stack.enter_context(config.new_client_from_config(str(path)))

    def __post_init__(self) -> None:
        connection = self.client()
        self.core = client.CoreV1Api(connection)
        self.batch = client.BatchV1Api(connection)
        self.apps = client.AppsV1Api(connection)

    def start_kubelet(self, **options: Any) -> Kubelet:
        defaults = {"environment": {"PATH": os.environ["PATH"]}, "backoff_seconds": 0.05, "last_grace_seconds": 0.2}
        options = defaults | options
        kubelet = Kubelet(
            self.api,
            self.directory / "k",
            python=sys.executable,
            on_log=lambda pod, line: self.lines.append((pod, line)),
            **options,
        )
        return self.stack.enter_context(kubelet)

    def start_job(self, program: str, name: str = "work", **spec: Any) -> None:
        self.batch.create_namespaced_job("default", job(program, name, **spec))

    def ended_job(self, name: str = "work") -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            found = self.api.get("Job", name)
            conditions = found["status"].get("conditions", [])
            return found if any(c["type"] in {"Complete", "Failed"} for c in conditions) else None

        return eventually(ended)

    def pods(self) -> list[dict[str, Any]]:
        return self.api.list("Pod", "default")

    def said(self, line: str) -> str:
        """The name of the pod that printed a line, once one did."""
        return eventually(lambda: next((pod for pod, told in list(self.lines) if told == line), ""))


def pod_spec(program: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "example", "command": ["python", "-c", program]}
    return {"restartPolicy": "Never", "containers": [container | spec.pop("container", {})], **spec}


def job(program: str, name: str = "work", *, pod: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    template = {"spec": pod_spec(program, **(pod or {}))}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": template, **spec},
    }


@pytest.fixture
def new_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Makes clusters; whatever they started has ended after the test, which is checked."""
    before = set(psutil.Process().children())
    with ExitStack() as stack:
        yield lambda **options: Cluster(stack.enter_context(KubernetesApi(**options)), tmp_path, stack)
    left = started_since(before)
    assert not left, f"left behind: {left}"
    assert not list(tmp_path.glob("k/p*")), "a pod's directory is left behind"


@pytest.fixture
def cluster(new_cluster: Callable[..., Cluster]) -> Cluster:
    return new_cluster()
