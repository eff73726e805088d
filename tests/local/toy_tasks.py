"""Toy ECS tasks in moto, for tests: one container, one subnet, run as processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etl_local.cloud import Cloud
from etl_local.ecs_bridge import bridged
from etl_local.tasks import LocalTasks, TaskSurroundings

REGION = "eu-west-2"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud(REGION) as cloud:
        yield cloud


@pytest.fixture
def events() -> list[tuple[str, dict[str, Any]]]:
    """What the tasks told of, in order."""
    return []


@pytest.fixture
def tasks(cloud: Cloud, tmp_path: Path, events: list[tuple[str, dict[str, Any]]]) -> Iterator[LocalTasks]:
    tasks = LocalTasks(
        TaskSurroundings(directory=tmp_path, client=cloud.client, environment={"PATH": "/usr/bin:/bin"}),
        lambda name, **fields: events.append((name, fields)),
    )
    with bridged(tasks):
        yield tasks
        tasks.close()


def subnet(cloud: Cloud, *, dns_host_names: bool = True) -> str:
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    if dns_host_names:
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    return ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]


def define_task(cloud: Cloud, program: str = "", **settings: Any) -> None:
    cloud.client("logs").create_log_group(logGroupName="/toy")
    cloud.client("ecs").create_cluster(clusterName="toy")
    container = {
        "name": "toy",
        "image": "toy@sha256:" + "0" * 64,
        "command": [sys.executable, "-c", program],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {"awslogs-group": "/toy", "awslogs-region": REGION, "awslogs-stream-prefix": "toy"},
        },
        **settings,
    }
    cloud.client("ecs").register_task_definition(
        family="toy",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[container],
    )


def run_task(cloud: Cloud, subnet_id: str, **overrides: Any) -> str:
    network = {"awsvpcConfiguration": {"subnets": [subnet_id], "securityGroups": []}}
    started = cloud.client("ecs").run_task(
        cluster="toy",
        taskDefinition="toy",
        launchType="FARGATE",
        networkConfiguration=network,
        overrides=overrides,
    )
    return started["tasks"][0]["taskArn"]


def stopped(cloud: Cloud, task: str) -> dict[str, Any]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        description = cloud.client("ecs").describe_tasks(cluster="toy", tasks=[task])["tasks"][0]
        if description["lastStatus"] == "STOPPED":
            return description
        time.sleep(0.05)
    raise AssertionError("the task did not stop")
