"""What moto 5.2 leaves out between Step Functions, ECS and a process, patched in while a stand-in lives.

Each patch closes one hole, and has a test that fails once moto closes it itself.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError
from moto.ecs.models import EC2ContainerServiceBackend, Task, TaskDefinition
from moto.moto_api import state_manager
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_ecs import (
    StateTaskServiceEcs,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.utils.boto_client import boto_client_for

from etl_local.patching import replaced

_TASK_MODEL: Final = "ecs::task"
_STOP_REASON: Final = "Stopped by Step Functions"


class TaskHost(Protocol):
    """What runs tasks. moto keeps their records; the host keeps `lastStatus` and the exit codes true."""

    def start(self, task: Task, definition: TaskDefinition) -> None:
        """Start the containers of a task that RunTask has just recorded; return at once."""
        ...

    def stop(self, task: Task, reason: str) -> None:
        """Stop a task; return at once. A task that has stopped already is left alone."""
        ...


@contextlib.contextmanager
def bridged(host: TaskHost) -> Iterator[None]:
    """Patch moto, in this process, until the context is left.

    Args:
        host: runs the tasks that RunTask records.
    """
    with contextlib.ExitStack() as patches:
        for patch in (_parameter_names, _task_outcomes, _service_errors, _memory_of_tasks):
            patches.enter_context(patch())
        patches.enter_context(_tasks_on(host))
        yield


@contextlib.contextmanager
def _parameter_names() -> Iterator[None]:
    """`Cluster`, `LaunchType` … of the state language are `cluster`, `launchType` … for the API, and back.

    Unpatched, `ecs:runTask.sync` dies of a KeyError before it calls anything.
    """

    def shapes(service: StateTaskServiceEcs, action: str | None) -> Any:
        client = boto_client_for(region="us-east-1", service=service._get_boto_service_name())
        name = client.meta.method_to_api_mapping[service._get_boto_service_action(action)]
        return client.meta.service_model.operation_model(name)

    def normalise_parameters(
        self: StateTaskServiceEcs,
        parameters: dict[str, Any],
        boto_service_name: str | None = None,  # noqa: ARG001  # moto's signature
        service_action_name: str | None = None,
    ) -> None:
        self._to_boto_request(parameters, shapes(self, service_action_name).input_shape)

    def normalise_response(
        self: StateTaskServiceEcs,
        response: Any,
        boto_service_name: str | None = None,  # noqa: ARG001
        service_action_name: str | None = None,
    ) -> None:
        self._from_boto_response(response, shapes(self, service_action_name).output_shape)

    with (
        replaced(StateTaskServiceEcs, "_normalise_parameters", normalise_parameters),
        replaced(StateTaskServiceEcs, "_normalise_response", normalise_response),
    ):
        yield


class _SyncedTask:
    """The task that a `.sync` state waits for; called by moto until it returns something."""

    def __init__(self, service: StateTaskServiceEcs, env: Any, ecs: Any, cluster: str, task: str) -> None:
        self.ended = False
        self._service = service
        self._env = env
        self._ecs = ecs
        self._cluster = cluster
        self._task = task

    def __call__(self) -> dict[str, Any] | None:
        description = self._ecs.describe_tasks(cluster=self._cluster, tasks=[self._task])
        self.ended = description["tasks"][0]["lastStatus"] == "STOPPED"
        if not self.ended:
            return None
        self._service._normalise_response(description, service_action_name="describe_tasks")
        task = _told_by_step_functions(description["Tasks"][0])
        if any(container.get("ExitCode") != 0 for container in task["Containers"]):
            error = StatesErrorName(StatesErrorNameType.StatesTaskFailed)
            raise FailureEventException(_failure(self._service, self._env, error, _compact(task)))
        return task

    def stop(self) -> None:
        self._ecs.stop_task(cluster=self._cluster, task=self._task, reason=_STOP_REASON)


@contextlib.contextmanager
def _task_outcomes() -> Iterator[None]:
    """A task whose container ends in an error, or never starts, fails the state; a state that ends stops its task.

    Unpatched, every task that stops is a success, and a task whose state timed out or was aborted runs on.
    """

    def build_sync_resolver(
        self: StateTaskServiceEcs,
        env: Any,
        resource_runtime_part: Any,
        normalised_parameters: dict[str, Any],  # noqa: ARG001  # moto's signature
        state_credentials: Any,
    ) -> _SyncedTask:
        ecs = boto_client_for(service="ecs", region=resource_runtime_part.region, state_credentials=state_credentials)
        submitted = env.stack.pop()["Tasks"][0]
        return _SyncedTask(self, env, ecs, submitted["ClusterArn"], submitted["TaskArn"])

    original = StateTaskServiceEcs._eval_sync

    def eval_sync(self: StateTaskServiceEcs, env: Any, sync_resolver: _SyncedTask, **rest: Any) -> Any:
        rest["callback_endpoint"] = None  # no task token comes back from `.sync`, and waiting for one fails on a stop
        try:
            return original(self, env=env, sync_resolver=sync_resolver, **rest)
        finally:
            if not sync_resolver.ended:
                sync_resolver.stop()

    with (
        replaced(StateTaskServiceEcs, "_build_sync_resolver", build_sync_resolver),
        replaced(StateTaskServiceEcs, "_eval_sync", eval_sync),
    ):
        yield


@contextlib.contextmanager
def _service_errors() -> Iterator[None]:
    """An error of the ECS API has a name that a Retry can list, such as `ECS.ClusterNotFoundException`.

    Unpatched, it is States.Runtime, which nothing can catch.
    """
    original = StateTaskServiceEcs._from_error

    def from_error(self: StateTaskServiceEcs, env: Any, ex: Exception) -> FailureEvent:
        if not isinstance(ex, ClientError):
            return original(self, env=env, ex=ex)
        code = str(ex.response.get("Error", {}).get("Code", "AmazonECS"))
        name = f"ECS.{code if code.endswith('Exception') else code + 'Exception'}"
        return _failure(self, env, CustomErrorName(name), str(ex))

    with replaced(StateTaskServiceEcs, "_from_error", from_error):
        yield


@contextlib.contextmanager
def _memory_of_tasks() -> Iterator[None]:
    """A container definition without `memory` is allowed where the task has it, as it always has on Fargate.

    Unpatched, RunTask fails on it.
    """
    original = EC2ContainerServiceBackend._calculate_task_resource_requirements

    def requirements(task_definition: TaskDefinition) -> dict[str, Any]:
        complete = copy.copy(task_definition)
        complete.container_definitions = [
            {"memory": int(task_definition.memory or 0), **container}
            for container in task_definition.container_definitions
        ]
        return original(complete)

    with replaced(EC2ContainerServiceBackend, "_calculate_task_resource_requirements", staticmethod(requirements)):
        yield


@contextlib.contextmanager
def _tasks_on(host: TaskHost) -> Iterator[None]:
    """RunTask and StopTask reach the host, which alone says when a task runs and when it has stopped.

    Unpatched, a task is a record that stops after it has been described a few times.
    """
    run = EC2ContainerServiceBackend.run_task
    stop = EC2ContainerServiceBackend.stop_task

    def run_task(self: EC2ContainerServiceBackend, *arguments: Any, **named: Any) -> list[Task]:
        tasks = run(self, *arguments, **named)
        for task in tasks:
            task.last_status = "PENDING"
            host.start(task, self.describe_task_definition(task.task_definition_arn))
        return tasks

    def stop_task(self: EC2ContainerServiceBackend, cluster_str: str, task_str: str, reason: str) -> Task:
        for task in self.describe_tasks(cluster_str, [task_str]):
            host.stop(task, reason or "")
            return task
        return stop(self, cluster_str, task_str, reason)

    configured = _TASK_MODEL in state_manager._transitions  # moto has no getter for what was set
    before = state_manager.get_transition(_TASK_MODEL)
    state_manager.set_transition(_TASK_MODEL, {"progression": "manual", "times": float("inf")})
    try:
        with (
            replaced(EC2ContainerServiceBackend, "run_task", run_task),
            replaced(EC2ContainerServiceBackend, "stop_task", stop_task),
        ):
            yield
    finally:
        if configured:
            state_manager.set_transition(_TASK_MODEL, before)
        else:
            state_manager.unset_transition(_TASK_MODEL)


def _failure(service: StateTaskServiceEcs, env: Any, error: ErrorName, cause: str) -> FailureEvent:
    details = TaskFailedEventDetails(
        resourceType=service._get_sfn_resource_type(),
        resource=service._get_sfn_resource(),
        error=error.error_name,
        cause=cause,
    )
    return FailureEvent(
        env=env,
        error_name=error,
        event_type=HistoryEventType.TaskFailed,
        event_details=EventDetails(taskFailedEventDetails=details),  # type: ignore[call-arg]  # a TypedDict's fields
    )


def _told_by_step_functions(value: Any) -> Any:
    """A task's description with times as Step Functions gives them: milliseconds since 1970."""
    match value:
        case dict():
            return {key: _told_by_step_functions(inner) for key, inner in value.items()}
        case list():
            return [_told_by_step_functions(inner) for inner in value]
        case datetime():
            return int(value.timestamp() * 1000)
        case _:
            return value


def _compact(value: Any) -> str:
    """JSON as Step Functions writes a Cause: states search it as text, so no space may follow a colon."""
    return json.dumps(value, separators=(",", ":"))
