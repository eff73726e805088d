from __future__ import annotations

import pytest

from tests.faults.faulty_program import Case, Point, cases, in_rows, try_all

POINTS = [
    Point("sql connect: before", 0),
    Point("s3 PutObject 11.dat.gz: before", 0),
    Point("s3 PutObject 12.dat.gz: before", 0),
    Point("s3 PutObject 12.dat.gz: after", 0),
    Point("file rmtree d-*: before", 0),
]


def test_every_kind_of_point_is_failed_in_each_way_that_it_allows() -> None:
    upload = ("kill", "terminate", "server-error", "access-denied", "unreachable", "answer-lost")
    assert sorted(map(str, cases(POINTS))) == sorted(
        [
            *(f"{fault} at [sql connect: before] after 0" for fault in ("kill", "terminate", "connection-lost")),
            *(f"{fault} at [s3 PutObject 11.dat.gz: before] after 0" for fault in upload),
            *(f"{fault} at [s3 PutObject 12.dat.gz: after] after 0" for fault in ("kill", "terminate")),
            *(f"{fault} at [file rmtree d-*: before] after 0" for fault in ("kill", "terminate")),
            "kill at [s3 PutObject 12.dat.gz: before] after 0",
        ]
    )


def test_all_cases_that_did_not_hold_are_named() -> None:
    def tried(case: Case) -> None:
        assert case.point.effect.startswith("s3"), "no bucket"

    with pytest.raises(AssertionError) as failed:
        try_all([Case(point, "kill") for point in POINTS], tried)
    head, first, second, *_ = str(failed.value).splitlines()
    assert head == "2 of 5 cases:"
    assert first.startswith("kill at [sql connect: before] after 0: no bucket")
    assert "file rmtree" in str(failed.value)
    assert second


def test_rows_of_cases_hold_each_case_once_and_part_neighbours() -> None:
    kills = [Case(point, "kill") for point in POINTS]
    rows = in_rows(kills, 2)
    assert rows == [[kills[0], kills[3]], [kills[1], kills[4]], [kills[2]]]
