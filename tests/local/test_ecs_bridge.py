"""The holes of moto that the stand-in bridges: each is there without the bridge and closed with it.

A test named `moto_still_…` fails when moto closes the hole itself: remove the patch then.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from etl_local import ecs_bridge
from etl_local.cloud import Cloud
from etl_local.ecs_bridge import bridged
from tests.local.toy_tasks import cloud, define_task, events, run_task, stopped, subnet, tasks

__all__ = ["cloud", "events", "tasks"]  # fixtures

pytestmark = pytest.mark.end_to_end  # an AWS server, executions of state machines, and their tasks as processes

ROLE = "arn:aws:iam::123456789012:role/toy"
TASK_STATE = {
    "Type": "Task",
    "Resource": "arn:aws:states:::ecs:runTask.sync",
    "TimeoutSeconds": 60,
    "Parameters": {
        "Cluster": "toy",
        "TaskDefinition": "toy",
        "LaunchType": "FARGATE",
        "NetworkConfiguration": {"AwsvpcConfiguration": {"Subnets": ["SUBNET"], "SecurityGroups": []}},
        "Overrides": {
            "ContainerOverrides": [
                {"Name": "toy", "Environment": [{"Name": "EXECUTION_ID", "Value.$": "$$.Execution.Id"}]}
            ]
        },
    },
}
PLAIN = {"StartAt": "Run", "States": {"Run": {**TASK_STATE, "End": True}}}
RETRYING = {
    "StartAt": "Run",
    "States": {
        "Run": {**TASK_STATE, "End": True, "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "WasItTransient"}]},
        "WasItTransient": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.Cause", "StringMatches": '*"ExitCode":75*', "Next": "RunAgain"}],
            "Default": "GiveUp",
        },
        "RunAgain": {**TASK_STATE, "End": True},
        "GiveUp": {"Type": "Fail", "Error": "Toy.Failed", "CausePath": "$.Cause"},
    },
}


@dataclass
class Tasks:
    """A task host that runs nothing."""

    start: Callable[[Any, Any], None] = lambda *_: None
    stop: Callable[[Any, str], None] = lambda *_: None


def start(cloud: Cloud, machine: dict[str, Any], subnet_id: str) -> str:
    definition = json.dumps(machine).replace("SUBNET", subnet_id)
    arn = cloud.client("stepfunctions").create_state_machine(name="toy", definition=definition, roleArn=ROLE)
    return cloud.client("stepfunctions").start_execution(stateMachineArn=arn["stateMachineArn"], name="toy-1")[
        "executionArn"
    ]


def ended(cloud: Cloud, execution: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        description = cloud.client("stepfunctions").describe_execution(executionArn=execution)
        if description["status"] != "RUNNING":
            return description
        time.sleep(0.05)
    raise AssertionError("the execution did not end")


def execute(cloud: Cloud, machine: dict[str, Any], subnet_id: str) -> dict[str, Any]:
    return ended(cloud, start(cloud, machine, subnet_id))


# --- what moto does not do by itself ----------------------------------------------------------------------------


def test_moto_still_does_not_map_the_parameter_names_of_run_task_sync(cloud: Cloud):
    define_task(cloud, memory=256)
    outcome = execute(cloud, PLAIN, subnet(cloud))
    assert (outcome["status"], outcome["error"]) == ("FAILED", "States.Runtime")
    assert "'LaunchType'" in outcome["cause"] or "'Cluster'" in outcome["cause"]


def test_moto_still_takes_a_task_that_failed_for_a_success(cloud: Cloud, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ecs_bridge, "_task_outcomes", ecs_bridge._memory_of_tasks)

    def fail(task: Any, _: Any) -> None:
        task.containers[0].exitCode = 70
        task.last_status = "STOPPED"

    with bridged(Tasks(start=fail)):
        define_task(cloud)
        assert execute(cloud, PLAIN, subnet(cloud))["status"] == "SUCCEEDED"


def test_moto_still_lets_the_task_of_an_aborted_execution_run_on(cloud: Cloud, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ecs_bridge, "_task_outcomes", ecs_bridge._memory_of_tasks)
    calls: list[str] = []

    with bridged(Tasks(start=lambda *_: calls.append("start"), stop=lambda *_: calls.append("stop"))):
        define_task(cloud)
        execution = start(cloud, PLAIN, subnet(cloud))
        while not calls:
            time.sleep(0.05)
        time.sleep(0.5)  # moto trips over a stop while it only begins to wait
        cloud.client("stepfunctions").stop_execution(executionArn=execution)
        assert ended(cloud, execution)["status"] == "ABORTED"
        time.sleep(1)
    assert calls == ["start"]


def test_moto_still_makes_an_error_of_the_ecs_api_uncatchable(cloud: Cloud, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ecs_bridge, "_service_errors", ecs_bridge._memory_of_tasks)
    with bridged(Tasks()):
        assert execute(cloud, PLAIN, subnet(cloud))["error"] == "States.Runtime"


def test_moto_still_refuses_a_container_definition_without_memory(cloud: Cloud):
    define_task(cloud)
    with pytest.raises(ClientError, match="500"):
        run_task(cloud, subnet(cloud))


def test_moto_still_refuses_a_task_in_a_vpc_without_dns_host_names(cloud: Cloud):
    define_task(cloud, memory=256)
    with pytest.raises(ClientError, match="500"):
        run_task(cloud, subnet(cloud, dns_host_names=False))


def test_moto_still_stops_a_task_that_nobody_stopped(cloud: Cloud):
    define_task(cloud, memory=256)
    assert stopped(cloud, run_task(cloud, subnet(cloud)))["containers"][0]["exitCode"] == 0


# --- what it does with the bridge -------------------------------------------------------------------------------


@pytest.mark.usefixtures("tasks")
def test_a_task_that_exits_0_is_a_success_and_its_description_the_output(cloud: Cloud):
    define_task(cloud)
    outcome = execute(cloud, PLAIN, subnet(cloud))
    assert outcome["status"] == "SUCCEEDED"
    task = json.loads(outcome["output"])
    assert [(one["Name"], one["ExitCode"], one["LastStatus"]) for one in task["Containers"]] == [("toy", 0, "STOPPED")]
    assert (task["StopCode"], task["StoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert isinstance(task["StoppedAt"], int)


@pytest.mark.usefixtures("tasks")
def test_a_task_that_exits_70_fails_the_state_with_its_description_as_the_cause(cloud: Cloud):
    define_task(cloud, "raise SystemExit(70)")
    outcome = execute(cloud, RETRYING, subnet(cloud))
    assert (outcome["status"], outcome["error"]) == ("FAILED", "Toy.Failed")
    assert json.loads(outcome["cause"])["Containers"][0]["ExitCode"] == 70
    assert '"ExitCode":70' in outcome["cause"]


@pytest.mark.usefixtures("tasks")
def test_a_task_that_exits_75_can_be_told_apart_and_run_again(cloud: Cloud, tmp_path: Path):
    mark = tmp_path / "mark"
    define_task(cloud, f"import os; os.path.exists({str(mark)!r}) or (open({str(mark)!r}, 'w'), os._exit(75))")
    assert execute(cloud, RETRYING, subnet(cloud))["status"] == "SUCCEEDED"
    assert len(cloud.client("ecs").list_tasks(cluster="toy")["taskArns"]) == 2


@pytest.mark.usefixtures("tasks")
def test_a_task_that_cannot_start_fails_the_state_without_an_exit_code(cloud: Cloud):
    define_task(cloud, command=["no-such-program"])
    outcome = execute(cloud, RETRYING, subnet(cloud))
    assert (outcome["status"], outcome["error"]) == ("FAILED", "Toy.Failed")
    task = json.loads(outcome["cause"])
    assert "ExitCode" not in task["Containers"][0]
    assert task["StopCode"] == "TaskFailedToStart"
    assert task["StoppedReason"].startswith("CannotStartContainerError: ")


@pytest.mark.usefixtures("tasks")
def test_an_aborted_execution_stops_its_task_by_sigterm(cloud: Cloud, tmp_path: Path):
    ready = tmp_path / "ready"
    define_task(cloud, f"import time; open({str(ready)!r}, 'w'); time.sleep(60)")
    execution = start(cloud, PLAIN, subnet(cloud))
    while not ready.exists():
        time.sleep(0.02)
    cloud.client("stepfunctions").stop_execution(executionArn=execution)
    task = stopped(cloud, cloud.client("ecs").list_tasks(cluster="toy")["taskArns"][0])
    assert (task["containers"][0]["exitCode"], task["stopCode"]) == (143, "UserInitiated")
    assert ended(cloud, execution)["status"] == "ABORTED"


@pytest.mark.usefixtures("tasks")
def test_an_execution_that_is_aborted_at_its_very_start_leaves_no_fault_behind(cloud: Cloud):
    define_task(cloud, "import time; time.sleep(60)")
    execution = start(cloud, PLAIN, subnet(cloud))
    while not cloud.client("ecs").list_tasks(cluster="toy")["taskArns"]:
        time.sleep(0.001)
    cloud.client("stepfunctions").stop_execution(executionArn=execution)
    assert ended(cloud, execution)["status"] == "ABORTED"
    task = stopped(cloud, cloud.client("ecs").list_tasks(cluster="toy")["taskArns"][0])
    assert task["stopCode"] == "UserInitiated"


@pytest.mark.usefixtures("tasks")
def test_a_state_that_times_out_stops_its_task(cloud: Cloud):
    define_task(cloud, "import time; time.sleep(60)")
    machine = {"StartAt": "Run", "States": {"Run": {**TASK_STATE, "TimeoutSeconds": 1, "End": True}}}
    outcome = execute(cloud, machine, subnet(cloud))
    assert (outcome["status"], outcome["error"]) == ("FAILED", "States.Timeout")
    task = stopped(cloud, cloud.client("ecs").list_tasks(cluster="toy")["taskArns"][0])
    assert (task["containers"][0]["exitCode"], task["stoppedReason"]) == (143, "Stopped by Step Functions")


@pytest.mark.usefixtures("tasks")
def test_an_error_of_the_ecs_api_can_be_caught_by_name(cloud: Cloud):
    outcome = execute(cloud, PLAIN, subnet(cloud))
    assert (outcome["status"], outcome["error"]) == ("FAILED", "ECS.ClusterNotFoundException")


def test_leaving_the_bridge_leaves_moto_as_it_was():
    def patched() -> list[Any]:
        service = vars(ecs_bridge.StateTaskServiceEcs)
        backend = vars(ecs_bridge.EC2ContainerServiceBackend)
        return [
            *(service.get(name) for name in ("_normalise_parameters", "_normalise_response", "_eval_sync")),
            *(service.get(name) for name in ("_build_sync_resolver", "_from_error")),
            *(backend.get(name) for name in ("run_task", "stop_task", "_calculate_task_resource_requirements")),
            ecs_bridge.state_manager.get_transition("ecs::task"),
        ]

    before = patched()
    with bridged(Tasks()):
        assert all(now is not then for now, then in zip(patched(), before, strict=True))
    assert patched() == before
