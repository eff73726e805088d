"""ECS tasks as processes of this machine: what Fargate would run in a container runs here with the same environment.

A program gets exactly the variables of its container definition, of the RunTask override and of the definition's
secrets, and beside them what a container has anyway: `PATH` (the Postgres programs first), `HOME` and `TMPDIR` in a
directory of its own, what the image sets for Python, and the variables by which AWS SDKs find their endpoint and
credentials. Nothing of the stand-in's own environment is inherited. The container's own file system does not exist:
each mount point is a new directory, and a variable that names a mount point or a path below it is rewritten to that.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from moto.ecs.models import Task, TaskDefinition

from etl_local.child_process import ChildProcess
from etl_local.cloud_logs import LogStream
from etl_local.engine import one_line
from etl_local.log_file import LogFile

DEFAULT_STOP_SECONDS: Final = 30
"""Seconds between SIGTERM and SIGKILL where a container definition says nothing, as on Fargate."""


class TaskStartError(Exception):
    """A task that could not start; the message is what ECS would give as its stopped reason."""


@dataclass(frozen=True, kw_only=True)
class TaskSurroundings:
    """What is the same for every task.

    Attributes:
        directory: each task gets a directory in it, named by the task's id.
        client: an AWS client of the stand-in, by service name.
        environment: the variables that a container has anyway, `PATH` and the AWS endpoint among them.
    """

    directory: Path
    client: Callable[[str], Any]
    environment: Mapping[str, str]


class LocalTasks:
    """All tasks of a stand-in: the `TaskHost` of `ecs_bridge`.

    Tasks that run when it is closed are stopped; after that none starts.
    """

    def __init__(self, surroundings: TaskSurroundings, on_event: Callable[..., None] = lambda *_, **__: None) -> None:
        """Start nothing yet.

        Args:
            surroundings: what is the same for every task.
            on_event: told `task_started` {task, container} and `task_stopped` {task, container, exit_code}.
        """
        self._surroundings = surroundings
        self._on_event = on_event
        self._running: dict[str, _LocalTask] = {}
        self._lock = threading.Lock()
        self._closed = False

    def start(self, task: Task, definition: TaskDefinition) -> None:
        """Start a task's container; the task is PENDING, then RUNNING, then STOPPED."""
        local = _LocalTask(task, definition, self._surroundings, self._on_event)
        with self._lock:
            if self._closed:
                local.refuse("the stand-in is closing")
                return
            self._running[task.task_arn] = local
        local.begin()

    def stop(self, task: Task, reason: str) -> None:
        """Send a task SIGTERM, and SIGKILL when its stop timeout has passed."""
        with self._lock:
            local = self._running.get(task.task_arn)
        if local is not None:
            local.stop(reason)

    def close(self, grace: float = 3.0) -> None:
        """Stop every task and wait until all are gone; those that need more than `grace` seconds are killed."""
        with self._lock:
            self._closed = True
            running = list(self._running.values())
        for local in running:
            local.stop("the stand-in is closing")
        deadline = time.monotonic() + grace
        for local in running:
            local.join(deadline)


