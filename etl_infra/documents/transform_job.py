"""The template of the transform Job: all of it but the dump's identity, which the dispatcher stamps on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from etl_runtime import contract
from etl_runtime.contract import Env, ExitCode

from etl_infra.documents.container_definition import SCRATCH_PATH, TEMPORARY_FILES
from etl_infra.documents.iam import Text
from etl_infra.documents.pod import CONTAINER_SECURITY, POD_SECURITY, PodSize, environment, resources

SERVICE_ACCOUNT: Final = contract.TRANSFORM_CONTAINER
SCRUB_PATH: Final = "/etc/postgres-etl/scrub"
SHARED_MEMORY_MIB: Final = 256
RETRIES: Final = 2
KEPT_AFTER_END_SECONDS: Final = 24 * 3600  # long enough for whoever follows it, short enough for the nodes' disks
GRACE_SECONDS: Final = 120
PERMANENT_EXITS: Final = [code.value for code in ExitCode if 64 <= code <= 78 and code is not ExitCode.TRANSIENT]


@dataclass(frozen=True, kw_only=True)
class TransformJob:
    """Size of the pod, the part of it that is scratch disk (GiB), time of all attempts (seconds), its environment."""

    namespace: str
    image: str
    scrub_config_map: str
    size: PodSize
    scratch_gib: int
    timeout_seconds: int
    environment: Mapping[Env, Text]


def job_template(job: TransformJob) -> dict[str, Any]:
    """A batch/v1 Job without name, annotations and the variables of `contract.DISPATCHED_ENV`."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"namespace": job.namespace, "labels": dict(contract.TRANSFORM_LABELS)},
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": RETRIES,
            "activeDeadlineSeconds": job.timeout_seconds,
            "ttlSecondsAfterFinished": KEPT_AFTER_END_SECONDS,
            # the next pod starts when the last one is gone, so that two never fill one disk or write one dump
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    # a drained node says nothing about the dump
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": contract.TRANSFORM_CONTAINER,
                            "operator": "In",
                            "values": PERMANENT_EXITS,
                        },
                    },
                ]
            },
            "template": {
                "metadata": {
                    "labels": dict(contract.TRANSFORM_LABELS),
                    "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
                },
                "spec": _pod(job),
            },
        },
    }


def _pod(job: TransformJob) -> dict[str, Any]:
    return {
        "serviceAccountName": SERVICE_ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": dict(POD_SECURITY),
        "containers": [
            {
                "name": contract.TRANSFORM_CONTAINER,
                "image": job.image,
                "command": ["python", "-m", "etl_runtime.transform"],
                "env": environment({**job.environment, **TEMPORARY_FILES}),
                "securityContext": dict(CONTAINER_SECURITY),
                "resources": resources(job.size),
                # what it said last stands in the pod's status, also where its log may not be read
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [
                    {"name": contract.SCRATCH_VOLUME, "mountPath": SCRATCH_PATH},
                    {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - a mount of the pod's own
                    {"name": "scrub", "mountPath": SCRUB_PATH, "readOnly": True},
                ],
            }
        ],
        "volumes": [
            # the most that a dump gets: the dispatcher takes off what a smaller one does not need
            {"name": contract.SCRATCH_VOLUME, "emptyDir": {"sizeLimit": f"{job.scratch_gib}Gi"}},
            # Postgres keeps its parallel workers' memory there; a container's own is 64 MiB
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": f"{SHARED_MEMORY_MIB}Mi"}},
            {"name": "scrub", "configMap": {"name": job.scrub_config_map}},
        ],
    }
