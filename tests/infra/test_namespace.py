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


def test_the_quota_is_what_the_jobs_and_the_dispatcher_take_and_no_more(run: Deploy) -> None:
    size = {"transformCpuMillis": 2000, "transformMemoryMib": 4096, "transformStorageGib": 100}
    assert run("prod", maxActiveJobs=7, **size).one("ResourceQuota").inputs["spec"] == {
        "hard": {
            "pods": "9",
            "count/jobs.batch": "57",
            "requests.cpu": "14200m",
            "limits.cpu": "14200m",
            "requests.memory": "29184Mi",
            "limits.memory": "29184Mi",
            "requests.ephemeral-storage": "709Gi",
            "limits.ephemeral-storage": "709Gi",
            "persistentvolumeclaims": "0",
            "services": "0",
        }
    }


def test_the_cluster_refuses_jobs_and_pods_that_are_not_the_pipelines(prod: Deployment) -> None:
    repository = "974531504241.dkr.ecr.eu-west-2.amazonaws.com/postgres-etl@sha256:"
    no_init_container = "!has(variables.pod.initContainers)"
    policies = {
        policy.inputs["metadata"]["name"]: policy.inputs["spec"] for policy in prod.all("ValidatingAdmissionPolicy")
    }
    assert policies == {
        "postgres-etl-jobs": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"], "operations": ["CREATE"]}
                ]
            },
            "variables": [{"name": "pod", "expression": "object.spec.template.spec"}],
            "validations": [
                {
                    "expression": 'variables.pod.serviceAccountName == "transform"',
                    "message": "a Job runs as transform",
                },
                {
                    "expression": "variables.pod.containers.all(container, "
                    f'container.image == "{repository}{"2" * 64}")',
                    "message": "a Job runs the deployed image",
                },
                {"expression": no_init_container, "message": "a Job has no init container"},
            ],
        },
        "postgres-etl-pods": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "resources": ["pods", "pods/ephemeralcontainers"],
                        "operations": ["CREATE", "UPDATE"],
                    }
                ]
            },
            "variables": [{"name": "pod", "expression": "object.spec"}],
            "validations": [
                {
                    "expression": 'variables.pod.serviceAccountName in ["transform", "dispatcher"]',
                    "message": "a pod runs as transform or dispatcher",
                },
                {
                    "expression": f'variables.pod.containers.all(container, ["{repository}"]'
                    ".exists(repository, container.image.startsWith(repository)))",
                    "message": "a pod runs an image of the pipeline by its digest",
                },
                {"expression": no_init_container, "message": "a pod has no init container"},
                {
                    "expression": "!has(variables.pod.ephemeralContainers)",
                    "message": "nobody attaches a container to a pod",
                },
            ],
        },
    }
    bindings = {b.inputs["metadata"]["name"]: b.inputs["spec"] for b in prod.all("ValidatingAdmissionPolicyBinding")}
    assert bindings == {
        name: {
            "policyName": name,
            "validationActions": ["Deny", "Audit"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "postgres-etl"}}},
        }
        for name in policies
    }


def test_pods_reach_the_pod_identity_agent_only_where_it_gives_them_their_roles(run: Deploy, prod: Deployment) -> None:
    assert "169.254" not in repr(prod.resources)
    identity = run("prod", eksOidcProviderArn=None, eksClusterName="platform")
    assert identity.one("NetworkPolicy", "transform-cluster-allow-pod-identity-agent").inputs["spec"] == {
        "podSelector": {},
        "policyTypes": ["Egress"],
        "egress": [{"to": [{"ipBlock": {"cidr": "169.254.170.23/32"}}], "ports": [{"protocol": "TCP", "port": 80}]}],
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
            # in front the address of its service, which is all that a policy sees where egress is judged first
            "egress": egress("172.20.0.1/32", "10.30.32.0/24", "10.30.33.0/24"),
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


def test_pods_ask_the_dns_cache_of_the_node_where_there_is_one(run: Deploy) -> None:
    cached = run("prod", nodeLocalDnsAddress="169.254.20.10").one("v1:NetworkPolicy", "transform-cluster-allow-dns")
    (egress,) = cached.inputs["spec"]["egress"]
    assert egress["to"][1:] == [{"ipBlock": {"cidr": "169.254.20.10/32"}}]
    assert [port["port"] for port in egress["ports"]] == [53, 53]
