"""Reading a request to the Kubernetes stand-in: which object its path names, what its parameters and its body ask."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml
from werkzeug.wrappers import Request

from etl_local.kubernetes_kinds import Kinds, Object, ResourceType
from etl_local.kubernetes_selectors import Selector, field_selector, label_selector
from etl_local.kubernetes_status import KubernetesError, bad_request
from etl_local.kubernetes_store import DeleteOptions

_APPLY = "application/apply-patch+yaml"
_MERGE = {"application/merge-patch+json", "application/strategic-merge-patch+json"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names: a collection (no name), an object, or a subresource of one."""

    kind: ResourceType
    namespace: str
    name: str = ""
    subresource: str = ""


def target_of(path: str, kinds: Kinds) -> Target | None:
    """Read `/api/v1/…` and `/apis/<group>/<version>/…`; None for any other path.

    Raises:
        KubernetesError: 404, no such kind.
    """
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3 and not (group == "" and rest[2] in {"status", "finalize"}):
        namespace, rest = rest[1], rest[2:]
    kind = kinds.at(group, version, rest[0])
    if kind is None or len(rest) > 3 or (namespace and not kind.namespaced):
        raise KubernetesError(404, "the server could not find the requested resource")
    name, subresource = [*rest[1:], "", ""][:2]
    if kind.namespaced and not namespace and name:
        raise KubernetesError(404, "the server could not find the requested resource")
    return Target(kind, namespace, name, subresource)


def verb_of(request: Request, target: Target) -> str:
    """The verb that rules grant: `create`, `get`, `list`, `watch`, `update`, `patch`, `delete`, `deletecollection`."""
    match request.method:
        case "GET" | "HEAD":
            return "get" if target.name else "watch" if is_watch(request) else "list"
        case "DELETE":
            return "delete" if target.name else "deletecollection"
        case method:
            return {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(method, method.lower())


def is_watch(request: Request) -> bool:
    """Whether a GET of a collection is to go on with its changes."""
    return request.args.get("watch", "") in {"1", "true", "True"}


def is_dry_run(request: Request) -> bool:
    """Whether nothing is to be stored."""
    return request.args.get("dryRun") == "All"


def is_strict(request: Request) -> bool:
    """Whether unknown fields are to be refused: unless the request says it wants less."""
    return request.args.get("fieldValidation", "Strict") == "Strict"


def number(request: Request, parameter: str) -> int | None:
    """A parameter that is a number of 0 or more.

    Raises:
        KubernetesError: 400.
    """
    text = request.args.get(parameter, "")
    if text and not text.isdecimal():
        raise bad_request(f"invalid value for {parameter}: {text}")
    return int(text) if text else None


def selection(request: Request, kind: ResourceType) -> Selector:
    """The label and field selectors of a request, as one.

    Raises:
        KubernetesError: 400.
    """
    labels = label_selector(request.args.get("labelSelector", ""))
    fields = field_selector(request.args.get("fieldSelector", ""), kind)
    return lambda obj: labels(obj) and fields(obj)


def manifest_of(request: Request, target: Target) -> Object:
    """The object in a request's body, its kind and its place as the path says.

    Raises:
        KubernetesError: 400, the body is no such object, or belongs elsewhere.
    """
    manifest = _document(request)
    for field, wanted in (("kind", target.kind.kind), ("apiVersion", target.kind.api_version)):
        if manifest.get(field) not in (None, "", wanted):
            raise bad_request(
                f"the {field} in the data ({manifest[field]}) does not match the expected {field} ({wanted})"
            )
    metadata = manifest["metadata"] = dict(manifest.get("metadata") or {})
    if target.kind.namespaced:
        if metadata.get("namespace") not in (None, "", target.namespace):
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        metadata["namespace"] = target.namespace
    else:
        metadata.pop("namespace", None)
    if target.name:
        if metadata.get("name") not in (None, "", target.name):
            given = metadata["name"]
            raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({target.name})")
        metadata["name"] = target.name
    return manifest


def is_apply(request: Request) -> bool:
    """Whether a PATCH is a server-side apply, which may create."""
    return request.mimetype == _APPLY


def patched(request: Request, obj: Object) -> Object:
    """An object after a request's patch. Lists are replaced as wholes, also by strategic merges and applies.

    Raises:
        KubernetesError: 400; 415, a JSON Patch.
    """
    if not is_apply(request) and request.mimetype not in _MERGE:
        accepted = ", ".join(sorted({*_MERGE, _APPLY}))
        raise KubernetesError(
            415, f"the body of the request was in an unknown format - accepted media types: {accepted}"
        )
    return _merged(obj, _document(request))


def _merged(value: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for key, part in patch.items():
        if part is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), part)
    return result


def _document(request: Request) -> Object:
    body = request.get_data()
    try:
        document = yaml.safe_load(body) if "yaml" in request.mimetype else json.loads(body)
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {type(error).__name__}") from None
    if not isinstance(document, dict):
        raise bad_request("couldn't get version/kind; json parse error: not an object")
    return document


def delete_options(request: Request) -> DeleteOptions:
    """How a DELETE is meant, by its parameters or its body.

    Raises:
        KubernetesError: 400; 422, no such policy.
    """
    body = _document(request) if request.get_data() else {}
    policy = request.args.get("propagationPolicy") or body.get("propagationPolicy")
    orphan = request.args.get("orphanDependents", body.get("orphanDependents"))
    if policy is None and orphan is not None:
        policy = "Orphan" if orphan in {True, "true", "True"} else "Background"
    if policy not in {None, "Background", "Foreground", "Orphan"}:
        raise KubernetesError(422, f'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: {policy}')
    grace = number(request, "gracePeriodSeconds")
    preconditions = body.get("preconditions") or {}
    return DeleteOptions(
        propagation=policy,
        grace_seconds=body.get("gracePeriodSeconds") if grace is None else grace,
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
    )
