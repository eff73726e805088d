"""Network policies: nothing in, nothing out, then the few ways by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from etl_runtime import contract

from etl_infra.documents.dispatcher_pod import METRICS_PORT
from etl_infra.naming import labels

EVERY_POD: Final[dict[str, Any]] = {}
POD_IDENTITY_AGENT: Final = "169.254.170.23/32"
HTTPS: Final = [{"protocol": "TCP", "port": 443}]


@dataclass(frozen=True, kw_only=True)
class Ways:
    """Address ranges and namespaces that pods may reach or be reached from.

    `api_cidrs` are those of the cluster's API, the address of its service among them; `node_dns_address` is that of a
    DNS cache on the nodes, None where pods ask kube-dns.
    """

    aws_endpoint_cidrs: Sequence[str]
    s3_cidrs: pulumi.Input[Sequence[str]]
    api_cidrs: Sequence[str]
    node_dns_address: str | None
    monitoring_namespace: str
    pod_identity: bool


def network_policies(ways: Ways) -> dict[str, dict[str, Any]]:
    """Name → spec. Only the dispatcher speaks to the cluster's API; no pod reaches a database or another pod."""
    dispatcher = {"matchLabels": labels(contract.DISPATCHER_CONTAINER)}
    agent: dict[str, dict[str, Any]] = {
        "allow-pod-identity-agent": {
            "podSelector": EVERY_POD,
            "policyTypes": ["Egress"],
            "egress": [{"to": _blocks([POD_IDENTITY_AGENT]), "ports": [{"protocol": "TCP", "port": 80}]}],
        }
    }
    # EKS's CNI lets a pod that is selected be reached by its service's address as well:
    # https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html
    dns: list[dict[str, Any]] = [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        },
        *_blocks([f"{ways.node_dns_address}/32"] if ways.node_dns_address else []),
    ]
    return {
        **(agent if ways.pod_identity else {}),
        "default-deny": {"podSelector": EVERY_POD, "policyTypes": ["Ingress", "Egress"]},
        "allow-dns": {
            "podSelector": EVERY_POD,
            "policyTypes": ["Egress"],
            "egress": [{"to": dns, "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}],
        },
        "allow-aws-endpoints": {
            "podSelector": EVERY_POD,
            "policyTypes": ["Egress"],
            "egress": [{"to": _blocks(ways.aws_endpoint_cidrs), "ports": HTTPS}],
        },
        "allow-s3": {
            "podSelector": EVERY_POD,
            "policyTypes": ["Egress"],
            "egress": [{"to": pulumi.Output.from_input(ways.s3_cidrs).apply(_blocks), "ports": HTTPS}],
        },
        "allow-dispatcher-to-api": {
            "podSelector": dispatcher,
            "policyTypes": ["Egress"],
            "egress": [{"to": _blocks(ways.api_cidrs), "ports": HTTPS}],
        },
        "allow-scraping-dispatcher": {
            "podSelector": dispatcher,
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [
                        {
                            "namespaceSelector": {
                                "matchLabels": {"kubernetes.io/metadata.name": ways.monitoring_namespace}
                            }
                        }
                    ],
                    "ports": [{"protocol": "TCP", "port": METRICS_PORT}],
                }
            ],
        },
    }


def _blocks(cidrs: Sequence[str]) -> list[dict[str, dict[str, str]]]:
    return [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]
