"""A measured process: how long it takes, what CPU and memory it and its servers use; ended when its time is up."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

_EVERY_SECONDS = 0.2


class OverdueError(Exception):
    """A way took longer than it is given."""


class FailedError(Exception):
    """A way did not come to its end; the message says what it said last, of synthetic data."""


class Deadline:
    """When a way has to be done."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds.

        Raises:
            OverdueError: there are none.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise OverdueError
        return left

    def run(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run a program of a way.

        Raises:
            FailedError: it failed.
            OverdueError: it was ended.
        """
        try:
            done = subprocess.run(
                argv,
                env=environment,
                timeout=self.left(),
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise OverdueError from None
        if done.returncode != 0:
            last = (done.stderr or done.stdout).strip().splitlines()[-3:]
            raise FailedError(f"{Path(argv[0]).name} ended with {done.returncode}: {' / '.join(last)}")


@dataclass
class Usage:
    """What a run took: wall seconds, of which by step, and CPU seconds of all its processes.

    Of ours also: CPU seconds of Python and of Postgres with its tools, and the most MiB that each had.
    """

    seconds: float
    steps: dict[str, float] = field(default_factory=dict)
    cpu: float = 0.0
    python_cpu: float = 0.0
    postgres_cpu: float = 0.0
    own_mib: float = 0.0
    postgres_mib: float = 0.0


class _Peaks:
    """The largest sums seen, and the last CPU seconds of the process itself."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.cpu = 0.0
        self.own = self.postgres = 0

    def look(self) -> None:
        own = postgres = shared = 0
        try:
            times = self._process.cpu_times()
            self.cpu = times.user + times.system
            processes = [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                memory, name = process.memory_info(), process.name()
            except psutil.NoSuchProcess:
                continue
            if name.startswith("postgres"):
                # All of a server's processes have the same shared buffers.
                both = getattr(memory, "shared", 0)
                postgres, shared = postgres + memory.rss - both, max(shared, both)
            else:
                own += memory.rss
        self.own, self.postgres = max(self.own, own), max(self.postgres, postgres + shared)


def measured(argv: Sequence[str], environment: Mapping[str, str], log: Path, deadline: Deadline) -> Usage:
    """Run one of our programs and watch it.

    Args:
        argv: The program.
        environment: All of it.
        log: Where its output goes: one JSON event a line.
        deadline: It is asked to end then, and made to.

    Raises:
        FailedError: it failed.
        OverdueError: it was ended.
    """
    before, started = children_cpu(), time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(argv, env=environment, stdout=output, stderr=subprocess.STDOUT)
        peaks = _Peaks(process.pid)
        try:
            while True:
                peaks.look()
                try:
                    process.wait(min(_EVERY_SECONDS, deadline.left()))
                    break
                except subprocess.TimeoutExpired:
                    continue
        finally:
            _end(process)
    seconds = time.perf_counter() - started
    events = _events(log)
    if process.returncode != 0:
        told = next((str(event["error"]) for event in reversed(events) if "error" in event), log.read_text()[-400:])
        raise FailedError(f"ended with {process.returncode}: {told}")
    cpu = children_cpu() - before
    return Usage(
        seconds=seconds,
        steps=_steps(events, seconds),
        cpu=cpu,
        python_cpu=peaks.cpu,
        postgres_cpu=max(cpu - peaks.cpu, 0.0),
        own_mib=peaks.own / 2**20,
        postgres_mib=peaks.postgres / 2**20,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM lets it end its server and wipe its disk; what is left after that is killed."""
    if process.poll() is not None:
        return
    left = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in left:
        if child.is_running():
            child.kill()


def children_cpu() -> float:
    """CPU seconds of all children that have ended, theirs included."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _events(log: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            found.append(json.loads(line))
    return found


def _steps(events: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, float]:
    """Seconds by step of the program's own progress log; what is before and after all of it is a step, too."""
    steps: dict[str, float] = {}
    step, since, first = "reading manifest and rules", None, None
    for event in events:
        now = datetime.fromisoformat(event["timestamp"]).timestamp()
        if since is not None:
            steps[step] = steps.get(step, 0.0) + now - since
        since, first = now, now if first is None else first
        step = event["step"] if event.get("event") == "progress" else step
    if first is not None and since is not None:
        steps["starting and ending"] = max(seconds - (since - first), 0.0)
    return steps
