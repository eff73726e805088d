"""Fails a program at every point between two of its outer effects, to see what it leaves and that it can go on.

A program's outer effects are its calls of AWS, its statements, its children and its files (all of them are listed in
`injection/injected_faults.py`). A first run, undisturbed, records the points between them; then a test fails the
program at each, in each way that the point allows, and asks afterwards what must hold whatever happened:

    with FaultyProgram("pg_dump", disks) as program:
        points, _ = program.recorded(environment)

        def tried(case: Case) -> None:
            environment = ...                     # places of this case's own
            run = program.failed(environment, case)
            assert run.code in case.codes         # and whatever must hold of what it left
            assert program.run(environment).code == 0

        try_all(cases(points), tried)

The program is the very one of the images, run as its container runs it; what counts and fails is patched into the
libraries below it, in the test's process alone. Points of one kind, such as the uploads of a hundred files, are alike
but for a number; `cases` takes the first and the last of each kind, and so every kind there is.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TypeVar

from etl_runtime.contract import ExitCode

from tests.containers.end_to_end.programs import CONTAINERS, Run

FORK_SERVER = Path(__file__).parent / "injection" / "fork_server.py"
KILLED = -9


@dataclass(frozen=True)
class Point:
    """A place between two steps: an effect that is about to happen or has, and how often it had come before."""

    effect: str
    occurrence: int

    @property
    def kind(self) -> str:
        """What it has in common with points that differ in a number alone."""
        return re.sub(r"(?<![A-Za-z])\d+", "#", self.effect)

    @property
    def faults(self) -> tuple[str, ...]:
        """What can happen here. After a statement, a signal finds what it finds before the next step."""
        subject, effect = self.effect.split(" ")[:2]
        if not self.effect.endswith(": before"):
            return ("kill",) if subject == "sql" else ("kill", "terminate")
        if subject == "file" and effect not in ("open", "mkdir"):
            return ("kill", "terminate")
        return ("kill", "terminate", *_FAULTS.get(subject, _AWS_FAULTS))


_AWS_FAULTS = ("server-error", "access-denied", "unreachable", "answer-lost")
_FAULTS = {"sql": ("connection-lost",), "child": ("child-killed",), "file": ("no-space",), "aws": ("body-lost",)}
_CODES: Mapping[str, frozenset[int]] = {
    "kill": frozenset({KILLED}),
    # One that comes after all is done is no longer heard.
    "terminate": frozenset({ExitCode.TERMINATED, ExitCode.DONE}),
    "server-error": frozenset({ExitCode.TRANSIENT}),
    "access-denied": frozenset({ExitCode.UNAVAILABLE}),
    "unreachable": frozenset({ExitCode.TRANSIENT}),
    # The next attempt finds what the first one did.
    "answer-lost": frozenset({ExitCode.DONE}),
    "body-lost": frozenset({ExitCode.TRANSIENT}),
    # One that nothing more is asked of is not missed.
    "connection-lost": frozenset({ExitCode.TRANSIENT, ExitCode.DONE}),
    "child-killed": frozenset({ExitCode.TRANSIENT}),
    "no-space": frozenset({ExitCode.NO_SPACE}),
}
"""Fault → the exit codes that the contract has for it."""


@dataclass(frozen=True)
class Case:
    """One way to fail at one point."""

    point: Point
    fault: str

    @property
    def codes(self) -> frozenset[int]:
        """How the program may end."""
        return _CODES[self.fault]

    def __str__(self) -> str:
        return f"{self.fault} at [{self.point.effect}] after {self.point.occurrence}"


def cases(points: Sequence[Point], faults: Callable[[Point], Iterable[str]] = lambda point: point.faults) -> list[Case]:
    """Each way to fail at the first point of each kind, and a kill at the last one."""
    first = {point.kind: point for point in reversed(points)}
    last = {point.kind: point for point in points}
    chosen = [Case(point, fault) for point in first.values() for fault in faults(point)]
    return chosen + [Case(point, "kill") for kind, point in last.items() if point != first[kind]]


def in_rows(all_cases: Sequence[Case], most: int) -> list[Sequence[Case]]:
    """The cases in rows of at most so many, to fail one after another at one place before it is completed.

    As the attempts of one execution may; and a row is completed once, where each case would be. Neighbours, which are
    of one kind, are in different rows.
    """
    rows = -(-len(all_cases) // most)
    return [all_cases[first::rows] for first in range(rows)]


Tried = TypeVar("Tried", Case, Sequence[Case])


def try_all(all_cases: Sequence[Tried], tried: Callable[[Tried], None], at_once: int = 3) -> None:
    """Try each case (or row of cases), some at once as much of a run is waiting; fail at the end with all that did
    not hold.

    Raises:
        AssertionError: naming each case that failed, and why.
    """

    def attempt(case: Tried) -> str:
        try:
            tried(case)
        except Exception as error:
            named = str(case) if isinstance(case, Case) else ", ".join(map(str, case))
            return f"{named}: {error or type(error).__name__}"
        return ""

    with ThreadPoolExecutor(at_once) as pool:
        failures = list(filter(None, pool.map(attempt, all_cases)))
    assert not failures, f"{len(failures)} of {len(all_cases)} cases:\n" + "\n".join(failures)


class ForkServer:
    """Starts programs, one at a time, in a moment: each is a fork of a process that has imported the libraries."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(FORK_SERVER)],
            env={"PYTHONPATH": str(CONTAINERS), "PATH": os.defpath},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, program: str, environment: Mapping[str, str], output: Path) -> int:
        """Run a program to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"program": program, "environment": dict(environment), "output": str(output)}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it; no program runs."""
        self._process.communicate("", 10)


