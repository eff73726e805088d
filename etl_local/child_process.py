"""A local program run as a container would be: an exact environment, its log by lines, and no process left behind.

Kubernetes pods and ECS tasks are started through the same class. Between this process and the program stands
`container_init`, which ends the program and all its descendants when this process asks for it or dies.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from etl_local.container_init import encode_program

_INIT = Path(__file__).with_name("container_init.py")
_LONGEST_LINE = 1 << 20


class ChildProcess:
    """One program with its descendants. Use it once: `start`, then `wait` or `terminate`; leaving the context kills it.

    Attributes:
        pid: the program's own process id, after `start`.
        exit_code: None until the program and its log have ended; then 0…255, with 128 + n for signal n (SIGKILL: 137).
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path | str | None = None,
        on_line: Callable[[str], None] | None = None,
        on_exit: Callable[[int], None] | None = None,
    ) -> None:
        """Describe the program; nothing starts yet.

        Args:
            argv: the command, `argv[0]` looked up on the `PATH` of `env`.
            env: the whole environment; nothing of this process's own is added.
            cwd: working directory.
            on_line: given each line of standard output and error, in order, without its line end. Called in a thread.
            on_exit: given the exit code, once, after the last line. Called in that same thread.
        """
        self._argv = list(argv)
        self._env = dict(env)
        self._cwd = cwd
        self._on_line = on_line
        self._on_exit = on_exit
        self._init: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None
        self.pid: int = 0
        self.exit_code: int | None = None

    def start(self) -> ChildProcess:
        """Start the program; it is running when this returns, after about 20 ms.

        Raises:
            OSError: there is no such command, or it cannot be run; no `on_exit` follows.
            ValueError: a NUL in an argument or variable.
        """
        message = encode_program(self._argv, self._env)
        status_read, status_write = os.pipe()
        try:
            # -I and an empty environment: what the program is given must not act on its supervisor
            init = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_INIT), str(status_write)],
                env={},
                cwd=self._cwd,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(status_write,),
                start_new_session=True,
            )
        except BaseException:
            os.close(status_read)
            raise
        finally:
            os.close(status_write)
        self._init = init
        with contextlib.suppress(BrokenPipeError):
            assert init.stdin is not None  # noqa: S101  # for the type checker: PIPE above
            init.stdin.write(message)
            init.stdin.flush()
        with os.fdopen(status_read, "rb") as status:
            told = dict(line.split(b" ", 1) for line in status.read().splitlines())
        if b"error" in told or b"pid" not in told:
            self.kill()
            init.wait()
            if init.stdout:
                init.stdout.close()
            number = int(told.get(b"error", b"0"))
            raise OSError(number, os.strerror(number) if number else "the program did not start", self._argv[0])
        self.pid = int(told[b"pid"])
        self._reader = threading.Thread(target=self._follow, name=f"log of {self.pid}", daemon=True)
        self._reader.start()
        return self

    def terminate(self, grace: float) -> int:
        """Send SIGTERM to the program; kill what is left of it after `grace` seconds.

        Returns:
            the exit code, as `wait` gives it.
        """
        if self._init is not None:
            with contextlib.suppress(ProcessLookupError):
                self._init.terminate()
            if not self._ended.wait(grace):
                self.kill()
        return self.wait()

    def kill(self) -> None:
        """Kill the program and all its descendants; returns at once."""
        if self._init is not None and self._init.stdin is not None:
            with self._lock, contextlib.suppress(OSError):
                self._init.stdin.close()

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the program has ended and its last line was delivered.

        Returns:
            the exit code.

        Raises:
            TimeoutError: it still runs after `timeout` seconds.
            RuntimeError: it was never started.
        """
        if self._reader is None:
            raise RuntimeError(f"{self._argv[0]} was not started")
        if not self._ended.wait(timeout):
            raise TimeoutError(f"{self._argv[0]} still runs after {timeout} s")
        if self._reader is not threading.current_thread():
            self._reader.join()
        assert self.exit_code is not None  # noqa: S101  # for the type checker: set before _ended
        return self.exit_code

    def _follow(self) -> None:
        assert self._init is not None  # noqa: S101  # for the type checker: set by start
        assert self._init.stdout is not None  # noqa: S101  # the same
        fault = self._deliver(self._init.stdout)
        exit_code = self._init.wait()
        self.kill()
        # a negative code: the supervisor itself was killed, and its program with it
        self.exit_code = exit_code if exit_code >= 0 else 128 - exit_code
        self._ended.set()
        if self._on_exit is not None:
            self._on_exit(self.exit_code)
        if fault is not None:
            raise fault

    def _deliver(self, stream: IO[bytes]) -> Exception | None:
        """Read to the end whatever `on_line` does: a program must not block because its reader failed."""
        fault: Exception | None = None
        with stream:
            while line := stream.readline(_LONGEST_LINE):
                if self._on_line is None or fault is not None:
                    continue
                try:
                    self._on_line(line.decode(errors="replace").rstrip("\r\n"))
                except Exception as error:  # raised again once the program has ended
                    fault = error
        return fault

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader is not None:
            self.kill()
            self.wait()
