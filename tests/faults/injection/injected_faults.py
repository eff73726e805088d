"""Counts a program's outer effects and fails the program at one of them. Part of no image: see `faulty_program.py`.

What is counted, each before it happens and, where it says so, after:

- a call of an AWS client (before, after), and each read of a body that streams
- a connection, a statement, a COPY, a commit or rollback of psycopg (before, after)
- the start of a child process (before, after) and its end (after)
- a file or directory below MOUNT_POINT opened for writing, made, renamed or removed (before)

An effect is named by what it does and to what, less all that differs from run to run: values, quoted names, random
parts of file names. So a point, which is an effect and the number of times that it has come before, is found again
in another run, in whatever order threads take their turns.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import botocore.client
import botocore.endpoint
import botocore.response
import psutil
import psycopg
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of <sys/prctl.h>
_REFUSALS = {
    "server-error": (500, "InternalError"),
    "access-denied": (403, "AccessDenied"),
}


class Points:
    """The points that this process has passed, and the one at which it is to fail, if there is one."""

    def __init__(self, record: str, at: str, how: str) -> None:
        self._record = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._at = tuple(json.loads(at)) if at else None
        self._how = how
        self._lock = threading.Lock()
        self._seen: Counter[str] = Counter()

    def passed(self, effect: str) -> str:
        """Count a point. At the one to fail at, end the process, or give the fault that is to be played here."""
        with self._lock:
            point = (effect, self._seen[effect])
            self._seen[effect] += 1
        os.write(self._record, (json.dumps(point) + "\n").encode())
        if point != self._at:
            return ""
        if self._how == "kill":
            _kill()
        if self._how == "terminate":
            os.kill(os.getpid(), signal.SIGTERM)
            return ""
        return self._how


def _kill() -> None:
    """End this process and all below it at once, as the end of a container does."""
    below = psutil.Process().children(recursive=True)
    # No other thread of ours gets to see a child's end.
    sys.setswitchinterval(1000)
    for process in below:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    os.kill(os.getpid(), signal.SIGKILL)


def install() -> None:
    """Count from here on; the environment says where to, and which point is to fail and how."""
    points = Points(os.environ["FAULTS_RECORD"], os.environ.get("FAULTS_AT", ""), os.environ.get("FAULTS_HOW", ""))
    # What a killed child leaves behind is then still below this process, as it is in a container.
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    _count_aws(points)
    _count_sql(points)
    _count_children(points)
    _count_files(points, os.environ.get("MOUNT_POINT", ""))


# --- AWS ---------------------------------------------------------------------------------------------------------


def _count_aws(points: Points) -> None:
    call, send, read = (
        botocore.client.BaseClient._make_api_call,
        botocore.endpoint.Endpoint._send,
        botocore.response.StreamingBody.read,
    )
    playing = threading.local()

    def counted_call(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        model = self.meta.service_model
        named = arguments.get("Key") or arguments.get("SecretId") or arguments.get("QueueUrl") or ""
        number = arguments.get("PartNumber")
        effect = " ".join(
            filter(None, (model.service_name, operation, _last(named), f"part {number}" if number else ""))
        )
        playing.fault, playing.protocol = points.passed(f"{effect}: before"), model.protocol
        try:
            return call(self, operation, arguments)
        finally:
            playing.fault = ""
            points.passed(f"{effect}: after")

    def played_send(self: Any, request: Any) -> Any:
        fault = getattr(playing, "fault", "")
        if fault in _REFUSALS:
            return _refusal(request.url, *_REFUSALS[fault], protocol=playing.protocol)
        if fault == "unreachable":
            raise EndpointConnectionError(endpoint_url=request.url)
        answer = send(self, request)
        if fault == "answer-lost":
            playing.fault = ""
            raise ConnectionClosedError(endpoint_url=request.url)
        return answer

    def counted_read(self: Any, amt: int | None = None) -> bytes:
        if points.passed("aws body read: before"):
            raise ReadTimeoutError(endpoint_url="https://aws.invalid")
        return read(self, amt)

    botocore.client.BaseClient._make_api_call = counted_call
    botocore.endpoint.Endpoint._send = played_send
    botocore.response.StreamingBody.read = counted_read
    # The SDK waits between attempts, for up to half a minute in all.
    botocore.endpoint.time = SimpleNamespace(sleep=lambda _seconds: None)


def _refusal(url: str, status: int, code: str, *, protocol: str) -> AWSResponse:
    if protocol in ("json", "rest-json"):
        content = json.dumps({"__type": code, "message": "played"})
    else:
        content = f"<Error><Code>{code}</Code><Message>played</Message></Error>"
        content = content if protocol == "rest-xml" else f"<ErrorResponse>{content}</ErrorResponse>"
    answer = AWSResponse(url, status, {}, None)
    answer._content = content.encode()
    return answer


# --- psycopg -----------------------------------------------------------------------------------------------------


def _count_sql(points: Points) -> None:
    def around(effect: str, connection: Any, work: Callable[[], Any]) -> Any:
        if points.passed(f"sql {effect}: before"):
            _cut(connection)
        done = work()
        points.passed(f"sql {effect}: after")
        return done

    connect = psycopg.Connection.connect
    execute, copy = psycopg.Cursor.execute, psycopg.Cursor.copy

    def counted_connect(*arguments: Any, **options: Any) -> Any:
        if points.passed("sql connect: before"):
            options |= {"host": "127.0.0.1", "port": 1}
        connection = connect(*arguments, **options)
        points.passed("sql connect: after")
        return connection

    def counted_execute(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        work = lambda: execute(self, query, *arguments, **options)  # noqa: E731
        return around(_statement(query, self), self.connection, work)

    @contextmanager
    def counted_copy(self: Any, query: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
        effect = f"sql {_statement(query, self)}"
        if points.passed(f"{effect}: before"):
            _cut(self.connection)
        with copy(self, query, *arguments, **options) as copied:
            yield copied
        points.passed(f"{effect}: after")

    psycopg.connect = psycopg.Connection.connect = counted_connect  # type: ignore[method-assign]
    psycopg.Cursor.execute = counted_execute  # type: ignore[method-assign]
    psycopg.Cursor.copy = counted_copy  # type: ignore[method-assign]
    for name in ("commit", "rollback"):
        plain = getattr(psycopg.Connection, name)
        setattr(
            psycopg.Connection,
            name,
            lambda self, name=name, plain=plain: around(name, self, lambda: plain(self)),
        )


def _cut(connection: Any) -> None:
    """Take a connection's line down, as a server that vanishes does."""
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as line:
        line.shutdown(socket.SHUT_RDWR)