class FaultyProgram:
    """A program of `etl_runtime` that can be failed at a point. Each run has a disk of its own.

    Args:
        program: The module's name.
        directory: Where the disks of the runs are; its path is short, as a server's socket may be below it.
    """

    def __init__(self, program: str, directory: Path) -> None:
        self._program = program
        self._directory = directory
        self._servers: queue.SimpleQueue[ForkServer] = queue.SimpleQueue()

    def __enter__(self) -> FaultyProgram:
        return self

    def __exit__(self, *_: object) -> None:
        while not self._servers.empty():
            self._servers.get().close()

    def run(self, environment: Mapping[str, str]) -> Run:
        """Run it undisturbed."""
        return self._run(environment)[0]

    def recorded(self, environment: Mapping[str, str]) -> tuple[list[Point], Run]:
        """Run it undisturbed, and give the points that it passed."""
        run, points = self._run(environment, {})
        return points, run

    def failed(self, environment: Mapping[str, str], case: Case) -> Run:
        """Run it and fail it at a point, which it must reach."""
        at = json.dumps([case.point.effect, case.point.occurrence])
        run, points = self._run(environment, {"FAULTS_AT": at, "FAULTS_HOW": case.fault})
        assert case.point in points, f"the point was not reached for {case}: {run.text}"
        return run

    def _run(self, environment: Mapping[str, str], faults: Mapping[str, str] | None = None) -> tuple[Run, list[Point]]:
        place = Path(mkdtemp(dir=self._directory))
        disk, record, output = place / "d", place / "points", place / "output"
        try:
            server = self._servers.get_nowait()
        except queue.Empty:
            server = ForkServer()
        try:
            for directory in (place, disk):
                directory.mkdir(exist_ok=True)
                directory.chmod(0o711)
            counting = {} if faults is None else {"FAULTS_RECORD": str(record), **faults}
            code = server.run(self._program, {**environment, "MOUNT_POINT": str(disk), **counting}, output)
            run = Run(code, output.read_text())
            # A container's disk goes with it; whoever is not killed tidies up.
            left = [path.name for path in disk.iterdir()]
            assert code == KILLED or left == [], f"left on the disk: {left}"
            lines = record.read_text().splitlines() if record.exists() else []
            return run, [Point(*json.loads(line)) for line in lines]
        finally:
            self._servers.put(server)
            shutil.rmtree(place, ignore_errors=True)