class _LocalTask:
    def __init__(
        self,
        task: Task,
        definition: TaskDefinition,
        surroundings: TaskSurroundings,
        on_event: Callable[..., None],
    ) -> None:
        self._task = task
        self._definition = definition
        self._surroundings = surroundings
        self._on_event = on_event
        self._container: dict[str, Any] = definition.container_definitions[0]
        self._containers: list[Any] = list(task.containers)  # moto gives the class no attributes to check
        self._thread = threading.Thread(target=self._run, name=f"task {task.id}", daemon=True)
        self._child: ChildProcess | None = None
        self._wake = threading.Event()  # the container ended, or is to be stopped
        self._stop_reason: str | None = None

    def begin(self) -> None:
        self._thread.start()

    def join(self, deadline: float) -> None:
        """Wait until the task has stopped; kill it when the deadline (monotonic time) has passed."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            if self._child is not None:
                self._child.kill()
            self._thread.join()

    def stop(self, reason: str) -> None:
        if self._stop_reason is None:
            self._stop_reason = reason
        self._task.desired_status = "STOPPED"
        self._wake.set()

    def refuse(self, reason: str) -> None:
        """End a task that never ran: it has no exit code, as with ECS."""
        for container in self._containers:
            container.exitCode = None  # moto takes every container for a success
        self._ended("TaskFailedToStart", reason)

    def _run(self) -> None:
        try:
            with contextlib.ExitStack() as opened:
                exit_code = self._ran(self._start(opened))
        except TaskStartError as error:
            self.refuse(str(error))
        except Exception as error:  # a fault of the stand-in must not leave the task running for ever
            self.refuse(f"the stand-in failed: {one_line(error)}")
        else:
            self._containers[0].exitCode = exit_code
            self._on_event("task_stopped", task=self._task.id, container=self._container["name"], exit_code=exit_code)
            if self._stop_reason is None:
                self._ended("EssentialContainerExited", "Essential container in task exited")
            else:
                self._ended("UserInitiated", self._stop_reason)

    def _ran(self, child: ChildProcess) -> int:
        self._wake.wait()
        if self._stop_reason is None:
            return child.wait()
        return child.terminate(self._container.get("stopTimeout") or DEFAULT_STOP_SECONDS)

    def _start(self, opened: contextlib.ExitStack) -> ChildProcess:
        for container in self._containers:
            container.exitCode = None  # moto takes every container for a success
        if len(self._definition.container_definitions) != 1:
            raise TaskStartError("a stand-in runs tasks of one container only")
        directory = self._surroundings.directory / self._task.id
        directory.mkdir(mode=0o711)
        log_file = opened.enter_context(LogFile(directory.with_suffix(".log")))
        stream = opened.enter_context(self._log_stream())

        def note(line: str) -> None:
            stream.put(line)
            log_file.put(line)

        child = ChildProcess(
            self._command(), self._environment(directory), directory, on_line=note, on_exit=lambda _: self._wake.set()
        )
        self._child = opened.enter_context(child)
        try:
            child.start()
        except OSError as error:
            raise TaskStartError(f"CannotStartContainerError: {one_line(error)}") from error
        self._containers[0].last_status = "RUNNING"
        self._task.started_at = datetime.now(UTC)  # type: ignore[attr-defined]  # answered by DescribeTasks all the same
        self._task.last_status = "RUNNING"
        self._on_event("task_started", task=self._task.id, container=self._container["name"])
        return child

    def _command(self) -> list[str]:
        override = self._override()
        argv = [
            *self._container.get("entryPoint", []),
            *(override.get("command") or self._container.get("command", [])),
        ]
        if not argv:
            raise TaskStartError("CannotStartContainerError: no command in the task definition")
        if argv[0] in ("python", "python3"):
            argv[0] = sys.executable
        return argv

    def _override(self) -> dict[str, Any]:
        overrides = self._task.overrides.get("containerOverrides") or []
        return next((one for one in overrides if one.get("name") == self._container["name"]), {})

    def _environment(self, directory: Path) -> dict[str, str]:
        """The program's whole environment; makes the directories that it names."""
        given: dict[str, str] = {}
        for entry in (*self._container.get("environment", []), *(self._override().get("environment") or [])):
            given[entry["name"]] = entry["value"]
        mounts = {
            PurePosixPath(mount["containerPath"]): directory / "mounts" / str(index)
            for index, mount in enumerate(self._container.get("mountPoints", []))
        }
        temporary = mounts.get(PurePosixPath("/tmp"), directory / "tmp")  # noqa: S108  # a path of the container
        for needed in (*mounts.values(), temporary):
            needed.mkdir(parents=True, exist_ok=True)
        return {
            "AWS_REGION": self._task.region_name,
            **self._surroundings.environment,
            "HOME": str(directory),
            "TMPDIR": str(temporary),
            **{name: _remapped(value, mounts) for name, value in given.items()},
            **{entry["name"]: self._secret(entry) for entry in self._container.get("secrets", [])},
        }

    def _secret(self, entry: Mapping[str, str]) -> str:
        try:
            return secret_value(self._surroundings.client("secretsmanager"), entry["valueFrom"])
        except Exception as error:
            raise TaskStartError(
                f"ResourceInitializationError: unable to pull secret {entry['name']}: {one_line(error)}"
            ) from error

    def _log_stream(self) -> LogStream:
        configuration = self._container.get("logConfiguration") or {}
        options: dict[str, str] = configuration.get("options") or {}
        if configuration.get("logDriver") != "awslogs":
            raise TaskStartError(f"a stand-in knows the log driver awslogs only, not {configuration.get('logDriver')}")
        name = f"{options['awslogs-stream-prefix']}/{self._container['name']}/{self._task.id}"
        try:
            return LogStream(self._surroundings.client("logs"), options["awslogs-group"], name)
        except Exception as error:
            raise TaskStartError(
                f"ResourceInitializationError: failed to validate logger args: {one_line(error)}"
            ) from error

    def _ended(self, code: str, reason: str) -> None:
        for container in self._containers:
            container.last_status = "STOPPED"
        self._task.stop_code = code  # type: ignore[attr-defined]  # answered by DescribeTasks all the same
        self._task.stopped_reason = reason
        self._task.stopped_at = datetime.now(UTC)  # type: ignore[attr-defined]
        self._task.desired_status = "STOPPED"
        self._task.last_status = "STOPPED"


def _remapped(value: str, mounts: Mapping[PurePosixPath, Path]) -> str:
    if not value.startswith("/"):
        return value
    path = PurePosixPath(value)
    for mount, directory in mounts.items():
        if path.is_relative_to(mount):
            return str(directory / path.relative_to(mount))
    return value


def secret_value(secrets_manager: Any, value_from: str) -> str:
    """What ECS would inject for a `valueFrom`: `<secret ARN>[:<json key>:<version stage>:<version id>]`.

    Args:
        secrets_manager: a client.
        value_from: the reference; each of its last three parts may be empty.

    Raises:
        ValueError: it is no ARN of a secret, or the secret has no such key.
    """
    parts = value_from.split(":")
    if parts[:3] != ["arn", "aws", "secretsmanager"] or len(parts) not in (7, 10):
        raise ValueError("valueFrom is not the ARN of a secret")
    key, stage, version = parts[7:] or ("", "", "")
    selected = {name: value for name, value in (("VersionStage", stage), ("VersionId", version)) if value}
    text: str = secrets_manager.get_secret_value(SecretId=":".join(parts[:7]), **selected)["SecretString"]
    if not key:
        return text
    document = json.loads(text)
    if key not in document:
        raise ValueError(f"the secret has no key {key}")
    value = document[key]
    return value if isinstance(value, str) else json.dumps(value)
