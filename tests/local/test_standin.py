"""The whole stand-in: what it offers while it is there, and that nothing of it is left, however it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import psycopg
import pytest
from kubernetes import client, config

from etl_local.standin import StandIn

pytestmark = pytest.mark.end_to_end
REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
import json, sys, time
from pathlib import Path
from etl_local.standin import StandIn

def tell(name, **fields):
    if name != "pod_log":
        print(json.dumps({"event": name, **fields}), flush=True)

with StandIn(scrub_directory=Path(sys.argv[1]), on_event=tell):
    print(json.dumps({"event": "entered"}), flush=True)
    time.sleep(120)
"""


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("rules")
    (directory / "columns.yaml").write_text("tables: {}\n")
    return directory


@pytest.fixture(scope="module")
def events() -> list[tuple[str, dict[str, Any]]]:
    return []


@pytest.fixture(scope="module")
def stand_in(rules: Path, events: list[tuple[str, dict[str, Any]]]) -> Iterator[StandIn]:
    with StandIn(scrub_directory=rules, on_event=lambda name, **fields: events.append((name, fields))) as stand_in:
        yield stand_in


def aws(stand_in: StandIn, service: Any) -> Any:
    found = stand_in.environment()
    session = boto3.Session(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"], region_name=found["AWS_REGION"])
    return session.client(service, endpoint_url=found["AWS_ENDPOINT_URL"])


def test_the_outputs_are_those_of_a_stack_with_all_stages(stand_in: StandIn):
    assert stand_in.outputs.keys() >= {
        "environment",
        "region",
        "extract_state_machine_arn",
        "load_state_machine_arn",
        "dump_queue_url",
        "dead_letter_queue_url",
        "extract_bucket",
        "load_bucket",
        "load_buckets",
        "transform_namespace",
        "extract_log_group",
        "load_log_group",
    }
    assert json.loads(stand_in.outputs_file.read_text()) == stand_in.outputs
    assert stand_in.environment()["POSTGRES_ETL_OUTPUTS"] == str(stand_in.outputs_file)
    owner = aws(stand_in, "sts").get_caller_identity()["Account"]
    assert stand_in.outputs["load_buckets"] == {"dev": {"bucket": stand_in.outputs["load_bucket"], "owner": owner}}


def test_the_progress_is_told_in_order(stand_in: StandIn, events: list[tuple[str, dict[str, Any]]]):
    names = [name for name, _ in events if name in ("directory_made", "cloud_started", "stack_deployed", "ready")]
    assert names == ["directory_made", "cloud_started", "stack_deployed", "ready"]
    deployed = next(fields["resources"] for name, fields in events if name == "stack_deployed")
    assert len([name for name, _ in events if name == "resource_made"]) == deployed
    assert str(stand_in.directory) == events[0][1]["directory"]


def test_the_source_is_for_its_owner_to_fill_and_the_target_for_its_loader_to_replace(stand_in: StandIn):
    for dsn, user in ((stand_in.source_dsn, "marketplace_owner"), (stand_in.target_dsn, "etl_load")):
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT current_user, current_database()").fetchone() == (user, "marketplace")
            connection.execute("CREATE TABLE toys (id int)")
            connection.rollback()


def test_the_dispatcher_runs_as_its_service_account(stand_in: StandIn):
    with config.new_client_from_config(stand_in.environment()["KUBECONFIG"]) as connection:
        deadline = time.monotonic() + 20
        while True:
            pods = client.CoreV1Api(connection).list_namespaced_pod(stand_in.outputs["transform_namespace"]).items
            ready = [pod for pod in pods for c in pod.status.container_statuses or [] if c.ready]
            if ready:
                break
            assert time.monotonic() < deadline, [pod.status for pod in pods]
            time.sleep(0.1)
    assert [pod.spec.service_account_name for pod in ready] == ["dispatcher"]


def test_the_bucket_policy_of_the_program_is_in_force(stand_in: StandIn):
    s3, bucket = aws(stand_in, "s3"), stand_in.outputs["extract_bucket"]
    s3.put_object(Bucket=bucket, Key="dev/toy/etl-dump/toy.json", Body=b"{}")
    with pytest.raises(s3.exceptions.ClientError, match="403"):
        s3.put_object(Bucket=bucket, Key="dev/toy/etl-dump/manifest.json", Body=b"{}")


def test_a_second_one_in_the_same_process_is_refused_and_leaves_the_first_alone(stand_in: StandIn, rules: Path):
    with pytest.raises(RuntimeError, match="in this process already"):
        StandIn(scrub_directory=rules).__enter__()
    assert aws(stand_in, "sts").get_caller_identity()["Account"]


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "directory_made"),
        (signal.SIGINT, "postgres_started"),
        (signal.SIGINT, "cloud_started"),
        (signal.SIGINT, "resource_made"),
        (signal.SIGINT, "ready"),
        (signal.SIGTERM, "postgres_started"),
        (signal.SIGTERM, "ready"),
        (signal.SIGKILL, "resource_made"),
        (signal.SIGKILL, "ready"),
    ],
)
def test_nothing_is_left_when_it_is_interrupted_at(rules: Path, moment: str, number: signal.Signals):
    with Program(rules) as program:
        program.wait_for(moment)
        seen = program.seen()
        program.process.send_signal(number)
        if number is not signal.SIGKILL:
            program.process.send_signal(number)  # an impatient second one changes nothing
        expected = {signal.SIGINT: (1, 130, -number), signal.SIGTERM: (143,), signal.SIGKILL: (-number,)}
        assert program.process.wait(30) in expected[number]
        assert_nothing_is_left(program, seen)


