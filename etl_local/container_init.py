"""The first process of a local container: runs one program, and ends with everything that the program left behind.

`ChildProcess` starts this file as a script, with nothing but the standard library, and writes argv and environment to
its standard input. It does what a container runtime's pid 1 and its pid namespace do: signals go to the program,
orphans are adopted and reaped, and no process outlives the program. When standard input closes, because the owner
asks for it or because the owner died, however it died, all are killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_LINUX = sys.platform == "linux"


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _read_exactly(count: int) -> bytes:
    parts: list[bytes] = []
    while count > 0:
        part = os.read(0, count)
        if not part:
            raise SystemExit(137)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _read_program() -> tuple[list[bytes], dict[bytes, bytes]]:
    """Argv and environment, in the form that `encode_program` gives them."""
    header = b""
    while not header.endswith(b"\n"):
        header += _read_exactly(1)
    words, length = (int(number) for number in header.split())
    fields = _read_exactly(length).split(b"\0")[:-1]
    pairs = (field.split(b"=", 1) for field in fields[words:])
    return fields[:words], {name: value for name, value in pairs}


def encode_program(argv: list[str], environment: dict[str, str]) -> bytes:
    """Argv and environment as one message: `<words> <bytes>` and a newline, then NUL-ended fields.

    Raises:
        ValueError: a NUL in a field, or a variable's name that is empty or holds `=`.
    """
    for name in environment:
        if not name or "=" in name:
            raise ValueError(f"{name!r} cannot name an environment variable")
    fields = [os.fsencode(word) for word in argv]
    fields += [os.fsencode(f"{name}={value}") for name, value in environment.items()]
    if any(b"\0" in field for field in fields):
        raise ValueError("an argument or a variable holds a NUL")
    body = b"".join(field + b"\0" for field in fields)
    return b"%d %d\n" % (len(argv), len(body)) + body


def _fork_program(argv: list[bytes], environment: dict[bytes, bytes], status: int) -> int:
    """Start the program in a process group of its own; `status` closes as its exec succeeds."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setpgid(0, 0)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(137)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number in (*_FORWARDED, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(argv[0], argv, environment)  # noqa: S606  # an argv list is the point: no shell
    except OSError as error:
        os.write(status, b"error %d\n" % (error.errno or 0))
    finally:
        os._exit(127)


def _children() -> list[int]:
    """Processes whose parent is this one. /proc/*/stat is there on every kernel, /proc/*/task/*/children is not."""
    own = os.getpid()
    found: list[int] = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # pid (name) state ppid …, and a name may hold anything, a bracket too
            if int(entry.read_bytes().rpartition(b")")[2].split()[1]) == own:
                found.append(int(entry.parent.name))
    return found


def _end_all(group: int) -> None:
    """Kill the program's process group and, on Linux, all descendants: as a parent dies its children become ours."""
    with contextlib.suppress(OSError):
        os.killpg(group, signal.SIGKILL)
    if not _LINUX:
        return
    while children := _children():
        for pid in children:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _exit_code(status: int) -> int:
    """A wait status as container runtimes tell it: 128 + n for signal n."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _supervise(program: int, wakeup: int) -> int:
    """Wait for the program; its exit code, or 137 when standard input closed first."""
    while True:
        ready, _, _ = select.select([0, wakeup], [], [])
        if 0 in ready and not os.read(0, 4096):
            return 137
        if wakeup in ready:
            os.read(wakeup, 4096)
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == program:
                    return _exit_code(status)
                if pid == 0:
                    break


def main(status: int) -> int:
    """Run the program that standard input names; tell its pid, or why there is none, on descriptor `status`."""
    os.set_inheritable(status, False)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    argv, environment = _read_program()
    wakeup, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Until the program exists and can be told, a signal waits: one that came early must not be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    program = _fork_program(argv, environment, status)
    with contextlib.suppress(OSError):
        os.setpgid(program, program)

    def forward(number: int, _frame: object) -> None:
        with contextlib.suppress(OSError):
            os.kill(program, number)

    for number in _FORWARDED:
        signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    os.write(status, b"pid %d\n" % program)
    os.close(status)
    for descriptor in (1, 2):  # the log ends when the program's own copies are closed, not when this process ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    try:
        return _supervise(program, wakeup)
    finally:
        _end_all(program)


if __name__ == "__main__":
    os._exit(main(int(sys.argv[1])))
