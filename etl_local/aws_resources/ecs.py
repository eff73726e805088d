"""ECS clusters and task definitions in moto."""

from __future__ import annotations

import json

from etl_local.aws_resources.registry import Account, Inputs, Made, makes


@makes("aws:ecs/cluster:Cluster")
def cluster(account: Account, inputs: Inputs) -> Made:
    """A cluster; its identifier is its ARN."""
    name, tags = inputs.pop("name"), account.tag_list(inputs, "key", "value")
    arn: str = account.client("ecs").create_cluster(
        clusterName=name,
        settings=inputs.pop("settings", []),
        configuration=inputs.pop("configuration", None) or {},
        tags=tags,
    )["cluster"]["clusterArn"]
    return arn, {"arn": arn}


@makes("aws:ecs/taskDefinition:TaskDefinition")
def task_definition(account: Account, inputs: Inputs) -> Made:
    """A revision of a task definition; its identifier is its family."""
    family, tags = inputs.pop("family"), account.tag_list(inputs, "key", "value")
    for of_deletion in ("skipDestroy", "trackLatest"):
        inputs.pop(of_deletion, None)
    storage = inputs.pop("ephemeralStorage", None)
    made = account.client("ecs").register_task_definition(
        family=family,
        containerDefinitions=json.loads(inputs.pop("containerDefinitions")),
        networkMode=inputs.pop("networkMode"),
        requiresCompatibilities=inputs.pop("requiresCompatibilities"),
        cpu=inputs.pop("cpu"),
        memory=inputs.pop("memory"),
        executionRoleArn=inputs.pop("executionRoleArn"),
        taskRoleArn=inputs.pop("taskRoleArn"),
        volumes=[{"name": volume["name"]} for volume in inputs.pop("volumes", [])],
        runtimePlatform=inputs.pop("runtimePlatform"),
        tags=tags,
        **({"ephemeralStorage": {"sizeInGiB": int(storage["sizeInGib"])}} if storage else {}),
    )["taskDefinition"]
    arn: str = made["taskDefinitionArn"]
    return family, {"arn": arn, "arnWithoutRevision": arn.rpartition(":")[0], "revision": made["revision"]}
