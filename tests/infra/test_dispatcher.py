"""The dispatcher: one hardened replica, rolled by a new template."""

import copy

from tests.infra.conftest import Deploy
from tests.infra.engine import Deployment
from tests.infra.hardening import CONTAINER_SECURITY, POD_SECURITY, labels

ACCOUNT = "974531504241"


def test_the_dispatcher_is_one_hardened_replica_that_is_never_two(prod: Deployment) -> None:
    spec = copy.deepcopy(prod.one("v1:Deployment").inputs["spec"])
    size = {"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "1Gi"}
    (annotation,) = spec["template"]["metadata"].pop("annotations")
    assert annotation == "postgres-etl/job-template-sha256"
    assert spec == {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": labels("dispatcher")},
        "template": {
            "metadata": {"labels": labels("dispatcher")},
            "spec": {
                "serviceAccountName": "dispatcher",
                "automountServiceAccountToken": True,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": 60,
                "securityContext": POD_SECURITY,
                "containers": [
                    {
                        "name": "dispatcher",
                        "image": f"{ACCOUNT}.dkr.ecr.eu-west-2.amazonaws.com/postgres-etl@sha256:{'3' * 64}",
                        "command": ["python", "-m", "etl_runtime.dispatcher"],
                        "env": [
                            {"name": "AWS_REGION", "value": "eu-west-2"},
                            {
                                "name": "DEAD_LETTER_QUEUE_URL",
                                "value": f"https://sqs.eu-west-2.amazonaws.com/{ACCOUNT}/postgres-etl-s3-dlq",
                            },
                            {"name": "ENVIRONMENT_NAME", "value": "prod"},
                            {"name": "EXTRACT_BUCKET", "value": f"postgres-etl-extract-prod-{ACCOUNT}"},
                            {"name": "EXTRACT_BUCKET_OWNER", "value": ACCOUNT},
                            {"name": "JOB_NAMESPACE", "value": "postgres-etl"},
                            {"name": "JOB_TEMPLATE", "value": "/etc/postgres-etl/job/job.yaml"},
                            {
                                "name": "LOAD_BUCKETS",
                                "value": '{"dev": {"bucket": "postgres-etl-load-dev-473251818902", '
                                '"owner": "473251818902"}, "sbx": {"bucket": '
                                '"postgres-etl-load-sbx-665505400356", "owner": "665505400356"}}',
                            },
                            {"name": "MAX_ACTIVE_JOBS", "value": "3"},
                            {"name": "METRICS_PORT", "value": "8080"},
                            {
                                "name": "QUEUE_URL",
                                "value": f"https://sqs.eu-west-2.amazonaws.com/{ACCOUNT}/postgres-etl-s3",
                            },
                        ],
                        "ports": [{"name": "metrics", "containerPort": 8080}],
                        "securityContext": CONTAINER_SECURITY,
                        "resources": {"requests": size, "limits": size},
                        "volumeMounts": [{"name": "job", "mountPath": "/etc/postgres-etl/job", "readOnly": True}],
                        "livenessProbe": {
                            "httpGet": {"path": "/healthz", "port": "metrics"},
                            "periodSeconds": 30,
                            "timeoutSeconds": 5,
                        },
                        "readinessProbe": {
                            "httpGet": {"path": "/readyz", "port": "metrics"},
                            "periodSeconds": 10,
                            "timeoutSeconds": 5,
                        },
                    }
                ],
                "volumes": [{"name": "job", "configMap": {"name": "transform-job"}}],
            },
        },
    }


def test_a_changed_job_template_rolls_the_dispatcher(run: Deploy, prod: Deployment) -> None:
    def annotations(deployment: Deployment) -> dict[str, str]:
        return deployment.one("v1:Deployment").inputs["spec"]["template"]["metadata"]["annotations"]

    assert annotations(run("prod", transformMemoryMib=16384)) != annotations(prod)
