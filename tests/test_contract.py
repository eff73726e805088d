"""The boundary: what is deployed gives each program the names, variables, paths and keys that the program goes by."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from etl_runtime import contract
from etl_runtime.contract import Env, ExitCode

from tests.infra.engine import ROOT, Deployment, deploy, stack_config

TASKS = {
    "extract": (contract.PG_DUMP_CONTAINER, contract.EXTRACT_STATE_MACHINE_NAME),
    "load": (contract.PG_RESTORE_CONTAINER, contract.LOAD_STATE_MACHINE_NAME),
}
STAGES = [("dev", "extract"), ("dev", "load"), ("sbx", "load"), ("prod", "extract")]
CLUSTERS = ["dev", "prod"]


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Deployment]:
    """Every stack as its own file configures it."""
    rules = tmp_path_factory.mktemp("scrub")
    (rules / contract.RULES_FILE).write_text("tables: {}\n")
    return {name: deploy(name, {**stack_config(name), "scrubDirectory": str(rules)}) for name in ("dev", "sbx", "prod")}


def container(deployment: Deployment, stage: str) -> dict[str, Any]:
    """The container of a stage's task definition."""
    (only,) = deployment.one("TaskDefinition", f"{stage}-task-definition").document("containerDefinitions")
    return only


def task_states(deployment: Deployment, stage: str) -> list[dict[str, Any]]:
    """The states of a stage's machine that run its task."""
    _, name = TASKS[stage]
    (machine,) = [m for m in deployment.all("StateMachine") if m.inputs["name"] == name]
    states = machine.document("definition")["States"].values()
    return [state for state in states if state.get("Resource") == "arn:aws:states:::ecs:runTask.sync"]


def job(deployment: Deployment) -> dict[str, Any]:
    """The Job template."""
    return yaml.safe_load(
        deployment.one("v1:ConfigMap", "transform-dispatcher-job-template").inputs["data"]["job.yaml"]
    )


def job_container(deployment: Deployment) -> dict[str, Any]:
    """The container of the transform Job."""
    (only,) = job(deployment)["spec"]["template"]["spec"]["containers"]
    return only


def dispatcher_container(deployment: Deployment) -> dict[str, Any]:
    """The container of the dispatcher."""
    (only,) = deployment.one("v1:Deployment").inputs["spec"]["template"]["spec"]["containers"]
    return only


def variables(entries: list[dict[str, Any]]) -> dict[str, str]:
    """Environment entries of a manifest or a task definition, name → value."""
    return {entry["name"]: entry.get("value", "") for entry in entries}


def in_the_contract(given: set[str]) -> bool:
    """Whether every variable is the contract's; TMPDIR is the platform's own."""
    return given <= {*Env, "TMPDIR"}


@pytest.mark.parametrize(("stack", "stage"), STAGES)
def test_a_task_is_given_every_variable_that_its_program_requires(
    stack: str, stage: str, stacks: dict[str, Deployment]
) -> None:
    name, _ = TASKS[stage]
    definition = container(stacks[stack], stage)
    attempts: dict[frozenset[str], int] = {}
    for state in task_states(stacks[stack], stage):
        (override,) = state["Parameters"]["Overrides"]["ContainerOverrides"]
        taken = frozenset(entry["Name"] for entry in override["Environment"])
        attempts[taken] = attempts.get(taken, 0) + 1
        given = taken | set(variables(definition["environment"]))
        required = contract.REQUIRED_ENV[name]
        if Env.ROLLBACK in taken:
            required = required - {Env.LOAD_FILENAME} | {Env.ROLLBACK}
        assert required <= given
        assert in_the_contract(given)
    assert sorted(attempts.values()) == ([1, 2] if stage == "load" else [2])


