"""Pods run by the local kubelet: environment, volumes, ports, logs, init containers, credentials."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, watch

from tests.local.conftest import Cluster, eventually, pod_spec

TELL_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"
SLEEP = "import time; print('ready', flush=True); time.sleep(60)"


def run(cluster: Cluster, program: str, *, metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Run a pod to its end."""
    start(cluster, program, metadata=metadata, **spec)
    return ended(cluster)


def start(cluster: Cluster, program: str, *, metadata: dict[str, Any] | None = None, **spec: Any) -> None:
    manifest = {"metadata": {"name": "pod"} | (metadata or {}), "spec": pod_spec(program, **spec)}
    cluster.core.create_namespaced_pod("default", manifest)


def ended(cluster: Cluster) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        pod = cluster.api.get("Pod", "pod")
        return pod if pod["status"]["phase"] in {"Succeeded", "Failed"} else None

    return eventually(found)


def printed(cluster: Cluster, count: int = 1) -> list[str]:
    """What pods printed, once it is that many lines; they may come a moment after their pod has ended."""
    try:
        eventually(lambda: len(cluster.lines) >= count)
    except AssertionError as error:
        statuses = [pod["status"].get("containerStatuses") for pod in cluster.pods()]
        raise AssertionError(f"printed {cluster.lines}, while the pods are {statuses}") from error
    return [line for _, line in cluster.lines]


def waiting_reason(cluster: Cluster) -> str:
    status = cluster.api.get("Pod", "pod")["status"].get("containerStatuses", [{}])[0]
    return status.get("state", {}).get("waiting", {}).get("reason", "")


@pytest.fixture
def sources(cluster: Cluster) -> Cluster:
    cluster.api.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "data": {"a": "1", "b.yaml": "x: 2"}}
    )
    cluster.api.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret"}, "stringData": {"password": "synthetic"}}
    )
    return cluster


# --- environment


def test_a_container_gets_its_own_variables_and_the_kubelets_and_no_other(sources: Cluster, tmp_path: Path):
    sources.start_kubelet(
        environment={"PATH": os.defpath, "AWS_REGION": "kubelet", "SHARED": "yes"}, pythonpath=[tmp_path]
    )
    env = [
        {"name": "AWS_REGION", "value": "eu-west-2"},
        {"name": "EMPTY"},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "SPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        {"name": "NOTE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['postgres-etl/source']"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "MAPPED", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "a"}}},
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "password"}}},
        {"name": "ABSENT", "valueFrom": {"secretKeyRef": {"name": "none", "key": "x", "optional": True}}},
        {"name": "JOINED", "value": "$(POD)/$(UNKNOWN)/$$(POD)"},
        {"name": "CORES", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "MIB", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
    ]
    container = {"env": env, "resources": {"limits": {"cpu": "1500m", "memory": "2Gi"}}}
    metadata = {"annotations": {"postgres-etl/source": "s3://b/k"}, "labels": {"app": "etl"}}
    pod = run(sources, TELL_ENVIRONMENT, metadata=metadata, container=container, automountServiceAccountToken=False)
    told = json.loads(printed(sources)[0])
    told.pop("LC_CTYPE", None)  # Python's own, in a process without a locale
    assert told == {
        "PATH": os.defpath,
        "SHARED": "yes",
        "PYTHONPATH": str(tmp_path),
        "AWS_REGION": "eu-west-2",
        "EMPTY": "",
        "POD": "pod",
        "SPACE": "default",
        "UID": pod["metadata"]["uid"],
        "NOTE": "s3://b/k",
        "LABEL": "etl",
        "MAPPED": "1",
        "SECRET": "synthetic",
        "JOINED": "pod/$(UNKNOWN)/$(POD)",
        "CORES": "2",
        "MIB": "2048",
    }


