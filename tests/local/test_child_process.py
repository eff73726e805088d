"""A local container's process: exact environment, log by lines, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from etl_local.child_process import ChildProcess

PYTHON = sys.executable


def python(program: str, *, env: dict[str, str] | None = None, lines: list[str] | None = None) -> ChildProcess:
    return ChildProcess([PYTHON, "-I", "-c", program], env or {}, on_line=None if lines is None else lines.append)


def gone(pid: int, *, seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def test_the_program_gets_the_given_environment_and_nothing_else():
    lines: list[str] = []
    environment = {"NAME": "some value", "EMPTY": "", "LC_CTYPE": "C.UTF-8", "TEXT": "line 1\nline 2 é ="}
    python("import os; print(dict(os.environ))", env=environment, lines=lines).start().wait(5)
    assert lines == [str(environment)]


def test_both_streams_arrive_by_lines_in_order_and_before_the_exit_is_told():
    events: list[object] = []
    program = (
        "import os; os.write(1, b'one\\n'); os.write(2, b'two\\r\\n'); os.write(1, b'thr\\xff\\nno end'); os._exit(65)"
    )
    child = ChildProcess([PYTHON, "-c", program], {}, on_line=events.append, on_exit=events.append).start()
    assert child.wait(5) == 65
    assert events == ["one", "two", "thr\ufffd", "no end", 65]


def test_a_command_that_does_not_exist_is_an_error_at_start():
    with pytest.raises(FileNotFoundError, match="no-such-command"):
        ChildProcess(["no-such-command"], {"PATH": os.defpath}).start()


def test_a_command_is_looked_up_on_the_path_of_its_own_environment(tmp_path: Path):
    program = tmp_path / "only-here"
    program.write_text(f"#!{PYTHON}\nraise SystemExit(7)\n")
    program.chmod(0o755)
    assert ChildProcess(["only-here"], {"PATH": str(tmp_path)}).start().wait(5) == 7


def test_a_nul_is_refused():
    with pytest.raises(ValueError, match="NUL"):
        ChildProcess([PYTHON], {"NAME": "a\0B=c"}).start()


def test_a_program_ends_by_sigterm_within_its_grace():
    child = python("import time; time.sleep(60)").start()
    assert child.terminate(grace=5) == 143


def test_a_program_can_finish_its_work_on_sigterm():
    lines: list[str] = []
    program = (
        "import os, signal, sys, time\n"
        "def stop(*_): os.write(1, b'stopped\\n'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop); print('ready', flush=True); time.sleep(60)"
    )
    child = python(program, lines=lines).start()
    while not lines:
        time.sleep(0.005)
    assert (child.terminate(grace=5), lines) == (0, ["ready", "stopped"])


def test_a_program_that_ignores_sigterm_is_killed_after_its_grace():
    lines: list[str] = []
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    child = python(program, lines=lines).start()
    while not lines:
        time.sleep(0.005)
    assert child.terminate(grace=0.1) == 137


def test_a_daemon_that_left_its_session_ends_with_the_program():
    lines: list[str] = []
    program = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0: print(os.getpid(), flush=True); time.sleep(60)\n"
        "    os._exit(0)\n"
        "time.sleep(0.1)"
    )
    child = python(program, lines=lines).start()
    assert child.wait(5) == 0
    assert gone(int(lines[0]))


def test_a_program_that_is_killed_by_another_exits_as_137():
    child = python("import time; time.sleep(60)").start()
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(5) == 137


def test_leaving_the_context_kills_the_program():
    with python("import time; time.sleep(60)") as child:
        child.start()
    assert child.exit_code == 137
    assert gone(child.pid)


def test_a_failing_line_consumer_neither_blocks_the_program_nor_stays_silent(monkeypatch: pytest.MonkeyPatch):
    faults: list[str] = []
    monkeypatch.setattr("threading.excepthook", lambda args: faults.append(repr(args.exc_value)))

    def refuse(_line: str) -> None:
        raise LookupError("no place for this line")

    program = "print(('x' * 99 + '\\n') * 10000)"
    assert ChildProcess([PYTHON, "-c", program], {}, on_line=refuse).start().wait(5) == 0
    assert faults == ["LookupError('no place for this line')"]


def test_the_program_dies_with_its_owner_however_that_dies():
    owner = subprocess.Popen(
        [
            PYTHON,
            "-c",
            "import sys, time\n"
            "from etl_local.child_process import ChildProcess\n"
            "child = ChildProcess([sys.executable, '-c', 'import time; time.sleep(60)'], {}).start()\n"
            "print(child.pid, flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert psutil.pid_exists(pid)
        owner.kill()
    assert gone(pid)
