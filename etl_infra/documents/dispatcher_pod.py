"""The dispatcher's Deployment as data: one replica, never two, probed on its metrics port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from etl_runtime import contract
from etl_runtime.contract import Env

from etl_infra.documents.iam import Text
from etl_infra.documents.pod import CONTAINER_SECURITY, POD_SECURITY, PodSize, environment, resources
from etl_infra.naming import labels

SERVICE_ACCOUNT: Final = contract.DISPATCHER_CONTAINER
METRICS_PORT: Final = 8080
JOB_PATH: Final = "/etc/postgres-etl/job"
JOB_FILE: Final = "job.yaml"
GRACE_SECONDS: Final = 60
SIZE: Final = PodSize(cpu_millis=100, memory_mib=256, storage_gib=1)
TEMPLATE_DIGEST_ANNOTATION: Final = "postgres-etl/job-template-sha256"


@dataclass(frozen=True, kw_only=True)
class DispatcherPod:
    """The image, the ConfigMap that holds the Job template, the digest of that template, and the environment."""

    image: str
    job_config_map: str
    template_digest: Text
    environment: Mapping[Env, Text]


def deployment_spec(pod: DispatcherPod) -> dict[str, Any]:
    """The spec of the Deployment. A new Job template rolls it, since the annotation changes with it."""
    return {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": labels(contract.DISPATCHER_CONTAINER)},
        "template": {
            "metadata": {
                "labels": labels(contract.DISPATCHER_CONTAINER),
                "annotations": {TEMPLATE_DIGEST_ANNOTATION: pod.template_digest},
            },
            "spec": {
                "serviceAccountName": SERVICE_ACCOUNT,
                "automountServiceAccountToken": True,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": GRACE_SECONDS,
                "securityContext": dict(POD_SECURITY),
                "containers": [_container(pod)],
                "volumes": [{"name": "job", "configMap": {"name": pod.job_config_map}}],
            },
        },
    }


def _container(pod: DispatcherPod) -> dict[str, Any]:
    return {
        "name": contract.DISPATCHER_CONTAINER,
        "image": pod.image,
        "command": ["python", "-m", "etl_runtime.dispatcher"],
        "env": environment(pod.environment),
        "ports": [{"name": "metrics", "containerPort": METRICS_PORT}],
        "securityContext": dict(CONTAINER_SECURITY),
        "resources": resources(SIZE),
        "volumeMounts": [{"name": "job", "mountPath": JOB_PATH, "readOnly": True}],
        # alive while its loop turns, ready while queue and cluster answer
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "metrics"}, "periodSeconds": 30, "timeoutSeconds": 5},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "metrics"}, "periodSeconds": 10, "timeoutSeconds": 5},
    }
