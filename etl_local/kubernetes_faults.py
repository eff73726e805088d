"""Faults on request: the next calls that match are answered wrongly, slowly or not at all."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from etl_local.kubernetes_status import KubernetesError

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


@dataclass
class Fault:
    """What happens to the next `times` requests of a method and path; `end` it earlier at will.

    Attributes:
        hits: how many requests it has met.
    """

    method: re.Pattern[str]
    path: re.Pattern[str]
    times: int | None
    status: int | None
    executed: bool
    seconds: float
    retry_after: int | None
    message: str
    hits: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def end(self) -> None:
        """Let requests pass again; those that hang go on at once."""
        self.ended.set()

    def meets(self, method: str, path: str) -> bool:
        """Whether a request is one of those, which it then counts as."""
        left = not self.ended.is_set() and (self.times is None or self.hits < self.times)
        met = left and bool(self.method.fullmatch(method)) and bool(self.path.search(path))
        self.hits += met
        return met


class Faults:
    """A WSGI layer around the API server's application, with the faults that tests ordered."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._ordered: list[Fault] = []

    def order(
        self,
        method: str = ".*",
        path: str = "",
        *,
        times: int | None = 1,
        status: int | None = None,
        executed: bool = False,
        seconds: float = 0,
        retry_after: int | None = None,
        message: str = "a fault that a test ordered",
    ) -> Fault:
        """Break the next requests that match.

        Args:
            method: a regular expression for the whole method.
            path: one to be found in the path; queries are not looked at.
            times: how many requests; None: all, until the fault is ended.
            status: the HTTP status to answer with; None: the connection is dropped without an answer.
            executed: whether the request is carried out all the same: "500, but it was created".
            seconds: how long to let the client hang first.
            retry_after: seconds for a `Retry-After` header.
            message: the text in the Status document.
        """
        fault = Fault(re.compile(method), re.compile(path), times, status, executed, seconds, retry_after, message)
        with self._lock:
            self._ordered.append(fault)
        return fault

    def close(self) -> None:
        """End all faults."""
        with self._lock:
            for fault in self._ordered:
                fault.end()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve one request, wrongly if that was ordered."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        with self._lock:
            fault = next((ordered for ordered in self._ordered if ordered.meets(method, path)), None)
        if fault is None:
            return self._application(environ, start_response)
        if fault.executed:
            _consume(self._application(environ, lambda *_args: None))
        if fault.seconds:
            fault.ended.wait(fault.seconds)
        if fault.status is None:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionError("dropped, as ordered")
        body = json.dumps(KubernetesError(fault.status, fault.message).status()).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        if fault.retry_after is not None:
            headers.append(("Retry-After", str(fault.retry_after)))
        start_response(f"{fault.status} {HTTPStatus(fault.status).phrase}", headers)
        return [body]


def _consume(answer: Iterable[bytes]) -> None:
    for _part in answer:
        pass
    close = getattr(answer, "close", None)
    if close:
        close()