def test_a_database_of_the_users_own_can_be_the_source(rules: Path, stand_in: StandIn):
    """One of the first stand-in's clusters serves as the user's own."""
    program = PROGRAM.replace("StandIn(", f"StandIn(source_dsn={stand_in.target_dsn!r}, ")
    with Program(rules, program) as other:
        other.wait_for("entered")
        started = [event["cluster"] for event in other.events if event["event"] == "postgres_started"]
        assert started == ["target"]
        other.process.terminate()
        assert other.process.wait(30) == 143


class Program:
    """A Python program with a stand-in in it, which tells its events by lines."""

    def __init__(self, rules: Path, program: str = PROGRAM) -> None:
        self.shared_memory_before = _shared_memory()
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(rules)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=REPOSITORY,
        )
        self.events: list[dict[str, Any]] = []
        self.directory = Path("/nonexistent")

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def wait_for(self, name: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            self.events.append(event)
            if event["event"] == "directory_made":
                self.directory = Path(event["directory"])
            if event["event"] == name:
                return
        raise AssertionError(f"it ended before {name}")

    def seen(self) -> tuple[list[psutil.Process], list[int]]:
        """Its descendants, and the ports that any of them or itself listens on."""
        own = psutil.Process(self.process.pid)
        processes = own.children(recursive=True)
        ports: set[int] = set()
        for process in (own, *processes):
            try:
                ports |= {c.laddr.port for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
            except psutil.NoSuchProcess:
                continue
        return processes, sorted(ports)


def assert_nothing_is_left(program: Program, seen: tuple[list[psutil.Process], list[int]]) -> None:
    processes, ports = seen
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        alive = [p for p in (*processes, *_processes_of(program.directory)) if _is_alive(p)]
        if not alive and not program.directory.exists():
            break
        time.sleep(0.05)
    assert not alive
    assert not program.directory.exists()
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, port
    assert not (_shared_memory() - program.shared_memory_before) & {process.pid for process in processes}


def _shared_memory() -> set[int]:
    """The processes that made what System V shared memory there is; a number may have been another process's before."""
    segments = Path("/proc/sysvipc/shm")
    return {int(line.split()[4]) for line in segments.read_text().splitlines()[1:]} if segments.exists() else set()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _processes_of(directory: Path) -> list[psutil.Process]:
    """Whatever lives in the directory, or was started from it, or knows it."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            told = [process.cwd(), *process.cmdline(), *process.environ().values()]
        except (psutil.Error, OSError):
            continue
        if any(str(directory) in text for text in told):
            found.append(process)
    return found
