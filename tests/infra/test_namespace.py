"""The namespace of the pipeline: bounded, and closed but for a few ways."""

from typing import Any

from tests.infra.conftest import Deploy
from tests.infra.engine import Deployment


def labels(component: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "postgres-etl", "app.kubernetes.io/component": component}


def test_the_namespace_takes_restricted_pods_alone(prod: Deployment) -> None:
    assert prod.one("v1:Namespace").inputs["metadata"] == {
        "name": "postgres-etl",
        "labels": {
            "app.kubernetes.io/name": "postgres-etl",
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/audit": "restricted",
            "pod-security.kubernetes.io/warn": "restricted",
        },
    }


def test_the_quota_bounds_running_pods_and_kept_jobs(run: Deploy) -> None:
    assert run("prod", maxActiveJobs=7).one("ResourceQuota").inputs["spec"] == {
        "hard": {"pods": "9", "count/jobs.batch": "57"}
    }


def test_the_namespace_is_closed_but_for_these_ways(prod: Deployment) -> None:
    https = [{"protocol": "TCP", "port": 443}]

    def egress(*cidrs: str) -> list[dict[str, Any]]:
        return [{"to": [{"ipBlock": {"cidr": cidr}} for cidr in cidrs], "ports": https}]

    policies = {policy.inputs["metadata"]["name"]: policy.inputs["spec"] for policy in prod.all("v1:NetworkPolicy")}
    assert policies == {
        "default-deny": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        "allow-dns": {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [
                {
                    "to": [
                        {
                            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                        }
                    ],
                    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
                }
            ],
        },
        "allow-aws-endpoints": {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": egress("10.30.48.0/24", "10.30.49.0/24"),
        },
        "allow-s3": {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": egress("192.0.2.0/25", "192.0.2.128/25"),
        },
        "allow-dispatcher-to-api": {
            "podSelector": {"matchLabels": labels("dispatcher")},
            "policyTypes": ["Egress"],
            "egress": egress("10.30.32.0/24", "10.30.33.0/24"),
        },
        "allow-scraping-dispatcher": {
            "podSelector": {"matchLabels": labels("dispatcher")},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
                    "ports": [{"protocol": "TCP", "port": 8080}],
                }
            ],
        },
    }
