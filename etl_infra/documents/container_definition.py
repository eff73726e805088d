"""The container of a Fargate task as data: image, command, environment, and everything it is not allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from etl_runtime.contract import SCRATCH_VOLUME, Env

from etl_infra.documents.iam import Text

RUNTIME_UID: Final = 10001
SCRATCH_PATH: Final = "/scratch"
TEMPORARY_FILES: Final = {"TMPDIR": SCRATCH_PATH}
"""Programs that ask their platform for a temporary file find the only place that is writable."""

STOP_TIMEOUT_SECONDS: Final = 120  # Fargate's longest: time to end children and abort uploads
LOG_BUFFER: Final = "25m"


@dataclass(frozen=True, kw_only=True)
class Container:
    """What distinguishes one container from another. `secrets` are ARNs, read by ECS and never seen here."""

    name: str
    image: str
    program: str
    cpu: int
    memory_mib: int
    environment: Mapping[Env, Text]
    secrets: Mapping[Env, Text] = field(default_factory=dict[Env, Text])
    log_group: Text
    region: str
    exec_enabled: bool


def container_definition(container: Container) -> dict[str, Any]:
    """The definition: not root, no capability, read-only but for the scratch volume, no port, no shell."""
    environment = {**container.environment, **TEMPORARY_FILES}
    return {
        "name": container.name,
        "image": container.image,
        "command": ["python", "-m", container.program],
        "essential": True,
        "cpu": container.cpu,
        "memory": container.memory_mib,
        "user": f"{RUNTIME_UID}:{RUNTIME_UID}",
        "privileged": False,
        # ECS Exec writes its agent into the root file system
        "readonlyRootFilesystem": not container.exec_enabled,
        "linuxParameters": {"capabilities": {"drop": ["ALL"]}, "initProcessEnabled": True},
        "mountPoints": [{"sourceVolume": SCRATCH_VOLUME, "containerPath": SCRATCH_PATH, "readOnly": False}],
        "environment": [{"name": str(name), "value": environment[name]} for name in sorted(environment)],
        "secrets": [{"name": str(name), "valueFrom": container.secrets[name]} for name in sorted(container.secrets)],
        "stopTimeout": STOP_TIMEOUT_SECONDS,
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": container.log_group,
                "awslogs-region": container.region,
                "awslogs-stream-prefix": container.name,
                # a log outage must not stall a dump half-way: lines beyond the buffer are lost instead
                "mode": "non-blocking",
                "max-buffer-size": LOG_BUFFER,
            },
        },
    }