def test_whole_maps_and_secrets_become_variables(sources: Cluster):
    sources.start_kubelet()
    from_all = [{"prefix": "M_", "configMapRef": {"name": "map"}}, {"secretRef": {"name": "secret"}}]
    run(sources, TELL_ENVIRONMENT, container={"envFrom": from_all, "env": [{"name": "M_a", "value": "own"}]})
    told = json.loads(printed(sources)[0])
    assert (told["M_a"], told["M_b.yaml"], told["password"]) == ("own", "x: 2", "synthetic")


def test_python_means_the_given_interpreter_and_arguments_are_expanded(cluster: Cluster):
    cluster.start_kubelet()
    program = "import sys; print(sys.executable, *sys.argv[1:])"
    container = {"args": ["$(WHO)", "$(none)"], "env": [{"name": "WHO", "value": "you"}]}
    run(cluster, program, container=container)
    assert printed(cluster) == [f"{sys.executable} you $(none)"]


def test_a_pod_waits_for_a_config_map_and_starts_when_it_comes(cluster: Cluster):
    cluster.start_kubelet()
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "a"}}}]
    start(cluster, "import os; print(os.environ['A'])", container={"env": env})
    eventually(lambda: waiting_reason(cluster) == "CreateContainerConfigError")
    assert cluster.api.get("Pod", "pod")["status"]["phase"] == "Pending"
    cluster.api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "data": {"a": "late"}})
    ended(cluster)
    assert printed(cluster) == ["late"]


# --- volumes


