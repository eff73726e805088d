from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from etl_runtime.conveyor import conveyed
from etl_runtime.faults import Fault, Terminated, stopping


def nothing() -> None:
    raise AssertionError("abandoned")


def test_results_come_in_the_order_of_the_tasks_whichever_ends_first() -> None:
    first_may_end = threading.Event()

    def first() -> str:
        assert first_may_end.wait(30)
        return "first"

    def second() -> str:
        first_may_end.set()
        return "second"

    assert list(conveyed([first, second], 2, nothing)) == ["first", "second"]


def test_no_more_tasks_are_made_than_twice_the_workers() -> None:
    made = taken = most = 0

    def tasks() -> Iterator[Callable[[], int]]:
        nonlocal made, most
        for number in range(50):
            made += 1
            most = max(most, made - taken)
            yield lambda number=number: number

    for _ in conveyed(tasks(), 3, nothing):
        taken += 1
    assert (made, taken) == (50, 50)
    assert most == 7


def test_the_first_failure_is_raised_and_the_others_are_given_up() -> None:
    abandoned = threading.Event()

    def fails() -> None:
        raise Fault(65, "the one that failed")  # type: ignore[arg-type]

    def waits() -> None:
        assert abandoned.wait(30)

    with pytest.raises(Fault, match="the one that failed"):
        list(conveyed([fails, waits, waits, waits, waits], 2, abandoned.set))
    assert abandoned.is_set()


def test_a_failure_in_making_tasks_is_raised_too() -> None:
    def tasks() -> Iterator[Callable[[], int]]:
        yield lambda: 1
        raise Fault(65, "a file is cut")  # type: ignore[arg-type]

    abandoned = threading.Event()
    with pytest.raises(Fault, match="a file is cut"):
        list(conveyed(tasks(), 2, abandoned.set))
    assert abandoned.is_set()


def test_a_program_that_is_stopping_takes_no_further_task() -> None:
    ran: list[int] = []
    stopping.set()
    try:
        with pytest.raises(Terminated):
            list(conveyed([lambda: ran.append(1)], 1, lambda: None))
    finally:
        stopping.clear()
    assert ran == []
