"""What the cluster lets in: the ways of the network, and the images and service accounts of the namespace."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from tests.infra.checks.registry import check, each
from tests.infra.engine import Deployment

API_RANGES = [ipaddress.ip_network(cidr) for cidr in ("172.20.0.1/32", "10.10.32.0/24", "10.10.33.0/24")]
"""Where the settings of the stack that is checked say that the cluster's API is."""
DISPATCHER = {"app.kubernetes.io/name": "postgres-etl", "app.kubernetes.io/component": "dispatcher"}
REPOSITORY = "473251818902.dkr.ecr.eu-west-2.amazonaws.com/postgres-etl@sha256:"


def ranges(value: Any) -> Iterator[str]:
    """Every address range in a policy."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "cidr":
                yield inner
            else:
                yield from ranges(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from ranges(inner)


@check("the namespace is closed unless a way is named")
def _(d: Deployment) -> Iterator[str]:
    wanted = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if wanted not in [r.inputs["spec"] for r in d.all("v1:NetworkPolicy")]:
        yield "no default deny"


@check("no pod reaches the world, the node's metadata or a database")
def _(d: Deployment) -> Iterator[str]:
    agent = ipaddress.ip_network("169.254.170.23/32")
    for policy in d.all("v1:NetworkPolicy"):
        for cidr in ranges(policy.inputs["spec"].get("egress", [])):
            network = ipaddress.ip_network(cidr)
            if network.prefixlen < 16 or (network.is_link_local and network != agent):
                yield f"{policy.name}: {cidr}"
        for rule in policy.inputs["spec"].get("egress", []):
            if not rule.get("to") or not {port["port"] for port in rule["ports"]} <= {443, 53, 80}:
                yield policy.name


def reach(d: Deployment, component: str) -> list[Any]:
    """The address ranges that the pods of a program may go to, whichever policies say so."""
    labels = {"app.kubernetes.io/name": "postgres-etl", "app.kubernetes.io/component": component}
    selecting = (
        policy.inputs["spec"]
        for policy in d.all("v1:NetworkPolicy")
        if policy.inputs["spec"]["podSelector"].get("matchLabels", {}).items() <= labels.items()
    )
    return [ipaddress.ip_network(cidr) for spec in selecting for cidr in ranges(spec.get("egress", []))]


@check("the dispatcher alone reaches the cluster's API")
def _(d: Deployment) -> Iterator[str]:
    transform = reach(d, "transform")
    for api in API_RANGES:
        if api not in reach(d, "dispatcher"):
            yield f"the dispatcher does not reach {api}"
        yield from (f"the transform reaches {network}" for network in transform if network.overlaps(api))


@check("a pod asks the cluster's own DNS alone")
def _(d: Deployment) -> Iterator[str]:
    kube_dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    ports = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    wanted = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [kube_dns], "ports": ports}]}
    if d.one("v1:NetworkPolicy", "transform-cluster-allow-dns").inputs["spec"] != wanted:
        yield "DNS"


@check("nobody but the monitoring enters a pod")
def _(d: Deployment) -> Iterator[str]:
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    wanted = {
        "podSelector": {"matchLabels": DISPATCHER},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [monitoring], "ports": [{"protocol": "TCP", "port": 8080}]}],
    }
    for policy in d.all("v1:NetworkPolicy"):
        spec = policy.inputs["spec"]
        if spec.get("ingress") and spec != wanted:
            yield policy.name


@check("a way out is of TCP, and to addresses")
def _(d: Deployment) -> Iterator[str]:
    for policy in d.all("v1:NetworkPolicy"):
        spec = policy.inputs["spec"]
        if not spec.get("egress") or policy.name.endswith("-allow-dns"):
            continue
        if spec["policyTypes"] != ["Egress"] or spec["podSelector"] not in ({}, {"matchLabels": DISPATCHER}):
            yield policy.name
        for rule in spec["egress"]:
            is_named = all(set(peer.get("ipBlock", {})) == {"cidr"} for peer in rule.get("to", []))
            if not is_named or any(port.get("protocol") != "TCP" for port in rule["ports"]):
                yield policy.name


def rule(resources: list[str], operations: list[str], group: str) -> dict[str, Any]:
    """What an admission policy judges."""
    one = {"apiGroups": [group], "apiVersions": ["v1"], "resources": resources, "operations": operations}
    return {"resourceRules": [one]}


@check("the cluster refuses images and service accounts that are not the pipeline's")
def _(d: Deployment) -> Iterator[str]:
    pinned = f'variables.pod.containers.all(container, container.image == "{REPOSITORY}{"2" * 64}")'
    ours = f'["{REPOSITORY}"].exists(repository, container.image.startsWith(repository))'
    wanted = {
        "postgres-etl-jobs": (
            rule(["jobs"], ["CREATE"], "batch"),
            "object.spec.template.spec",
            ['variables.pod.serviceAccountName == "transform"', pinned, "!has(variables.pod.initContainers)"],
        ),
        "postgres-etl-pods": (
            rule(["pods", "pods/ephemeralcontainers"], ["CREATE", "UPDATE"], ""),
            "object.spec",
            [
                'variables.pod.serviceAccountName in ["transform", "dispatcher"]',
                f"variables.pod.containers.all(container, {ours})",
                "!has(variables.pod.initContainers)",
                "!has(variables.pod.ephemeralContainers)",
            ],
        ),
    }
    found = {
        r.inputs["metadata"].get("name"): (
            r.inputs["spec"]["matchConstraints"],
            r.inputs["spec"]["variables"][0].get("expression"),
            [validation.get("expression") for validation in r.inputs["spec"]["validations"]],
        )
        for r in d.all("ValidatingAdmissionPolicy")
        if [variable.get("name") for variable in r.inputs["spec"]["variables"]] == ["pod"]
    }
    yield from (name for name, says in wanted.items() if found.get(name) != says)


@check("what the cluster cannot judge it refuses")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "ValidatingAdmissionPolicy", lambda r: r.inputs["spec"].get("failurePolicy") == "Fail")


@check("what the cluster judges it denies, in this namespace")
def _(d: Deployment) -> Iterator[str]:
    selected = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "postgres-etl"}}}
    bound = {
        r.inputs["spec"].get("policyName")
        for r in d.all("ValidatingAdmissionPolicyBinding")
        if r.inputs["spec"]["validationActions"] == ["Deny", "Audit"] and r.inputs["spec"]["matchResources"] == selected
    }
    yield from {r.inputs["metadata"].get("name") for r in d.all("ValidatingAdmissionPolicy")} - bound
