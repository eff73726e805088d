"""A dispatcher that is killed between two steps, as a process and by a signal; the next one does the rest."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.containers.api_server import ApiServer
from tests.containers.dispatch_cluster import DispatchCluster, dispatch_cluster
from tests.containers.dispatch_soak import Soak

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def jobs(kubernetes_api: ApiServer, tmp_path: Path) -> Iterator[DispatchCluster]:
    with dispatch_cluster(kubernetes_api, tmp_path) as cluster:
        yield cluster


@pytest.fixture
def scene(moto_endpoint: str, jobs: DispatchCluster, tmp_path: Path) -> Soak:
    return Soak(moto_endpoint, jobs, tmp_path, seed=1)


@pytest.fixture
def started(scene: Soak) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts dispatchers, which end with the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        processes.append(scene.start())
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def until(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("created", [True, False], ids=["after the Job was made", "before the Job is made"])
def test_a_dispatcher_that_dies_over_a_message_leaves_it_to_the_next(
    scene: Soak, jobs: DispatchCluster, started: Callable[[], subprocess.Popen[bytes]], created: bool
) -> None:
    fault = jobs.fault("create", executed=created, seconds=60)
    scene.send([json.dumps({"Records": [scene.dump("nightly-1")]})])
    victim = started()
    until(lambda: fault.hits and (jobs.jobs() or not created))
    victim.kill()
    victim.wait()
    fault.end()
    assert (len(jobs.jobs()), scene.waiting()) == (int(created), (0, 1))
    before = {name: job["metadata"]["uid"] for name, job in jobs.jobs().items()}
    started()
    until(lambda: scene.waiting() == (0, 0))
    after = {name: job["metadata"]["uid"] for name, job in jobs.jobs().items()}
    assert (len(after), scene.letter_bodies()) == (1, set())
    assert after.items() >= before.items(), "the Job that was there is the one that is there"


def test_a_dispatcher_that_is_asked_to_end_finishes_what_it_has_begun_and_gives_the_rest_back(
    scene: Soak, jobs: DispatchCluster, started: Callable[[], subprocess.Popen[bytes]]
) -> None:
    fault = jobs.fault("create", executed=True, seconds=60)
    scene.send([json.dumps({"Records": [scene.dump(f"nightly-{number}")]}) for number in range(4)])
    asked = started()
    until(lambda: fault.hits)
    asked.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    fault.end()
    assert asked.wait(30) == 0
    assert (len(jobs.jobs()), scene.waiting()) == (1, (3, 0))
