"""The HTTP endpoints of the Kubernetes stand-in, as one WSGI application over its store."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from werkzeug.wrappers import Request, Response

from etl_local import kubernetes_requests as asked
from etl_local.kubernetes_access import Access, Attempt, User
from etl_local.kubernetes_defaults import has_status, timestamp
from etl_local.kubernetes_discovery import discover
from etl_local.kubernetes_history import Change
from etl_local.kubernetes_kinds import JOB, POD, Object, ResourceType
from etl_local.kubernetes_logs import PodLogs
from etl_local.kubernetes_requests import Target
from etl_local.kubernetes_schema import decode
from etl_local.kubernetes_selectors import Selector
from etl_local.kubernetes_status import KubernetesError, bad_request
from etl_local.kubernetes_store import ObjectStore

_ORPHANS = (
    '299 - "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove '
    'them or set propagationPolicy=Orphan to suppress this warning"'
)


def _answer(document: Any, code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    status = f"{code} {HTTPStatus(code).phrase}"  # as Go writes it; clients show the phrase as the reason
    return Response(json.dumps(document) + "\n", status, headers, content_type="application/json")


class Endpoints:
    """The API server's application."""

    def __init__(self, store: ObjectStore, access: Access, logs: PodLogs) -> None:
        self._store = store
        self._access = access
        self._logs = logs

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Serve one request."""
        request = Request(environ)
        try:
            response = self._respond(request)
        except KubernetesError as error:
            response = _answer(error.status(), error.code)
        return response(environ, start_response)

    def _respond(self, request: Request) -> Response:
        user = self._access.user(request.headers.get("Authorization", ""))
        target = asked.target_of(request.path, self._store.kinds)
        if target is None:
            self._access.check_path(user, request.path)
            found = discover(request.path, self._store.kinds)
            return Response(found, content_type="text/plain") if isinstance(found, str) else _answer(found)
        verb = asked.verb_of(request, target)
        self._access.check(user, Attempt(verb, target.kind, target.namespace, target.name, target.subresource))
        if target.subresource:
            return self._subresource(request, target, verb)
        match verb:
            case "create" if not target.name:
                response = self._create(request, target)
            case "list":
                response = self._list(request, target)
            case "watch":
                response = self._watch(request, target)
            case "get":
                response = _answer(self._store.get(target.kind, target.namespace, target.name))
            case "update" if target.name:
                response = self._update(request, target)
            case "patch" if target.name:
                response = self._patch(request, target, user)
            case "delete":
                response = self._delete(request, target)
            case "deletecollection":
                response = self._delete_collection(request, target)
            case _:
                raise KubernetesError(405, "the server does not allow this method on the requested resource")
        return response

    def _subresource(self, request: Request, target: Target, verb: str) -> Response:
        match target.subresource, verb:
            case "log", "get" if target.kind == POD:
                response = self._log(request, target)
            case "eviction", "create" if target.kind == POD:
                response = self._evict(target)
            case "status", "get" if has_status(target.kind):
                response = _answer(self._store.get(target.kind, target.namespace, target.name))
            case "status", "update" if has_status(target.kind):
                response = self._update(request, target)
            case "status", "patch" if has_status(target.kind):
                response = self._patch(request, target, None)
            case _:
                raise KubernetesError(404, "the server could not find the requested resource")
        return response

    # --- objects

    def _create(self, request: Request, target: Target) -> Response:
        manifest = asked.manifest_of(request, target)
        decode(target.kind, manifest, strict=asked.is_strict(request))
        return _answer(self._store.create(target.kind, manifest, dry_run=asked.is_dry_run(request)), 201)

    def _update(self, request: Request, target: Target) -> Response:
        manifest = asked.manifest_of(request, target)
        decode(target.kind, manifest, strict=asked.is_strict(request))
        dry_run = asked.is_dry_run(request)
        return _answer(self._store.replace(target.kind, manifest, subresource=target.subresource, dry_run=dry_run))

    def _patch(self, request: Request, target: Target, user: User | None) -> Response:
        place = (target.kind, target.namespace, target.name)
        if user is not None and asked.is_apply(request) and self._store.find(*place) is None:
            self._access.check(user, Attempt("create", *place))
            return self._create(request, target)

        def patch(obj: Object) -> None:
            changed = asked.patched(request, obj)
            decode(target.kind, changed, strict=asked.is_strict(request))
            obj.clear()
            obj.update(changed)

        dry_run = asked.is_dry_run(request)
        return _answer(self._store.update(*place, patch, subresource=target.subresource, dry_run=dry_run))

    def _delete(self, request: Request, target: Target) -> Response:
        options = asked.delete_options(request)
        if asked.is_dry_run(request):
            return _answer(self._store.get(target.kind, target.namespace, target.name))
        obj, gone = self._store.delete(target.kind, target.namespace, target.name, options)
        headers = {"Warning": _ORPHANS} if target.kind == JOB and options.propagation is None else {}
        if not gone or target.kind == POD:
            return _answer(obj, headers=headers)
        details = {"name": target.name, "group": target.kind.group, "kind": target.kind.plural}
        details["uid"] = obj["metadata"]["uid"]
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return _answer(status | {"details": {key: value for key, value in details.items() if value}}, headers=headers)

    def _delete_collection(self, request: Request, target: Target) -> Response:
        options, selects = asked.delete_options(request), asked.selection(request, target.kind)
        chosen = [obj for obj in self._store.list(target.kind, target.namespace or None) if selects(obj)]
        for obj in chosen if not asked.is_dry_run(request) else ():
            self._store.delete(target.kind, target.namespace, obj["metadata"]["name"], options)
        return _answer(_list_of(target.kind, chosen, self._store.version))

    def _evict(self, target: Target) -> Response:
        def mark(pod: Object) -> None:
            condition = {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": timestamp()}
            condition |= {"reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
            pod["status"].setdefault("conditions", []).append(condition)

        self._store.update(POD, target.namespace, target.name, mark, subresource="status")
        self._store.delete(POD, target.namespace, target.name)
        return _answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)

    # --- collections

    def _list(self, request: Request, target: Target) -> Response:
        selects, limit = asked.selection(request, target.kind), asked.number(request, "limit")
        objects, version = self._store.snapshot(target.kind, target.namespace or None)
        chosen = [obj for obj in objects if selects(obj)]
        if token := request.args.get("continue"):
            started, after = _continuation(token)
            self._store.check_version(started)
            chosen = [obj for obj in chosen if _key(obj) > after]
        document = _list_of(target.kind, chosen[: limit or None], version)
        if limit and len(chosen) > limit:
            document["metadata"]["continue"] = _token(version, _key(chosen[limit - 1]))
            document["metadata"]["remainingItemCount"] = len(chosen) - limit
        return _answer(document)

    def _watch(self, request: Request, target: Target) -> Response:
        selects, seconds = asked.selection(request, target.kind), asked.number(request, "timeoutSeconds")
        wanted = request.args.get("resourceVersion", "")
        existing, version = self._store.snapshot(target.kind, target.namespace or None)
        if wanted not in {"", "0"}:
            existing, version = [], asked.number(request, "resourceVersion") or 0
        return Response(
            self._events(target, selects, existing, version, seconds),
            content_type="application/json",
            direct_passthrough=True,
        )

    def _events(
        self, target: Target, selects: Selector, existing: list[Object], version: int, seconds: float | None
    ) -> Iterator[bytes]:
        yield b""  # sends the headers: a client waits for them, there may be nothing to tell for long
        for obj in existing:
            if selects(obj):
                yield _event("ADDED", obj)
        try:
            for change in self._store.history.follow(version, seconds=seconds):
                verb = _verb(change, target, selects)
                if verb:
                    yield _event(verb, change.object)
        except KubernetesError as error:
            yield _event("ERROR", error.status())

    # --- logs

    def _log(self, request: Request, target: Target) -> Response:
        pod = self._store.get(POD, target.namespace, target.name)
        names = [container["name"] for container in pod["spec"]["containers"]]
        every = names + [container["name"] for container in pod["spec"].get("initContainers") or []]
        container = request.args.get("container") or names[0]
        if len(names) > 1 and "container" not in request.args:
            raise bad_request(
                f"a container name must be specified for pod {target.name}, choose one of: [{' '.join(names)}]"
            )
        if container not in every:
            raise bad_request(f"container {container} is not valid for pod {target.name}")
        previous = _flag(request, "previous")
        log = self._logs.find(pod["metadata"]["uid"], container, previous=previous)
        if log is None and previous:
            raise bad_request(f'previous terminated container "{container}" in pod "{target.name}" not found')
        if log is None:
            why = "PodInitializing" if pod["spec"].get("initContainers") else "ContainerCreating"
            raise bad_request(f'container "{container}" in pod "{target.name}" is waiting to start: {why}')
        lines = log.read(
            follow=_flag(request, "follow"),
            tail=asked.number(request, "tailLines"),
            since_seconds=asked.number(request, "sinceSeconds"),
            timestamps=_flag(request, "timestamps"),
        )
        limit = asked.number(request, "limitBytes")
        return Response(_text(lines, limit), content_type="text/plain; charset=utf-8", direct_passthrough=True)


def _text(lines: Iterator[str], limit: int | None) -> Iterator[bytes]:
    yield b""  # the headers at once, as for a watch
    for line in lines:
        text = line.encode()
        if limit is not None:
            text, limit = text[:limit], limit - len(text[:limit])
            if not text:
                return
        yield text


def _flag(request: Request, parameter: str) -> bool:
    return request.args.get(parameter, "") in {"1", "true", "True"}


def _verb(change: Change, target: Target, selects: Selector) -> str:
    """What a change is to one watch: an object that its selectors lose is deleted, one that they gain is added."""
    if change.kind != target.kind or target.namespace not in ("", change.object["metadata"].get("namespace", "")):
        return ""
    chosen = selects(change.object)
    before = change.previous is not None and selects(change.previous)
    if change.verb == "DELETED":
        return "DELETED" if before else ""
    if chosen:
        return "MODIFIED" if before else "ADDED"
    return "DELETED" if before else ""


def _event(verb: str, obj: Object) -> bytes:
    return json.dumps({"type": verb, "object": obj}).encode() + b"\n"


def _list_of(kind: ResourceType, objects: list[Object], version: int) -> Object:
    items = [{key: value for key, value in obj.items() if key not in {"kind", "apiVersion"}} for obj in objects]
    document = {"kind": f"{kind.kind}List", "apiVersion": kind.api_version}
    return document | {"metadata": {"resourceVersion": str(version)}, "items": items}


def _key(obj: Object) -> list[str]:
    return [obj["metadata"].get("namespace", ""), obj["metadata"]["name"]]


def _token(version: int, key: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps([version, key]).encode()).decode()


def _continuation(token: str) -> tuple[int, list[str]]:
    try:
        version, key = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, binascii.Error):
        raise bad_request("continue key is not valid") from None
    return version, key
