"""The transform Job: a template that is data, and the rules that it mounts."""

from pathlib import Path
from typing import Any

import yaml
from etl_runtime import contract

from tests.infra.engine import Deployment
from tests.infra.hardening import CONTAINER_SECURITY, POD_SECURITY, labels

ACCOUNT = "974531504241"
SALT_ARN = f"arn:aws:secretsmanager:eu-west-2:{ACCOUNT}:secret:postgres-etl-scrub-salt-prod-AbCdEf"
THROUGH_S3 = {"kms:ViaService": "s3.eu-west-2.amazonaws.com"}


def job(deployment: Deployment) -> dict[str, Any]:
    """The Job template as the dispatcher reads it."""
    return yaml.safe_load(
        deployment.one("v1:ConfigMap", "transform-dispatcher-job-template").inputs["data"]["job.yaml"]
    )


def test_no_job_is_registered_for_a_registered_one_would_run_at_deployment(prod: Deployment) -> None:
    assert not [resource for resource in prod.resources if resource.type.endswith((":Job", ":CronJob"))]


def test_the_rules_in_the_cluster_are_the_files_of_the_scrub_directory(prod: Deployment, rules: Path) -> None:
    config = prod.one("v1:ConfigMap", "transform-scrub-rules").inputs
    assert config["data"] == {"columns.yaml": "tables: {}\n", "10_names.sql": "-- nothing\n"}
    assert config["metadata"]["annotations"] == {"postgres-etl/rules-sha256": contract.rules_digest(rules)}


def test_the_job_template_is_this(prod: Deployment) -> None:
    image = f"{ACCOUNT}.dkr.ecr.eu-west-2.amazonaws.com/postgres-etl@sha256:{'2' * 64}"
    size = {"cpu": "4000m", "memory": "8192Mi", "ephemeral-storage": "201Gi"}
    assert job(prod) == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"namespace": "postgres-etl", "labels": labels("transform")},
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 2,
            "activeDeadlineSeconds": 28800,
            "ttlSecondsAfterFinished": 86400,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": "transform",
                            "operator": "In",
                            "values": [64, 65, 66, 69, 70, 73, 77, 78],
                        },
                    },
                ]
            },
            "template": {
                "metadata": {
                    "labels": labels("transform"),
                    "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
                },
                "spec": {
                    "serviceAccountName": "transform",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 120,
                    "securityContext": POD_SECURITY,
                    "containers": [
                        {
                            "name": "transform",
                            "image": image,
                            "command": ["python", "-m", "etl_runtime.transform"],
                            "env": [
                                {"name": "AWS_REGION", "value": "eu-west-2"},
                                {"name": "ENVIRONMENT_NAME", "value": "prod"},
                                {"name": "EXTRACT_BUCKET", "value": f"postgres-etl-extract-prod-{ACCOUNT}"},
                                {"name": "EXTRACT_BUCKET_OWNER", "value": ACCOUNT},
                                {"name": "IMAGE", "value": image},
                                {
                                    "name": "LOAD_BUCKETS",
                                    "value": '{"dev": {"bucket": "postgres-etl-load-dev-473251818902", '
                                    '"owner": "473251818902"}, "sbx": {"bucket": '
                                    '"postgres-etl-load-sbx-665505400356", "owner": "665505400356"}}',
                                },
                                {"name": "MOUNT_POINT", "value": "/scratch"},
                                {"name": "PROOF_SCOPE", "value": "changed"},
                                {"name": "SCRUB_DIRECTORY", "value": "/etc/postgres-etl/scrub"},
                                {"name": "SCRUB_SALT_SECRET_ID", "value": SALT_ARN},
                                {"name": "TMPDIR", "value": "/scratch"},
                                {"name": "TRANSFORM_JOBS", "value": "4"},
                            ],
                            "securityContext": CONTAINER_SECURITY,
                            "resources": {"requests": size, "limits": size},
                            "terminationMessagePolicy": "FallbackToLogsOnError",
                            "volumeMounts": [
                                {"name": "scratch", "mountPath": "/scratch"},
                                {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - a mount of the pod's own
                                {"name": "scrub", "mountPath": "/etc/postgres-etl/scrub", "readOnly": True},
                            ],
                        }
                    ],
                    "volumes": [
                        {"name": "scratch", "emptyDir": {"sizeLimit": "200Gi"}},
                        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}},
                        {"name": "scrub", "configMap": {"name": "scrub-rules"}},
                    ],
                },
            },
        },
    }
