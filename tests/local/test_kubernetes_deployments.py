"""Deployments run by the local kubelet: kept running, probed on mapped ports, replaced and taken down."""

from __future__ import annotations

import os
import signal
import urllib.request
from typing import Any

import psutil

from tests.local.conftest import Cluster, eventually, pod_spec

SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
SERVER = """
import http.server, os, pathlib
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        sick = pathlib.Path(os.environ['SICK'] + self.path).exists()
        self.send_response(500 if sick else 200); self.end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['METRICS_PORT'])), Answer)
print(os.getpid(), flush=True)
server.serve_forever()
"""


def deploy(cluster: Cluster, program: str, **spec: Any) -> None:
    template = {
        "metadata": {"labels": {"app": "dispatcher"}},
        "spec": pod_spec(program, restartPolicy="Always", **spec.pop("pod", {})),
    }
    cluster.api.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "dispatcher"},
            "spec": {"selector": {"matchLabels": {"app": "dispatcher"}}, "template": template, **spec},
        }
    )


def available(cluster: Cluster) -> int:
    return cluster.apps.read_namespaced_deployment("dispatcher", "default").status.available_replicas or 0


def pids(cluster: Cluster) -> list[int]:
    return [int(line) for _, line in list(cluster.lines)]


def test_a_deployment_runs_one_pod_and_becomes_available(cluster: Cluster):
    cluster.start_kubelet()
    deploy(cluster, SLEEP)
    eventually(lambda: available(cluster) == 1)
    found = cluster.apps.read_namespaced_deployment("dispatcher", "default")
    assert {c.type: c.status for c in found.status.conditions} == {"Available": "True", "Progressing": "True"}
    assert found.status.observed_generation == found.metadata.generation
    (pod,) = cluster.core.list_namespaced_pod("default", label_selector="app=dispatcher").items
    assert pod.metadata.name.startswith("dispatcher-")
    eventually(lambda: len(pids(cluster)) == 1)


def test_a_container_that_ends_is_started_again_in_its_pod(cluster: Cluster):
    cluster.start_kubelet()
    deploy(cluster, SLEEP)
    first = eventually(lambda: pids(cluster))[0]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: len(pids(cluster)) == 2)
    eventually(lambda: available(cluster) == 1)
    (pod,) = cluster.pods()
    status = pod["status"]["containerStatuses"][0]
    assert (status["restartCount"], status["lastState"]["terminated"]["exitCode"]) == (1, 137)
    read, name = cluster.core.read_namespaced_pod_log, pod["metadata"]["name"]
    logs = [read(name, "default", previous=True), read(name, "default")]
    assert [int(log) for log in logs] == pids(cluster)


def test_a_container_that_ends_again_and_again_is_backed_off(cluster: Cluster):
    cluster.start_kubelet(backoff_seconds=0.3)
    deploy(cluster, "import os; print(os.getpid())")

    def backed_off() -> bool:
        status = (
            cluster.pods()[0]["status"].get("containerStatuses", [{"state": {}}])[0]
            if cluster.pods()
            else {"state": {}}
        )
        return status["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"

    eventually(backed_off)
    assert available(cluster) == 0
    eventually(lambda: len(pids(cluster)) == 2)


PORTS = {
    "ports": [{"name": "metrics", "containerPort": 8080}],
    "readinessProbe": {"httpGet": {"path": "/ready", "port": "metrics"}, "periodSeconds": 1, "failureThreshold": 1},
    "livenessProbe": {"httpGet": {"path": "/alive", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1},
}


def serve(cluster: Cluster) -> None:
    env = [{"name": "METRICS_PORT", "value": "8080"}, {"name": "SICK", "value": str(cluster.directory / "sick")}]
    deploy(cluster, SERVER, pod={"container": PORTS | {"env": env}})


def test_a_port_is_mapped_to_a_free_one_that_probes_and_people_find(cluster: Cluster):
    kubelet = cluster.start_kubelet()
    serve(cluster)
    eventually(lambda: available(cluster) == 1)
    ports = kubelet.ports(cluster.pods()[0]["metadata"]["name"])
    assert list(ports) == [8080]
    with urllib.request.urlopen(f"http://127.0.0.1:{ports[8080]}/") as answer:  # loopback
        assert answer.status == 200


def test_readiness_follows_its_probe(cluster: Cluster):
    (cluster.directory / "sick").mkdir()
    (cluster.directory / "sick/ready").touch()
    cluster.start_kubelet()
    serve(cluster)
    eventually(lambda: pids(cluster))
    assert available(cluster) == 0
    (cluster.directory / "sick/ready").unlink()
    eventually(lambda: available(cluster) == 1)
    (cluster.directory / "sick/ready").touch()
    eventually(lambda: available(cluster) == 0)
    assert len(pids(cluster)) == 1


def test_a_container_whose_liveness_fails_is_restarted(cluster: Cluster):
    (cluster.directory / "sick").mkdir()
    cluster.start_kubelet()
    serve(cluster)
    eventually(lambda: available(cluster) == 1)
    (cluster.directory / "sick/alive").touch()
    eventually(lambda: not psutil.pid_exists(pids(cluster)[0]))
    (cluster.directory / "sick/alive").unlink()
    eventually(lambda: len(pids(cluster)) >= 2)
    eventually(lambda: available(cluster) == 1)


def test_a_changed_template_replaces_the_pod_after_the_old_one_ended(cluster: Cluster):
    cluster.start_kubelet()
    deploy(cluster, SLEEP, strategy={"type": "Recreate"})
    first = eventually(lambda: pids(cluster))[0]
    alive = "import os, time; print(os.getpid(), flush=True); time.sleep(61)"
    deploy(cluster, alive, strategy={"type": "Recreate"})
    second = eventually(lambda: pids(cluster)[1:])[0]
    assert not psutil.pid_exists(first)
    assert psutil.pid_exists(second)
    eventually(lambda: len(cluster.pods()) == 1)


def test_a_deployment_is_scaled_up_and_down(cluster: Cluster):
    cluster.start_kubelet()
    deploy(cluster, SLEEP, replicas=2)
    eventually(lambda: available(cluster) == 2)
    cluster.apps.patch_namespaced_deployment("dispatcher", "default", {"spec": {"replicas": 0}})
    eventually(lambda: not cluster.pods())
    assert not any(psutil.pid_exists(pid) for pid in pids(cluster))


def test_a_deleted_pod_is_replaced(cluster: Cluster):
    cluster.start_kubelet()
    deploy(cluster, SLEEP)
    eventually(lambda: pids(cluster))
    cluster.core.delete_namespaced_pod(cluster.pods()[0]["metadata"]["name"], "default")
    eventually(lambda: len(pids(cluster)) == 2)
    eventually(lambda: len(cluster.pods()) == 1)


def test_a_deleted_deployment_takes_its_pod_along(cluster: Cluster):
    cluster.start_kubelet()
    deploy(cluster, SLEEP)
    pid = eventually(lambda: pids(cluster))[0]
    cluster.apps.delete_namespaced_deployment("dispatcher", "default")
    eventually(lambda: not cluster.pods())
    assert not psutil.pid_exists(pid)


def test_a_deleted_namespace_ends_what_runs_in_it(cluster: Cluster):
    cluster.start_kubelet()
    deploy(cluster, SLEEP)
    pid = eventually(lambda: pids(cluster))[0]
    cluster.core.delete_namespace("default")
    eventually(lambda: "default" not in [n["metadata"]["name"] for n in cluster.api.list("Namespace")])
    assert not psutil.pid_exists(pid)