@pytest.mark.parametrize(("stack", "stage"), STAGES)
def test_a_task_goes_by_one_name_in_its_family_its_container_and_its_override(
    stack: str, stage: str, stacks: dict[str, Deployment]
) -> None:
    name, _ = TASKS[stage]
    deployment = stacks[stack]
    assert deployment.one("TaskDefinition", f"{stage}-task-definition").inputs["family"] == name
    assert container(deployment, stage)["name"] == name
    assert container(deployment, stage)["logConfiguration"]["options"]["awslogs-stream-prefix"] == name
    for state in task_states(deployment, stage):
        assert [override["Name"] for override in state["Parameters"]["Overrides"]["ContainerOverrides"]] == [name]


@pytest.mark.parametrize("stack", CLUSTERS)
def test_a_transform_is_given_every_variable_that_its_program_requires(
    stack: str, stacks: dict[str, Deployment]
) -> None:
    given = set(variables(job_container(stacks[stack])["env"]))
    assert contract.REQUIRED_ENV[contract.TRANSFORM_CONTAINER] <= given | contract.DISPATCHED_ENV
    assert not given & contract.DISPATCHED_ENV, "the dispatcher alone says which dump"
    assert in_the_contract(given)


@pytest.mark.parametrize("stack", CLUSTERS)
def test_the_dispatcher_is_given_every_variable_that_it_requires(stack: str, stacks: dict[str, Deployment]) -> None:
    given = set(variables(dispatcher_container(stacks[stack])["env"]))
    assert contract.REQUIRED_ENV[contract.DISPATCHER_CONTAINER] <= given
    assert in_the_contract(given)


def test_a_secret_is_never_among_plain_variables(stacks: dict[str, Deployment]) -> None:
    for stack, stage in STAGES:
        assert Env.DB_CREDENTIALS not in variables(container(stacks[stack], stage)["environment"])


@pytest.mark.parametrize("stack", CLUSTERS)
def test_the_job_template_carries_the_names_that_others_find_it_by(stack: str, stacks: dict[str, Deployment]) -> None:
    template = job(stacks[stack])
    assert template["metadata"]["labels"] == dict(contract.TRANSFORM_LABELS)
    assert template["spec"]["template"]["metadata"]["labels"] == dict(contract.TRANSFORM_LABELS)
    assert job_container(stacks[stack])["name"] == contract.TRANSFORM_CONTAINER
    assert dispatcher_container(stacks[stack])["name"] == contract.DISPATCHER_CONTAINER
    assert "name" not in template["metadata"], "the dispatcher names the Job by its dump"


@pytest.mark.parametrize("stack", CLUSTERS)
def test_the_paths_in_the_variables_are_mounted(stack: str, stacks: dict[str, Deployment]) -> None:
    def mounts(pod_container: dict[str, Any]) -> set[str]:
        return {mount["mountPath"] for mount in pod_container["volumeMounts"]}

    transform, dispatcher = job_container(stacks[stack]), dispatcher_container(stacks[stack])
    environment = variables(transform["env"])
    assert {environment[Env.MOUNT_POINT], environment[Env.SCRUB_DIRECTORY]} <= mounts(transform)
    template = Path(variables(dispatcher["env"])[Env.JOB_TEMPLATE])
    assert str(template.parent) in mounts(dispatcher)
    assert template.name in stacks[stack].one("v1:ConfigMap", "transform-dispatcher-job-template").inputs["data"]


@pytest.mark.parametrize(("stack", "stage"), STAGES)
def test_a_tasks_mount_point_is_its_scratch_volume(stack: str, stage: str, stacks: dict[str, Deployment]) -> None:
    definition = container(stacks[stack], stage)
    (mount,) = definition["mountPoints"]
    environment = variables(definition["environment"])
    assert environment[Env.MOUNT_POINT] == environment["TMPDIR"] == mount["containerPath"]


def test_the_programs_that_are_started_exist(stacks: dict[str, Deployment]) -> None:
    dev = stacks["dev"]
    containers = [container(dev, "extract"), container(dev, "load"), job_container(dev), dispatcher_container(dev)]
    for started in containers:
        assert started["command"][:2] == ["python", "-m"]
        module = started["command"][2]
        assert module == f"etl_runtime.{started['name']}"
        assert (ROOT / "containers" / Path(*module.split("."))).with_suffix(".py").is_file(), module


