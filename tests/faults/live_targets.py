"""Targets that a program is failed on: a live database for each attempt, and what can fail there."""

from __future__ import annotations

import hashlib
import zlib

from tests.containers.end_to_end.programs import LOAD_ROLE, Programs
from tests.faults.faulty_program import Case, Point

OLD = {"public.before": 0}
"""The tables of a target that nothing was done to, and the number of their rows."""


def target(programs: Programs, targets: str, purpose: str) -> str:
    """A live database that is OLD, named after what it is for."""
    live = targets + hashlib.sha256(purpose.encode()).hexdigest()[:8]
    programs.cluster.create_database(live, LOAD_ROLE)
    programs.query(live, "CREATE TABLE before (id integer)")
    return live


def faults_before(point: Point) -> tuple[str, ...]:
    """What can happen before an effect; what happens after it, happens before the next."""
    if not point.effect.endswith(": before"):
        return ()
    others = [fault for fault in point.faults if fault not in ("kill", "terminate")]
    # Each kind of point has one of the two ends of a process, by its name: the same in every run of the test.
    end = ("kill", "terminate")[zlib.crc32(point.kind.encode()) % 2]
    return (end, *others)


def codes(case: Case) -> frozenset[int]:
    """How a program may end: a session in autocommit has nothing left to commit, and its loss then is none."""
    more = {0} if (case.fault, case.point.kind) == ("connection-lost", "sql commit: before") else set[int]()
    return case.codes | more
