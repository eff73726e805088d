"""The namespace, its pods and its rights in the cluster."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from tests.infra.checks.registry import check, each
from tests.infra.checks.tasks import BY_DIGEST
from tests.infra.engine import Deployment

API_RANGES = [ipaddress.ip_network(cidr) for cidr in ("172.20.0.1/32", "10.10.32.0/24", "10.10.33.0/24")]
"""Where the settings of the stack that is checked say that the cluster's API is."""
LEVELS = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}


def job(d: Deployment) -> dict[str, Any]:
    """The Job template as the dispatcher reads it."""
    return _parsed(d.one("v1:ConfigMap", "transform-dispatcher-job-template").inputs["data"]["job.yaml"])


@functools.cache
def _parsed(text: str) -> dict[str, Any]:
    return yaml.safe_load(text)


def pods(d: Deployment) -> Iterator[tuple[str, dict[str, Any]]]:
    """The specs of the pods that run in the namespace."""
    yield "dispatcher", d.one("v1:Deployment").inputs["spec"]["template"]["spec"]
    yield "transform", job(d)["spec"]["template"]["spec"]


def of_each_container(d: Deployment, holds: Callable[[dict[str, Any]], Any]) -> Iterator[str]:
    """The pods with a container for which something does not hold."""
    yield from (name for name, pod in pods(d) if not all(map(holds, pod["containers"])))


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


@check("the namespace takes restricted pods alone")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "v1:Namespace", lambda r: LEVELS.items() <= r.inputs["metadata"]["labels"].items())


@check("the namespace is bounded in Jobs, pods, CPU, memory and disk")
def _(d: Deployment) -> Iterator[str]:
    wanted = {"count/jobs.batch", "pods", "persistentvolumeclaims", "services"} | {
        f"{kind}.{what}" for kind in ("requests", "limits") for what in ("cpu", "memory", "ephemeral-storage")
    }
    return each(d, "ResourceQuota", lambda r: wanted <= set(r.inputs["spec"]["hard"]))


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


@check("the dispatcher creates and sees Jobs and has no other right")
def _(d: Deployment) -> Iterator[str]:
    wanted = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list"]}]
    yield from each(d, "v1:Role", lambda r: r.inputs["rules"] == wanted)
    yield from (r.name for kind in ("v1:ClusterRole", "v1:ClusterRoleBinding") for r in d.all(kind))
    yield from each(d, "v1:RoleBinding", lambda r: [s["name"] for s in r.inputs["subjects"]] == ["dispatcher"])


@check("the cluster refuses images and service accounts that are not the pipeline's")
def _(d: Deployment) -> Iterator[str]:
    image = job(d)["spec"]["template"]["spec"]["containers"][0]["image"]
    rules = {
        r.inputs["metadata"]["name"].rpartition("-")[2]: " ".join(
            validation["expression"] for validation in r.inputs["spec"]["validations"]
        )
        for r in d.all("ValidatingAdmissionPolicy")
    }
    if not (f'container.image == "{image}"' in rules.get("jobs", "") or not re.fullmatch(BY_DIGEST, image)):
        yield "the image of Jobs is not pinned"
    if 'serviceAccountName == "transform"' not in rules.get("jobs", ""):
        yield "the service account of Jobs is not pinned"
    for pinned in ("container.image.startsWith(repository)", "serviceAccountName in ", "!has(variables.pod.ephemeral"):
        if pinned not in rules.get("pods", ""):
            yield f"pods: {pinned}"


@check("what the cluster cannot judge it refuses")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "ValidatingAdmissionPolicy", lambda r: r.inputs["spec"].get("failurePolicy") == "Fail")


@check("what the cluster judges it denies, in this namespace")
def _(d: Deployment) -> Iterator[str]:
    namespace = d.one("v1:Namespace").inputs["metadata"]["name"]
    bound = {
        r.inputs["spec"]["policyName"]
        for r in d.all("ValidatingAdmissionPolicyBinding")
        if "Deny" in r.inputs["spec"]["validationActions"]
        and list(r.inputs["spec"]["matchResources"]["namespaceSelector"]["matchLabels"].values()) == [namespace]
    }
    yield from {r.inputs["metadata"]["name"] for r in d.all("ValidatingAdmissionPolicy")} - bound


@check("the dispatcher is one and never two")
def _(d: Deployment) -> Iterator[str]:
    return each(
        d,
        "v1:Deployment",
        lambda r: (r.inputs["spec"].get("replicas"), r.inputs["spec"].get("strategy")) == (1, {"type": "Recreate"}),
    )


@check("the dispatcher is probed for life and for readiness, by two questions")
def _(d: Deployment) -> Iterator[str]:
    for container in d.one("v1:Deployment").inputs["spec"]["template"]["spec"]["containers"]:
        probes = [
            container.get(f"{kind}Probe", {}).get("httpGet", {}).get("path") for kind in ("liveness", "readiness")
        ]
        if None in probes or probes[0] == probes[1]:
            yield container["name"]


@check("a pod's image is named by its digest")
def _(d: Deployment) -> Iterator[str]:
    return of_each_container(d, lambda c: re.fullmatch(BY_DIGEST, c["image"]))


@check("a pod gets what it asks for, and no more")
def _(d: Deployment) -> Iterator[str]:
    wanted = {"cpu", "memory", "ephemeral-storage"}
    return of_each_container(
        d,
        lambda c: (
            c["resources"].get("requests") == c["resources"].get("limits") and set(c["resources"]["limits"]) == wanted
        ),
    )


@check("a pod runs as nobody that the node knows, with the default seccomp profile")
def _(d: Deployment) -> Iterator[str]:
    for name, pod in pods(d):
        context = pod.get("securityContext", {})
        if not (
            context.get("runAsNonRoot") is True
            and context.get("runAsUser", 0) > 10000
            and context.get("seccompProfile") == {"type": "RuntimeDefault"}
            and not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        ):
            yield name


@check("a pod's container cannot become more than it is, and has no capability")
def _(d: Deployment) -> Iterator[str]:
    return of_each_container(
        d,
        lambda c: (
            c["securityContext"].get("allowPrivilegeEscalation") is False
            and c["securityContext"].get("privileged") is False
            and c["securityContext"].get("capabilities") == {"drop": ["ALL"]}
        ),
    )


@check("a pod's root is read-only")
def _(d: Deployment) -> Iterator[str]:
    return of_each_container(d, lambda c: c["securityContext"].get("readOnlyRootFilesystem") is True)


@check("the transform has no token of the cluster")
def _(d: Deployment) -> Iterator[str]:
    if job(d)["spec"]["template"]["spec"].get("automountServiceAccountToken") is not False:
        yield "the Job's pod"
    accounts = {r.inputs["metadata"]["name"]: r.inputs for r in d.all("v1:ServiceAccount")}
    if accounts["transform"].get("automountServiceAccountToken") is not False:
        yield "the service account"


@check("a transform Job ends: by a deadline, after three attempts, and is forgotten a day later")
def _(d: Deployment) -> Iterator[str]:
    spec = job(d)["spec"]
    if (
        not spec.get("activeDeadlineSeconds")
        or spec.get("backoffLimit") != 2
        or spec.get("ttlSecondsAfterFinished") != 86400
    ):
        yield "the Job"


@check("a transform that fails for good is not tried again, nor two at a time")
def _(d: Deployment) -> Iterator[str]:
    spec = job(d)["spec"]
    actions = [rule["action"] for rule in spec.get("podFailurePolicy", {}).get("rules", [])]
    if actions != ["Ignore", "FailJob"] or spec.get("podReplacementPolicy") != "Failed":
        yield "the Job"