def test_both_sides_of_the_load_buckets_agree(stacks: dict[str, Deployment]) -> None:
    given = contract.load_buckets(variables(container(stacks["prod"], "extract")["environment"])[Env.LOAD_BUCKETS])
    assert given == contract.load_buckets(variables(job_container(stacks["prod"])["env"])[Env.LOAD_BUCKETS])
    for stack in ("dev", "sbx"):
        restore = variables(container(stacks[stack], "load")["environment"])
        assert given[stack] == contract.LoadBucket(restore[Env.LOAD_BUCKET], restore[Env.LOAD_BUCKET_OWNER])


def test_what_a_dump_is_cleaned_by_is_what_a_load_accepts(stacks: dict[str, Deployment]) -> None:
    annotations = stacks["prod"].one("v1:ConfigMap", "transform-scrub-rules").inputs["metadata"]["annotations"]
    restore = variables(container(stacks["sbx"], "load")["environment"])
    assert restore[Env.ALLOWED_RULES] == annotations["postgres-etl/rules-sha256"]


def test_the_machines_look_for_the_manifest_where_the_contract_puts_it(stacks: dict[str, Deployment]) -> None:
    dump = contract.DumpPrefix("dev", "nightly-1", contract.DUMP_FILENAME)
    definitions = {
        machine.inputs["name"]: machine.document("definition") for machine in stacks["dev"].all("StateMachine")
    }
    extract = definitions[contract.EXTRACT_STATE_MACHINE_NAME]["States"]["VerifyDump"]["Parameters"]["Key.$"]
    load = definitions[contract.LOAD_STATE_MACHINE_NAME]["States"]["FindCleanedDump"]["Parameters"]["Key.$"]
    assert formatted(extract, "dev", "nightly-1") == dump.manifest_key
    assert formatted(load, str(dump)) == dump.manifest_key


def formatted(expression: str, *values: str) -> str:
    """What `States.Format('<template>', …)` gives for these values."""
    match = re.fullmatch(r"States\.Format\('([^']*)'((?:, [^,]+)+)\)", expression)
    assert match is not None
    assert match[2].count(",") == len(values)
    return match[1].format(*values)


def test_the_notification_waits_for_the_manifest(stacks: dict[str, Deployment]) -> None:
    (queue,) = stacks["prod"].one("BucketNotification").inputs["queues"]
    dump = contract.DumpPrefix("dev", "nightly-1", contract.DUMP_FILENAME)
    assert dump.manifest_key.endswith(queue["filterSuffix"])
    assert queue["filterSuffix"] == f"/{contract.MANIFEST_NAME}"


def test_a_transient_exit_is_tried_again_and_a_permanent_one_is_not(stacks: dict[str, Deployment]) -> None:
    def worth_it(code: int) -> bool:
        cause = json.dumps(
            {"Containers": [{"ExitCode": code}], "StopCode": "EssentialContainerExited"}, separators=(",", ":")
        )
        return any(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), cause) for pattern in patterns)

    machine = stacks["prod"].one("StateMachine").document("definition")
    (choice,) = machine["States"]["IsFailureWorthASecondAttempt"]["Choices"]
    patterns = [test["StringMatches"] for test in choice["And"][1]["Or"]]
    assert [code.name for code in ExitCode if worth_it(code)] == ["TRANSIENT"]

    rules = job(stacks["prod"])["spec"]["podFailurePolicy"]["rules"]
    (fail,) = [rule["onExitCodes"]["values"] for rule in rules if rule["action"] == "FailJob"]
    assert fail == [code for code in ExitCode if code not in (ExitCode.DONE, ExitCode.TRANSIENT, ExitCode.TERMINATED)]