def test_volumes_are_private_directories_and_paths_below_mounts_lead_there(sources: Cluster):
    sources.start_kubelet()
    volumes = [
        {"name": "rules", "configMap": {"name": "map"}},
        {"name": "one", "configMap": {"name": "map", "items": [{"key": "b.yaml", "path": "sub/job.yaml"}]}},
        {"name": "password", "secret": {"secretName": "secret"}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
    ]
    mounts = [
        {"name": "rules", "mountPath": "/etc/postgres-etl/scrub"},
        {"name": "one", "mountPath": "/etc/postgres-etl/job"},
        {"name": "password", "mountPath": "/run/secret"},
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # a container's path
    ]
    env = [
        {"name": "SCRUB_DIRECTORY", "value": "/etc/postgres-etl/scrub"},
        {"name": "JOB_TEMPLATE", "value": "/etc/postgres-etl/job/sub/job.yaml"},
        {"name": "PASSWORD", "value": "/run/secret/password"},
        {"name": "MOUNT_POINT", "value": "/scratch"},
        {"name": "OTHER", "value": "/scratches/not"},
    ]
    program = (
        "import json, os, pathlib, stat, sys, tempfile\n"
        "e = {k: pathlib.Path(v) for k, v in os.environ.items()}\n"
        "(e['MOUNT_POINT'] / 'file').write_text('x')\n"
        "print(json.dumps({\n"
        "  'rules': {p.name: p.read_text() for p in e['SCRUB_DIRECTORY'].iterdir()},\n"
        "  'job': e['JOB_TEMPLATE'].read_text(), 'password': e['PASSWORD'].read_text(),\n"
        "  'modes': [oct(stat.S_IMODE(e[k].stat().st_mode)) for k in ('JOB_TEMPLATE', 'PASSWORD')],\n"
        "  'argument': pathlib.Path(sys.argv[1]).read_text(), 'other': os.environ['OTHER'],\n"
        "  'scratch': os.environ['MOUNT_POINT'], 'tmp': tempfile.gettempdir()}))"
    )
    container = {"env": env, "volumeMounts": mounts, "args": ["/scratch/file"]}
    run(sources, program, container=container, volumes=volumes)
    told = json.loads(printed(sources)[0])
    scratch, tmp = Path(told.pop("scratch")), Path(told.pop("tmp"))
    assert told == {
        "rules": {"a": "1", "b.yaml": "x: 2"},
        "job": "x: 2",
        "password": "synthetic",
        "modes": ["0o444", "0o400"],
        "argument": "x",
        "other": "/scratches/not",
    }
    pods = sources.directory / "k"
    assert scratch.is_relative_to(pods)
    assert tmp.is_relative_to(pods)
    assert tmp != scratch
    assert len(str(scratch.relative_to(pods))) < 16, "short enough for Unix sockets below it"
    assert (scratch / "file").exists(), "an emptyDir lives until the pod object is gone"
    sources.core.delete_namespaced_pod("pod", "default")
    eventually(lambda: not scratch.exists())


def test_a_volume_that_this_machine_does_not_have_keeps_the_pod_waiting(cluster: Cluster):
    cluster.start_kubelet()
    start(cluster, "pass", volumes=[{"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}}])
    eventually(lambda: waiting_reason(cluster) == "CreateContainerConfigError")


# --- containers


def test_init_containers_run_in_order_before_the_others(cluster: Cluster):
    cluster.start_kubelet()
    inits = [
        {"name": name, "image": "example", "command": ["python", "-c", f"import time; time.sleep(.1); print({name!r})"]}
        for name in ("first", "second")
    ]
    pod = run(cluster, "print('main')", initContainers=inits)
    assert printed(cluster, 3) == ["first", "second", "main"]
    assert [status["ready"] for status in pod["status"]["initContainerStatuses"]] == [True, True]


def test_a_failed_init_container_fails_the_pod_before_its_containers_start(cluster: Cluster):
    cluster.start_kubelet()
    init = {"name": "init", "image": "example", "command": ["python", "-c", "raise SystemExit(3)"]}
    pod = run(cluster, "print('main')", initContainers=[init])
    assert (pod["status"]["phase"], cluster.lines) == ("Failed", [])
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert pod["status"]["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}


def test_the_interpreter_is_this_machines_own_wherever_volumes_are_mounted(cluster: Cluster):
    cluster.start_kubelet()
    mount = {"name": "over", "mountPath": str(Path(sys.executable).parent)}
    run(cluster, "print('hello')", container={"volumeMounts": [mount]}, volumes=[{"name": "over", "emptyDir": {}}])
    assert printed(cluster) == ["hello"]


def test_a_pod_that_the_disk_has_no_room_for_is_evicted(cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    cluster.start_kubelet()

    def full(**_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("etl_local.kubelet_pod.tempfile.mkdtemp", full)
    status = run(cluster, "print('hello')")["status"]
    assert (status["phase"], status["reason"], status["message"]) == (
        "Failed",
        "Evicted",
        "The node was low on resource: ephemeral-storage. No space left on device",
    )


@pytest.mark.parametrize("command", [["no-such-program"], []])
def test_a_command_that_cannot_be_started_fails_the_pod(cluster: Cluster, command: list[str]):
    cluster.start_kubelet()
    pod = run(cluster, "", container={"command": command})
    terminated = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (pod["status"]["phase"], terminated["reason"], terminated["exitCode"]) == ("Failed", "StartError", 128)


def test_an_image_that_is_missing_keeps_the_pod_waiting(cluster: Cluster):
    cluster.start_kubelet(images={"another"})
    start(cluster, "print('hello')")
    eventually(lambda: waiting_reason(cluster) == "ErrImagePull")
    assert cluster.api.get("Pod", "pod")["status"]["phase"] == "Pending"


def test_a_pod_with_a_service_account_reaches_the_api_as_that_account(cluster: Cluster):
    cluster.start_kubelet()
    program = (
        "from kubernetes import client, config\n"
        "with config.new_client_from_config() as connection:\n"
        "    print([p.metadata.name for p in client.CoreV1Api(connection).list_namespaced_pod('default').items])"
    )
    run(cluster, program)
    assert printed(cluster) == ["['pod']"]


def test_a_service_account_can_refuse_to_hand_out_its_token(cluster: Cluster):
    cluster.api.create(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default"},
            "automountServiceAccountToken": False,
        }
    )
    cluster.start_kubelet()
    run(cluster, "import os; print('KUBECONFIG' in os.environ)")
    assert printed(cluster) == ["False"]


# --- logs


def test_a_log_is_read_whole_and_by_its_tail_and_kept_as_a_file(cluster: Cluster):
    cluster.start_kubelet()
    run(cluster, "import sys\nfor n in range(4): print('line', n)\nprint('fault', file=sys.stderr, flush=True)")
    read = cluster.core.read_namespaced_pod_log
    assert sorted(read("pod", "default").splitlines()) == ["fault", "line 0", "line 1", "line 2", "line 3"]
    assert len(read("pod", "default", tail_lines=2).splitlines()) == 2
    assert read("pod", "default", tail_lines=0) == ""
    assert len(read("pod", "default", limit_bytes=3)) == 3
    stamp, _, text = read("pod", "default", timestamps=True).splitlines()[0].partition(" ")
    assert (stamp[-1], text in {"line 0", "fault"}) == ("Z", True)
    assert sorted((cluster.directory / "k/logs/pod.log").read_text().splitlines())[1:] == [
        "line 0",
        "line 1",
        "line 2",
        "line 3",
    ]


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_disk_without_space_for_the_file_keeps_no_line_from_the_pods_log(cluster: Cluster):
    cluster.start_kubelet()
    # /dev/full fails each write as a full disk does
    (cluster.directory / "k/logs/pod.log").symlink_to("/dev/full")
    pod = run(cluster, "print('no space'); raise SystemExit(70)")
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 70
    assert printed(cluster) == ["no space"]
    assert cluster.core.read_namespaced_pod_log("pod", "default") == "no space\n"


def test_a_log_is_followed_line_by_line_until_the_container_ends(cluster: Cluster):
    cluster.start_kubelet()
    heard = cluster.directory / "heard"
    start(
        cluster,
        "import pathlib, time\n"
        "print('one', flush=True)\n"
        f"while not pathlib.Path({str(heard)!r}).exists(): time.sleep(.01)\n"
        "print('two')",
    )
    eventually(lambda: cluster.lines)
    lines = watch.Watch().stream(cluster.core.read_namespaced_pod_log, "pod", "default")
    assert next(lines) == "one"
    heard.touch()
    assert list(lines) == ["two"]


def test_a_log_that_is_not_there_yet_is_a_bad_request(cluster: Cluster):
    start(cluster, "pass")
    with pytest.raises(client.ApiException) as refusal:
        cluster.core.read_namespaced_pod_log("pod", "default")
    assert refusal.value.status == 400
    assert 'container \\"main\\" in pod \\"pod\\" is waiting to start: ContainerCreating' in refusal.value.body


def test_a_pod_of_several_containers_is_asked_by_name(cluster: Cluster):
    cluster.start_kubelet()
    containers = [{"name": n, "image": "example", "command": ["python", "-c", f"print({n!r})"]} for n in ("a", "b")]
    run(cluster, "", containers=containers)
    assert cluster.core.read_namespaced_pod_log("pod", "default", container="b") == "b\n"
    with pytest.raises(client.ApiException) as refusal:
        cluster.core.read_namespaced_pod_log("pod", "default")
    assert "a container name must be specified for pod pod, choose one of: [a b]" in refusal.value.body


def test_a_running_pod_tells_its_state(cluster: Cluster):
    cluster.start_kubelet()
    start(cluster, SLEEP)
    cluster.said("ready")
    pod = eventually(
        lambda: next(
            (p for p in cluster.core.list_namespaced_pod("default").items if p.status.phase == "Running"), None
        )
    )
    assert pod.spec.node_name == "local"
    assert pod.status.pod_ip == "127.0.0.1"
    assert pod.status.container_statuses[0].state.running.started_at
    assert {c.type: c.status for c in pod.status.conditions}["Ready"] == "True"
    assert [node.metadata.name for node in cluster.core.list_node().items] == ["local"]
