"""The directory of a stand-in: private, and gone however its owner ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from etl_local.state_directory import StateDirectory

REPOSITORY = Path(__file__).parents[2]


def test_others_may_pass_through_but_not_look():
    with StateDirectory() as state:
        assert state.path.stat().st_mode & 0o777 == 0o711


def test_it_is_gone_afterwards_with_all_that_is_in_it():
    with StateDirectory() as state:
        (state.path / "a" / "b").mkdir(parents=True)
        (state.path / "a" / "b" / "c").touch()
    assert not state.path.exists()


def test_it_is_gone_after_an_error():
    with pytest.raises(LookupError), StateDirectory() as state:
        raise LookupError
    assert not state.path.exists()


def test_it_can_be_kept():
    with StateDirectory(keep=True) as state:
        (state.path / "a").touch()
    assert (state.path / "a").exists()
    (state.path / "a").unlink()
    state.path.rmdir()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_gone_when_its_owner_is_killed(number: int):
    program = (
        "import time\n"
        "from etl_local.state_directory import StateDirectory\n"
        "with StateDirectory() as state:\n"
        "    (state.path / 'a').touch(); print(state.path, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    with owner:
        assert owner.stdout is not None
        path = Path(owner.stdout.readline().strip())
        assert (path / "a").exists()
        owner.send_signal(number)
    deadline = time.monotonic() + 5
    while path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
