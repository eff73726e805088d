"""AWS on this machine: a moto server in this process, whose state machines really run, and clients for it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

from botocore.loaders import create_loader
from moto import backends
from moto.core import utils as moto_utils
from moto.core.config import default_user_config
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.stepfunctions.parser import models as step_functions
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.backend.execution import Execution
from werkzeug.serving import make_server

from etl_local.clients import HOST, AwsClients, isolated
from etl_local.log_file import LogFileHandler
from etl_local.patching import replaced

_only_one = threading.Lock()
_EXECUTION_STOP_SECONDS: Final = 3.0


class Cloud:
    """The moto server, as a context manager. One at a time in a process: moto keeps its state in the process.

    Attributes:
        region: where everything is made.
        url: the endpoint of every service, once entered.
    """

    def __init__(self, region: str, log_file: Path | None = None) -> None:
        """Start nothing yet.

        Args:
            region: where everything is made.
            log_file: where faults of the server are written; None: to standard error.
        """
        self.region = region
        self.url = ""
        self._log_file = log_file
        self._clients = AwsClients("", region)
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Cloud:
        """Start the server on a free port.

        Raises:
            RuntimeError: another is running in this process.
            OSError: no port of 127.0.0.1 could be bound.
        """
        if not _only_one.acquire(blocking=False):
            raise RuntimeError("there is a stand-in for AWS in this process already, and moto knows one world only")
        with contextlib.ExitStack() as opened:
            opened.callback(_only_one.release)
            opened.enter_context(_executing_state_machines())
            opened.enter_context(_remembered_lookups())
            opened.enter_context(_logged("werkzeug", logging.ERROR, self._log_file))
            opened.enter_context(_logged("moto", logging.WARNING, self._log_file))
            opened.callback(moto_api_backend.reset)
            port = opened.enter_context(_serving())
            opened.callback(self.stop_executions)
            self.url = f"http://{HOST}:{port}"
            # By the port moto's own clients find the server. Nobody here starts a machine from an image, and moto
            # would make thousands of images for that: https://docs.getmoto.org/en/latest/docs/services/ec2.html
            opened.enter_context(isolated({"MOTO_PORT": str(port), "MOTO_EC2_LOAD_DEFAULT_AMIS": "false"}))
            self._clients = AwsClients(self.url, self.region)
            opened.callback(self._clients.close)
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop what runs, and forget everything that was made."""
        self._opened.close()

    def stop_executions(self) -> None:
        """End the executions that still run, and wait for it: they would go on calling a server that is gone."""
        executions = [
            execution
            for regions in step_functions.stepfunctions_parser_backends.values()
            for backend in regions.values()
            for machine in backend.state_machines
            for execution in cast(list[Execution], machine.executions)
            if execution.exec_status == ExecutionStatus.RUNNING
        ]
        for execution in executions:
            if execution.exec_worker is not None and execution.exec_worker.env is not None:
                execution.stop(datetime.now(UTC), error=None, cause="the stand-in is closing")
        deadline = time.monotonic() + _EXECUTION_STOP_SECONDS
        while any(execution.exec_status == ExecutionStatus.RUNNING for execution in executions):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)

    def client(self, service: str) -> Any:
        """The client of one service; it may be used in several threads."""
        return self._clients(service)

    def environment(self) -> dict[str, str]:
        """The variables by which AWS SDKs find this cloud instead of the real one."""
        return self._clients.environment()


@contextlib.contextmanager
def _serving() -> Iterator[int]:
    """What moto's ThreadedMotoServer does, but that one leaves its port open, and takes half a second to stop."""
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server(HOST, 0, application, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="moto server", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def _executing_state_machines() -> Iterator[None]:
    configuration = default_user_config.setdefault("stepfunctions", {})
    before = configuration.get("execute_state_machine", False)
    configuration["execute_state_machine"] = True
    try:
        yield
    finally:
        configuration["execute_state_machine"] = before


@contextlib.contextmanager
def _remembered_lookups() -> Iterator[None]:
    """Let moto look once which services there are: it searches directories in each request and for each service.

    Half of the time of a small request goes there.
    """
    modules = tuple(backends.list_of_moto_modules())
    loader = create_loader()
    with (
        replaced(backends, "list_of_moto_modules", lambda: modules),
        replaced(moto_utils, "create_loader", lambda: loader),
    ):
        yield


@contextlib.contextmanager
def _logged(logger_name: str, level: int, log_file: Path | None) -> Iterator[None]:
    """Keep a library from telling what is no fault, and let it tell of faults where it disturbs nobody."""
    logger = logging.getLogger(logger_name)
    before = logger.level, logger.propagate
    handler = LogFileHandler(log_file, delay=True) if log_file else None
    logger.setLevel(level)
    if handler is not None:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        logger.level, logger.propagate = before
        if handler is not None:
            logger.removeHandler(handler)
            handler.close()
