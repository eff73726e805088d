"""The namespace, its pods and its rights in the cluster."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from tests.infra.checks.registry import check, each
from tests.infra.checks.tasks import BY_DIGEST
from tests.infra.engine import Deployment

NUMBERS = {"runAsUser", "runAsGroup"}
LEVELS = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}


def job(d: Deployment) -> dict[str, Any]:
    """The Job template as the dispatcher reads it."""
    return _parsed(d.one("v1:ConfigMap", "transform-dispatcher-job-template").inputs["data"]["job.yaml"])


@functools.cache
def _parsed(text: str) -> dict[str, Any]:
    return yaml.load(text, Loader=yaml.CSafeLoader)


def pods(d: Deployment) -> Iterator[tuple[str, dict[str, Any]]]:
    """The specs of the pods that run in the namespace."""
    yield "dispatcher", d.one("v1:Deployment").inputs["spec"]["template"]["spec"]
    yield "transform", job(d)["spec"]["template"]["spec"]


def of_each_container(d: Deployment, holds: Callable[[dict[str, Any]], Any]) -> Iterator[str]:
    """The pods with a container for which something does not hold."""
    yield from (name for name, pod in pods(d) if not all(map(holds, pod["containers"])))


@check("the namespace takes restricted pods alone")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "v1:Namespace", lambda r: LEVELS.items() <= r.inputs["metadata"]["labels"].items())


@check("the namespace is bounded in Jobs, pods, CPU, memory and disk")
def _(d: Deployment) -> Iterator[str]:
    wanted = {"count/jobs.batch", "pods", "persistentvolumeclaims", "services"} | {
        f"{kind}.{what}" for kind in ("requests", "limits") for what in ("cpu", "memory", "ephemeral-storage")
    }
    nothing = {"persistentvolumeclaims": "0", "services": "0"}
    return each(
        d,
        "ResourceQuota",
        lambda r: wanted <= set(r.inputs["spec"]["hard"]) and nothing.items() <= r.inputs["spec"]["hard"].items(),
    )


@check("what the pipeline has in the cluster is in its own namespace")
def _(d: Deployment) -> Iterator[str]:
    (namespace,) = [r.inputs["metadata"]["name"] for r in d.all("v1:Namespace")]
    beside = ("Namespace", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    for resource in d.resources:
        if not resource.type.startswith("kubernetes:") or resource.type.endswith(beside):
            continue
        if resource.inputs["metadata"].get("namespace") != namespace:
            yield resource.name
    if job(d)["metadata"].get("namespace") != namespace:
        yield "the Job"


@check("a service account names its own role, where the cluster goes by names")
def _(d: Deployment) -> Iterator[str]:
    bound = {r.inputs["serviceAccount"]: r.inputs["roleArn"] for r in d.all("PodIdentityAssociation")}
    for account in d.all("v1:ServiceAccount"):
        name = account.inputs["metadata"]["name"]
        annotations = account.inputs["metadata"].get("annotations") or {}
        role = annotations.get("eks.amazonaws.com/role-arn", bound.get(name, ""))
        is_regional = bool(bound) or annotations.get("eks.amazonaws.com/sts-regional-endpoints") == "true"
        if not role.endswith(f":role/postgres-etl-{name}-prod") or not is_regional:
            yield name


@check("the dispatcher creates and sees Jobs and has no other right")
def _(d: Deployment) -> Iterator[str]:
    wanted = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list"]}]
    yield from each(d, "v1:Role", lambda r: r.inputs["rules"] == wanted)
    if dict(pods(d))["dispatcher"].get("serviceAccountName") != "dispatcher":
        yield "its pod has another account"
    yield from (r.name for kind in ("v1:ClusterRole", "v1:ClusterRoleBinding") for r in d.all(kind))
    yield from each(
        d,
        "v1:RoleBinding",
        lambda r: (
            (r.inputs["roleRef"], r.inputs["subjects"])
            == (
                {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "dispatcher"},
                [{"kind": "ServiceAccount", "name": "dispatcher", "namespace": "postgres-etl"}],
            )
        ),
    )


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
            and min(context.get(key, 0) for key in ("runAsUser", "runAsGroup", "fsGroup")) > 10000
            # what a container says for itself is what counts
            and all(
                c["securityContext"].get("runAsNonRoot") is True and not NUMBERS & set(c["securityContext"])
                for c in pod["containers"]
            )
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
    yield from of_each_container(d, lambda c: c["securityContext"].get("readOnlyRootFilesystem") is True)
    # what is mounted from the cluster is for reading, too
    written = {"scratch", "shared-memory", "temporary"}
    yield from of_each_container(
        d, lambda c: all(m.get("readOnly") is True for m in c["volumeMounts"] if m["name"] not in written)
    )


@check("the transform has no token of the cluster")
def _(d: Deployment) -> Iterator[str]:
    if job(d)["spec"]["template"]["spec"].get("automountServiceAccountToken") is not False:
        yield "the Job's pod"
    if job(d)["spec"]["template"]["spec"].get("serviceAccountName") != "transform":
        yield "the Job's pod has another account"
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
    alone = {"parallelism": 1, "completions": 1, "podReplacementPolicy": "Failed"}
    if actions != ["Ignore", "FailJob"] or not alone.items() <= spec.items():
        yield "the Job"
