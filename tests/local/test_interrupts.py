"""Signals that end a program, put off while something is being done."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from etl_local.interrupts import Interrupts


@pytest.fixture(autouse=True)
def default_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_that_would_end_the_program_at_once_raises_system_exit(number: int, code: int):
    with pytest.raises(SystemExit) as caught, Interrupts():
        os.kill(os.getpid(), number)
    assert caught.value.code == code


def test_the_default_handlers_are_back_afterwards():
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_of_the_program_itself_stays():
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM]
        with interrupts.put_off():
            os.kill(os.getpid(), signal.SIGTERM)
            assert heard == [signal.SIGTERM]
    assert heard == [signal.SIGTERM, signal.SIGTERM]


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_block_is_finished_before_a_signal_has_its_effect(number: int, raised: type[BaseException]):
    done: list[str] = []

    def interrupted() -> None:
        with Interrupts() as interrupts:
            with interrupts.put_off():
                os.kill(os.getpid(), number)
                os.kill(os.getpid(), number)
                done.append("all of it")
            done.append("never")

    with pytest.raises(raised):
        interrupted()
    assert done == ["all of it"]


def test_an_error_in_the_block_comes_before_the_signal():
    def failing() -> None:
        with Interrupts() as interrupts, interrupts.put_off():
            os.kill(os.getpid(), signal.SIGTERM)
            raise LookupError

    with pytest.raises(LookupError):
        failing()


def test_in_another_thread_nothing_changes():
    outcome: list[object] = []

    def enter() -> None:
        with Interrupts() as interrupts, interrupts.put_off():
            outcome.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert outcome == [signal.SIG_DFL]