def _statement(query: Any, cursor: Any) -> str:
    text = query.as_string(cursor) if hasattr(query, "as_string") else query
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    text = re.sub(r'"(?:[^"]|"")*"', '"?"', re.sub(r"'(?:[^']|'')*'", "'?'", text))
    return " ".join(text.split())[:100]


# --- children ----------------------------------------------------------------------------------------------------


def _count_children(points: Points) -> None:
    class CountedPopen(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, arguments: Any, *more: Any, **options: Any) -> None:
            names = [_last(part.partition("=")[0]) for part in arguments[1:]] or [""]
            self._effect = f"child {_last(arguments[0])} {names[0]}..{names[-1]}"
            self._ended = False
            if points.passed(f"{self._effect}: before"):
                arguments = ["/bin/sh", "-c", "kill -9 $$"]
            super().__init__(arguments, *more, **options)
            points.passed(f"{self._effect}: started")

        def _tell_end(self) -> None:
            if self.returncode is not None and not self._ended:
                self._ended = True
                points.passed(f"{self._effect}: ended")

        def poll(self) -> int | None:
            status = super().poll()
            self._tell_end()
            return status

        def wait(self, timeout: float | None = None) -> int:
            status = super().wait(timeout)
            self._tell_end()
            return status

    subprocess.Popen = CountedPopen  # type: ignore[misc]


# --- files -------------------------------------------------------------------------------------------------------

_CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree"}


def _count_files(points: Points, below: str) -> None:
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _CHANGES and not (event == "open" and (arguments[2] or 0) & writing):
            return
        path = arguments[0]
        if below and isinstance(path, str | os.PathLike) and str(path).startswith(f"{below}/"):
            name = event.replace("shutil.", "").replace("os.", "")
            if points.passed(f"file {name} {_last(str(path))}: before"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    sys.addaudithook(audit)


def _last(path: str) -> str:
    """The last part of a path, less what `tempfile` made up."""
    return re.sub(r"(?:(?<=[-.])|(?<=^tmp))[a-z0-9_]{8}$", "*", path.rstrip("/").rpartition("/")[2])
