"""What an API server finds wrong with an object's content, as field faults: the checks that this project can run into.

Rules and words follow Kubernetes' own `validation` packages.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from etl_local.kubernetes_kinds import Object, ResourceType
from etl_local.kubernetes_names import Faults, annotation_faults, dns_label_faults, label_faults, subdomain_faults
from etl_local.kubernetes_selectors import matches_labels
from etl_local.kubernetes_status import (
    FieldFault,
    duplicate,
    forbidden_value,
    invalid_value,
    required,
    unsupported,
)

_SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_ENVIRONMENT_NAME = re.compile(r"[ -<>-~]+")  # printable ASCII except "="

_DNS_LABEL_NAMES = {"Namespace", "Service"}
_LOOSE_NAMES = {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


def faults_of(kind: ResourceType, obj: Object) -> list[FieldFault]:
    """Everything that is wrong with a new object, its defaults already filled in."""
    return [*_metadata(kind, obj["metadata"]), *_CONTENT.get(kind.kind, _nothing)(obj)]


def faults_of_update(kind: ResourceType, new: Object, old: Object) -> list[FieldFault]:
    """Everything that is wrong with a changed object, fields that may not change among it."""
    faults = faults_of(kind, new)
    for path in _IMMUTABLE.get(kind.kind, ()):
        value, before = _at(new, path), _at(old, path)
        if value != before:
            faults.append(invalid_value(path, value, "field is immutable"))
    if kind.kind == "Pod" and _fixed_part(new["spec"]) != _fixed_part(old["spec"]):
        faults.append(
            forbidden_value(
                "spec",
                "pod updates may not change fields other than `spec.containers[*].image`,"
                "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
                "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
                "previously negative)",
            )
        )
    if kind.kind in {"ConfigMap", "Secret"} and old.get("immutable") and new.get("data") != old.get("data"):
        faults.append(forbidden_value("data", "field is immutable when `immutable` is set"))
    return faults


_IMMUTABLE = {
    "ClusterRoleBinding": ("roleRef",),
    "Deployment": ("spec.selector",),
    "Job": ("spec.completions", "spec.completionMode", "spec.selector", "spec.template", "spec.podFailurePolicy"),
    "RoleBinding": ("roleRef",),
    "Secret": ("type",),
}


def _at(obj: Any, path: str) -> Any:
    for part in path.split("."):
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj


def _fixed_part(spec: dict[str, Any]) -> dict[str, Any]:
    free = {"activeDeadlineSeconds", "nodeName", "tolerations"}
    fixed = {key: value for key, value in spec.items() if key not in free}
    for containers in ("containers", "initContainers"):
        if containers in fixed:
            fixed[containers] = [{**container, "image": None} for container in fixed[containers]]
    return fixed


def _nothing(_obj: Object) -> Faults:
    return iter(())


def _metadata(kind: ResourceType, metadata: dict[str, Any]) -> Faults:
    name = metadata.get("name") or ""
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif kind.kind in _LOOSE_NAMES:
        if name in {".", ".."} or "/" in name or "%" in name:
            yield invalid_value("metadata.name", name, "may not be '.', '..' or contain '/' or '%'")
    elif kind.kind in _DNS_LABEL_NAMES:
        yield from dns_label_faults("metadata.name", name)
    else:
        yield from subdomain_faults("metadata.name", name)
    yield from label_faults("metadata.labels", metadata.get("labels"))
    yield from annotation_faults("metadata.annotations", metadata.get("annotations"))


def _pod_template(path: str, template: dict[str, Any] | None) -> Faults:
    template = template or {}
    metadata = template.get("metadata") or {}
    yield from label_faults(f"{path}.labels", metadata.get("labels"))
    yield from annotation_faults(f"{path}.annotations", metadata.get("annotations"))
    yield from _pod_spec(f"{path}.spec", template.get("spec"))


def _pod_spec(path: str, spec: dict[str, Any] | None) -> Faults:
    spec = spec or {}
    volumes: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or []):
        name = volume.get("name") or ""
        if not name:
            yield required(f"{path}.volumes[{index}].name")
        elif name in volumes:
            yield duplicate(f"{path}.volumes[{index}].name", name)
        else:
            yield from dns_label_faults(f"{path}.volumes[{index}].name", name)
        volumes.add(name)
        if len(volume) < 2:
            yield required(f"{path}.volumes[{index}]", "must specify a volume type")
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    names: set[str] = set()
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or []):
            yield from _container(f"{path}.{group}[{index}]", container, names, volumes)
    if (policy := spec.get("restartPolicy", "Always")) not in {"Always", "Never", "OnFailure"}:
        yield unsupported(f"{path}.restartPolicy", policy, ["Always", "OnFailure", "Never"])
    if (grace := spec.get("terminationGracePeriodSeconds", 30)) < 0:
        yield invalid_value(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0")


def _container(path: str, container: dict[str, Any], names: set[str], volumes: set[str]) -> Faults:
    name = container.get("name") or ""
    if not name:
        yield required(f"{path}.name")
    elif name in names:
        yield duplicate(f"{path}.name", name)
    else:
        yield from dns_label_faults(f"{path}.name", name)
    names.add(name)
    if not container.get("image"):
        yield required(f"{path}.image")
    for index, variable in enumerate(container.get("env") or []):
        if not variable.get("name"):
            yield required(f"{path}.env[{index}].name")
        elif not _ENVIRONMENT_NAME.fullmatch(variable["name"]):
            yield invalid_value(f"{path}.env[{index}].name", variable["name"], "a valid environment variable name")
        if variable.get("value") and variable.get("valueFrom"):
            yield invalid_value(f"{path}.env[{index}].valueFrom", "", "may not be specified when `value` is not empty")
    paths: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or []):
        if mount.get("name") not in volumes:
            fault = FieldFault(
                "FieldValueNotFound", f"{path}.volumeMounts[{index}].name", f'Not found: "{mount.get("name", "")}"'
            )
            yield fault
        if not mount.get("mountPath"):
            yield required(f"{path}.volumeMounts[{index}].mountPath")
        elif mount["mountPath"] in paths:
            yield invalid_value(f"{path}.volumeMounts[{index}].mountPath", mount["mountPath"], "must be unique")
        paths.add(mount.get("mountPath", ""))


def _pod(obj: Object) -> Faults:
    yield from _pod_spec("spec", obj.get("spec"))


def _deployment(obj: Object) -> Faults:
    spec = obj.get("spec") or {}
    yield from _not_negative("spec", spec, "replicas", "minReadySeconds")
    template = spec.get("template") or {}
    given = (template.get("metadata") or {}).get("labels") or {}
    if not spec.get("selector"):
        yield required("spec.selector")
    elif not matches_labels(spec["selector"], given):
        yield invalid_value("spec.template.metadata.labels", given, "`selector` does not match template `labels`")
    yield from _pod_template("spec.template", template)
    if (policy := (template.get("spec") or {}).get("restartPolicy", "Always")) != "Always":
        yield unsupported("spec.template.spec.restartPolicy", policy, ["Always"])


def _job(obj: Object) -> Faults:
    spec = obj.get("spec") or {}
    yield from _not_negative(
        "spec",
        spec,
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
    )
    if spec.get("completionMode") == "Indexed":
        if spec.get("completions") is None:
            yield required("spec.completions", "when completion mode is Indexed")
        last = (spec.get("completions") or 1) - 1
        yield from dns_label_faults("metadata.name", f"{obj['metadata'].get('name', '')}-{last}")
    template = spec.get("template") or {}
    policy = (template.get("spec") or {}).get("restartPolicy", "Always")
    yield from _pod_template("spec.template", template)
    path = "spec.template.spec.restartPolicy"
    if policy == "Always":
        yield required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in {"OnFailure", "Never"}:
        yield unsupported(path, policy, ["OnFailure", "Never"])
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        yield invalid_value(path, policy, 'only "Never" is supported when podFailurePolicy is specified')
    replacement = spec.get("podReplacementPolicy")
    if spec.get("podFailurePolicy") is not None:
        yield from _pod_failure_policy("spec.podFailurePolicy.rules", spec["podFailurePolicy"], template)
        if replacement != "Failed":
            yield unsupported("spec.podReplacementPolicy", replacement, ["Failed"])
    elif replacement not in {"Failed", "TerminatingOrFailed"}:
        yield unsupported("spec.podReplacementPolicy", replacement, ["Failed", "TerminatingOrFailed"])


def _pod_failure_policy(path: str, policy: dict[str, Any], template: dict[str, Any]) -> Faults:
    spec = template.get("spec") or {}
    names = {c.get("name") for group in ("containers", "initContainers") for c in spec.get(group) or []}
    for index, rule in enumerate(policy.get("rules") or []):
        where = f"{path}[{index}]"
        if not rule.get("action"):
            yield required(f"{where}.action", 'valid values: ["Count" "FailIndex" "FailJob" "Ignore"]')
        elif rule["action"] not in {"Count", "FailIndex", "FailJob", "Ignore"}:
            yield unsupported(f"{where}.action", rule["action"], ["Count", "FailIndex", "FailJob", "Ignore"])
        if bool(rule.get("onExitCodes")) == bool(rule.get("onPodConditions")):
            yield invalid_value(where, "", "specifying one of OnExitCodes and OnPodConditions is required")
        if codes := rule.get("onExitCodes"):
            yield from _exit_codes(f"{where}.onExitCodes", codes, names)
        for number, pattern in enumerate(rule.get("onPodConditions") or []):
            if pattern.get("status") not in {"True", "False", "Unknown"}:
                yield required(f"{where}.onPodConditions[{number}].status", 'valid values: ["False" "True" "Unknown"]')


def _exit_codes(path: str, codes: dict[str, Any], names: set[str | None]) -> Faults:
    if codes.get("operator") not in {"In", "NotIn"}:
        yield required(f"{path}.operator", 'valid values: ["In" "NotIn"]')
    if (name := codes.get("containerName")) is not None and name not in names:
        yield invalid_value(
            f"{path}.containerName", name, "must be one of the container or initContainer names in the pod template"
        )
    values = codes.get("values") or []
    if not values:
        yield invalid_value(f"{path}.values", values, "at least one value is required")
    if codes.get("operator") == "In" and 0 in values:
        yield invalid_value(f"{path}.values[{values.index(0)}]", 0, "must not be 0 for the In operator")
    if len(set(values)) < len(values):
        yield duplicate(f"{path}.values", next(value for value in values if values.count(value) > 1))
    if values != sorted(values):
        yield invalid_value(f"{path}.values", values, "must be ordered")


def _not_negative(path: str, spec: dict[str, Any], *names: str) -> Faults:
    for name in names:
        if (spec.get(name) or 0) < 0:
            yield invalid_value(f"{path}.{name}", spec[name], "must be greater than or equal to 0")


def _data(obj: Object) -> Faults:
    size = 0
    for field in ("data", "binaryData"):
        for key, value in (obj.get(field) or {}).items():
            size += len(value.encode())
            if not _SECRET_KEY.fullmatch(key) or len(key) > 253:
                rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
                yield invalid_value(f"{field}[{key}]", key, rule)
    if size > 1 << 20:
        yield FieldFault("FieldValueTooLong", "", "Too long: may not be more than 1048576 bytes")


_CONTENT: dict[str, Callable[[Object], Faults]] = {
    "ConfigMap": _data,
    "Deployment": _deployment,
    "Job": _job,
    "Pod": _pod,
    "Secret": _data,
}
