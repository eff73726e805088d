"""Fargate tasks and the state machines that run them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.infra.checks.registry import check, each
from tests.infra.engine import Deployment

BY_DIGEST = r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/postgres-etl@sha256:[0-9a-f]{64}"
LOOKS_SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|CREDENTIAL|SALT|PGPASS")
SECRET_ARN = r"arn:aws:secretsmanager:[^:]+:\d{12}:secret:.+"
RUN_TASK = "arn:aws:states:::ecs:runTask.sync"


def of_each_container(d: Deployment, holds: Callable[[dict[str, Any]], Any]) -> Iterator[str]:
    """The task definitions with a container for which something does not hold."""
    return each(d, "TaskDefinition", lambda r: all(map(holds, r.document("containerDefinitions"))))


def states(d: Deployment, resource: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The Task states of every machine, those of one integration."""
    for machine in d.all("StateMachine"):
        for name, state in machine.document("definition")["States"].items():
            if state["Type"] == "Task" and state["Resource"].startswith(resource):
                yield f"{machine.name}: {name}", state


def of_each_run(d: Deployment, holds: Callable[[dict[str, Any]], Any]) -> Iterator[str]:
    """The states that run a task and with whose parameters something does not hold."""
    yield from (name for name, state in states(d, RUN_TASK) if not holds(state["Parameters"]))


@check("a task runs on Fargate in a network interface of its own")
def _(d: Deployment) -> Iterator[str]:
    return each(
        d,
        "TaskDefinition",
        lambda r: (
            (r.inputs["networkMode"], r.inputs["requiresCompatibilities"]) == ("awsvpc", ["FARGATE"])
            and not {"pidMode", "ipcMode"} & set(r.inputs)
        ),
    )


@check("a container's image is named by its digest")
def _(d: Deployment) -> Iterator[str]:
    return of_each_container(d, lambda c: re.fullmatch(BY_DIGEST, c["image"]))


@check("a container runs as nobody that the host knows")
def _(d: Deployment) -> Iterator[str]:
    return of_each_container(d, lambda c: int(str(c.get("user", "0")).partition(":")[0]) > 10000)


@check("a container's root is read-only")
def _(d: Deployment) -> Iterator[str]:
    return of_each_container(d, lambda c: c.get("readonlyRootFilesystem") is True)


@check("a container writes to one scratch volume")
def _(d: Deployment) -> Iterator[str]:
    return of_each_container(
        d, lambda c: [m["containerPath"] for m in c["mountPoints"] if not m.get("readOnly")] == ["/scratch"]
    )


@check("a container is not privileged and has no capability")
def _(d: Deployment) -> Iterator[str]:
    return of_each_container(
        d,
        lambda c: c.get("privileged") is False and c["linuxParameters"].get("capabilities") == {"drop": ["ALL"]},
    )


@check("a container's first process reaps its children")
def _(d: Deployment) -> Iterator[str]:
    return of_each_container(d, lambda c: c["linuxParameters"].get("initProcessEnabled") is True)


@check("a container has its secrets by reference")
def _(d: Deployment) -> Iterator[str]:
    return of_each_container(
        d,
        lambda c: (
            not any(LOOKS_SECRET.search(entry["name"]) for entry in c["environment"])
            and all(re.fullmatch(SECRET_ARN, entry["valueFrom"]) for entry in c["secrets"])
        ),
    )


@check("a container's log never holds it up")
def _(d: Deployment) -> Iterator[str]:
    return of_each_container(
        d,
        lambda c: (
            c["logConfiguration"]["logDriver"] == "awslogs"
            and c["logConfiguration"]["options"].get("mode") == "non-blocking"
            and c["logConfiguration"]["options"].get("max-buffer-size") == "25m"
        ),
    )


@check("a container logs into the group that is made for it")
def _(d: Deployment) -> Iterator[str]:
    groups = {r.inputs["name"] for r in d.all("LogGroup")}
    return of_each_container(
        d,
        lambda c: (
            c["logConfiguration"]["options"].get("awslogs-group") == f"/postgres-etl/prod/{c['name']}"
            and c["logConfiguration"]["options"]["awslogs-group"] in groups
        ),
    )


@check("a task verifies its database, and is told what is protected and which rules are trusted")
def _(d: Deployment) -> Iterator[str]:
    account, digest = "473251818902", d.one("v1:ConfigMap", "transform-scrub-rules").inputs["metadata"]["annotations"]
    both = {"DB_SSLMODE": "verify-full", "ENVIRONMENT_NAME": "prod"}
    wanted = {
        "pg_dump": both | {"EXTRACT_BUCKET_OWNER": account},
        "pg_restore": both
        | {
            "LOAD_BUCKET_OWNER": account,
            "PROTECTED_ACCOUNTS": account,
            "PROTECTED_LOAD_TARGET": f"{account}/postgres-etl-target-prod.example.com/marketplace",
            "ALLOWED_RULES": digest["postgres-etl/rules-sha256"],
        },
    }
    return of_each_container(
        d,
        lambda c: (
            wanted[c["name"]].items() <= {entry["name"]: entry.get("value") for entry in c["environment"]}.items()
        ),
    )


@check("a container has two minutes to stop")
def _(d: Deployment) -> Iterator[str]:
    return of_each_container(d, lambda c: c.get("stopTimeout") == 120)


@check("a task's disk is sized by a setting and ends with it")
def _(d: Deployment) -> Iterator[str]:
    return each(
        d,
        "TaskDefinition",
        lambda r: r.inputs.get("ephemeralStorage") and [set(v) for v in r.inputs["volumes"]] == [{"name"}],
    )


@check("a cluster measures its containers")
def _(d: Deployment) -> Iterator[str]:
    return each(
        d,
        "ecs/cluster:Cluster",
        lambda r: {"name": "containerInsights", "value": "enabled"} in r.inputs.get("settings", []),
    )


@check("a shell, where a task may have one, is encrypted and logged")
def _(d: Deployment) -> Iterator[str]:
    opened = {
        name.partition("-")[0] for name, state in states(d, RUN_TASK) if "EnableExecuteCommand" in state["Parameters"]
    }
    groups = {r.inputs["name"] for r in d.all("LogGroup")}
    for cluster in d.all("ecs/cluster:Cluster"):
        if cluster.name.partition("-")[0] not in opened:
            continue
        shell = cluster.inputs.get("configuration", {}).get("executeCommandConfiguration", {})
        log = shell.get("logConfiguration", {})
        if not (
            ":key/" in shell.get("kmsKeyId", "")
            and shell.get("logging") == "OVERRIDE"
            and log.get("cloudWatchEncryptionEnabled") is True
            and log.get("cloudWatchLogGroupName") in groups
        ):
            yield cluster.name


@check("a task gets no public address")
def _(d: Deployment) -> Iterator[str]:
    return of_each_run(
        d, lambda p: p["NetworkConfiguration"]["AwsvpcConfiguration"].get("AssignPublicIp") == "DISABLED"
    )


@check("a task may run in either of two subnets")
def _(d: Deployment) -> Iterator[str]:
    return of_each_run(d, lambda p: len(set(p["NetworkConfiguration"]["AwsvpcConfiguration"]["Subnets"])) >= 2)


@check("a machine runs the task of its stage, in its group and the private subnets")
def _(d: Deployment) -> Iterator[str]:
    subnets = ["subnet-0d00000000000000a", "subnet-0d00000000000000b"]
    arns = {r.name: r.outputs["arn"] for kind in ("TaskDefinition", "ecs/cluster:Cluster") for r in d.all(kind)}
    for name, state in states(d, RUN_TASK):
        stage, given = name.partition("-")[0], state["Parameters"]
        network = given["NetworkConfiguration"]["AwsvpcConfiguration"]
        if (
            given.get("Cluster") != arns[f"{stage}-task-cluster"]
            or given.get("TaskDefinition") != arns[f"{stage}-task-definition"]
            or network["SecurityGroups"] != [f"{stage}-task-security-group-id"]
            or not set(network["Subnets"]) <= set(subnets)
        ):
            yield name


@check("a task runs on the newest platform")
def _(d: Deployment) -> Iterator[str]:
    return of_each_run(d, lambda p: p.get("PlatformVersion") == "LATEST" and p.get("LaunchType") == "FARGATE")


@check("a task carries the tags of its definition")
def _(d: Deployment) -> Iterator[str]:
    return of_each_run(d, lambda p: p.get("PropagateTags") == "TASK_DEFINITION")


@check("a state that works has a time limit and a way to fail")
def _(d: Deployment) -> Iterator[str]:
    for name, state in states(d):
        if not state.get("TimeoutSeconds") or ["States.ALL"] not in [c["ErrorEquals"] for c in state.get("Catch", [])]:
            yield name
    yield from each(d, "StateMachine", lambda r: r.document("definition").get("TimeoutSeconds"))


@check("a task that ran and failed is not simply run again")
def _(d: Deployment) -> Iterator[str]:
    for name, state in states(d):
        tried_again = {error for retry in state.get("Retry", []) for error in retry["ErrorEquals"]}
        if tried_again & {"States.ALL", "States.TaskFailed", "States.Timeout"}:
            yield name


@check("a machine fails under a name of its own")
def _(d: Deployment) -> Iterator[str]:
    for machine in d.all("StateMachine"):
        for name, state in machine.document("definition")["States"].items():
            if state["Type"] == "Fail" and state.get("Error", "States.").startswith("States."):
                yield f"{machine.name}: {name}"


@check("a machine is a standard one")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "StateMachine", lambda r: r.inputs.get("type") == "STANDARD")


@check("a machine logs every event and no data")
def _(d: Deployment) -> Iterator[str]:
    return each(
        d,
        "StateMachine",
        lambda r: (
            r.inputs["loggingConfiguration"].get("level") == "ALL"
            and r.inputs["loggingConfiguration"].get("includeExecutionData") is False
            and r.inputs["loggingConfiguration"]
            .get("logDestination", "")
            .endswith(f":log-group:/aws/vendedlogs/states/{r.inputs['name']}:*")
        ),
    )


@check("a machine is traced")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "StateMachine", lambda r: r.inputs.get("tracingConfiguration") == {"enabled": True})


@check("a machine is encrypted with a customer managed key")
def _(d: Deployment) -> Iterator[str]:
    return each(
        d,
        "StateMachine",
        lambda r: (
            r.inputs.get("encryptionConfiguration", {}).get("type") == "CUSTOMER_MANAGED_KMS_KEY"
            and ":key/" in r.inputs["encryptionConfiguration"].get("kmsKeyId", "")
        ),
    )
