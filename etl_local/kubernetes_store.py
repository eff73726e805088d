"""Writing objects of the Kubernetes stand-in: admission, concurrency, finalizers, owner references, namespaces.

Everything happens under one lock, so what a real cluster's garbage collector and namespace controller do a moment
later is done here within the call.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from etl_local import kubernetes_admission as admission
from etl_local.kubernetes_defaults import fill_in, fill_in_update, stamp, timestamp
from etl_local.kubernetes_kinds import JOB, NAMESPACE, POD, SERVICE_ACCOUNT, Object, ResourceType
from etl_local.kubernetes_status import already_exists, conflict, invalid, not_found
from etl_local.kubernetes_table import ObjectTable
from etl_local.kubernetes_validation import faults_of, faults_of_update

_FOREGROUND = "foregroundDeletion"
_FINISHED = {"Succeeded", "Failed"}


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """How to delete. `propagation` is `Background`, `Foreground`, `Orphan` or None: the kind's own default."""

    propagation: str | None = None
    grace_seconds: int | None = None
    uid: str | None = None
    resource_version: str | None = None


class ObjectStore(ObjectTable):
    """All objects of one API server, and how they are written."""

    def create(self, kind: ResourceType, manifest: Object, *, dry_run: bool = False) -> Object:
        """Store a new object, its namespace (if it has one) and its name or generateName in its metadata.

        Raises:
            KubernetesError: 403, 404, 409, 422, in the order in which a real server checks.
        """
        with self._lock:
            obj: Object = _without_nulls(manifest)
            obj["apiVersion"], obj["kind"] = kind.api_version, kind.kind
            metadata = obj["metadata"]
            stamp(obj)
            admission.admit_namespace(self, kind, obj)
            fill_in(kind, obj)
            if faults := faults_of(kind, obj):
                raise invalid(kind, metadata.get("name", ""), faults)
            admission.admit_service_account(self, kind, obj)
            admission.admit_pod_security(self, kind, obj)
            admission.admit_quota(self, kind, obj)
            if existing := self._existing(kind, obj):
                deleting = bool(existing["metadata"].get("deletionTimestamp"))
                raise already_exists(kind, metadata["name"], deleting=deleting)
            if not dry_run:
                self._put(kind, obj, "ADDED")
                if kind == NAMESPACE:
                    self.create(SERVICE_ACCOUNT, {"metadata": {"name": "default", "namespace": metadata["name"]}})
            return copy.deepcopy(obj)

    def replace(self, kind: ResourceType, obj: Object, *, subresource: str = "", dry_run: bool = False) -> Object:
        """Store a changed object, or through `subresource="status"` its status alone.

        A `resourceVersion` in it must be the current one. A write that changes nothing makes no new version.

        Raises:
            KubernetesError: 404, 409, 422.
        """
        with self._lock:
            new: Object = _without_nulls(obj)
            metadata = new["metadata"]
            old = self._existing(kind, new)
            if old is None:
                raise not_found(kind, metadata["name"])
            if metadata.get("resourceVersion") not in (None, "", old["metadata"]["resourceVersion"]):
                raise conflict(kind, metadata["name"])
            if metadata.get("uid") not in (None, "", old["metadata"]["uid"]):
                raise conflict(kind, metadata["name"], _other_uid(metadata["uid"], old))
            new["apiVersion"], new["kind"] = kind.api_version, kind.kind
            fill_in_update(kind, new, old, subresource=subresource)
            if faults := faults_of_update(kind, new, old):
                raise invalid(kind, metadata["name"], faults)
            metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
            if new.get("spec") != old.get("spec"):
                metadata["generation"] = old["metadata"].get("generation", 0) + 1
            if new != old and not dry_run:
                self._put(kind, new, "MODIFIED", previous=old)
                self._finish_deletion(kind, new)
            return copy.deepcopy(new)

    def update(
        self,
        kind: ResourceType,
        namespace: str,
        name: str,
        change: Callable[[Object], object],
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Read, change in place and store as one step; otherwise as `replace`.

        Raises:
            KubernetesError: 404, 409, 422.
        """
        with self._lock:
            obj = self.get(kind, namespace, name)
            change(obj)
            return self.replace(kind, obj, subresource=subresource, dry_run=dry_run)

    def delete(
        self, kind: ResourceType, namespace: str, name: str, options: DeleteOptions | None = None
    ) -> tuple[Object, bool]:
        """Delete an object, or ask for it: finalizers, a pod's grace and a namespace's content come first.

        Returns:
            the object as it last was, and whether it is gone.

        Raises:
            KubernetesError: 404; 409 when a precondition does not hold.
        """
        options = options or DeleteOptions()
        with self._lock:
            obj = self.get(kind, namespace, name)
            metadata = obj["metadata"]
            if options.uid not in (None, metadata["uid"]):
                raise conflict(kind, name, _other_uid(options.uid, obj))
            if options.resource_version not in (None, metadata["resourceVersion"]):
                raise conflict(kind, name)
            # https://kubernetes.io/docs/reference/using-api/api-concepts/: batch/v1 Jobs alone orphan by default
            propagation = options.propagation or ("Orphan" if kind == JOB else "Background")
            grace = _grace_seconds(kind, obj, options.grace_seconds)
            if propagation == "Orphan":
                self._disown(metadata["uid"])
            elif propagation == "Foreground" and self._dependents(metadata["uid"]):
                finalizers = metadata.setdefault("finalizers", [])
                if _FOREGROUND not in finalizers:
                    finalizers.append(_FOREGROUND)
            if grace or metadata.get("finalizers") or kind == NAMESPACE:
                self._mark_deleting(kind, obj, grace)
                if propagation == "Foreground":
                    self._delete_dependents(metadata["uid"])
                if kind == NAMESPACE:
                    self._empty_namespace(name)
            else:
                self._remove(kind, obj)
            left = self.find(kind, namespace, name)
            gone = left is None or left["metadata"]["uid"] != metadata["uid"]
            return (obj, True) if gone or left is None else (left, False)

    # --- under the lock

    def _mark_deleting(self, kind: ResourceType, obj: Object, grace: int) -> None:
        previous = self._existing(kind, obj)
        metadata = obj["metadata"]
        if "deletionTimestamp" not in metadata or grace < metadata["deletionGracePeriodSeconds"]:
            metadata["deletionTimestamp"] = timestamp(datetime.now(UTC) + timedelta(seconds=grace))
            metadata["deletionGracePeriodSeconds"] = grace
        if kind == NAMESPACE:
            obj["status"]["phase"] = "Terminating"
        if obj != previous:
            self._put(kind, obj, "MODIFIED", previous=previous)
        self._finish_deletion(kind, obj)

    def _finish_deletion(self, kind: ResourceType, obj: Object) -> None:
        """Remove an object that was only waiting for its last finalizer, or its last dependents."""
        metadata = obj["metadata"]
        if not metadata.get("deletionTimestamp") or kind == NAMESPACE:
            return
        if metadata.get("finalizers") == [_FOREGROUND] and not self._dependents(metadata["uid"]):
            metadata["finalizers"] = []
        if not metadata.get("finalizers") and not metadata.get("deletionGracePeriodSeconds"):
            self._remove(kind, obj)

    def _remove(self, kind: ResourceType, obj: Object) -> None:
        metadata = obj["metadata"]
        if not self._pop(kind, obj):
            return
        self._delete_dependents(metadata["uid"])
        for reference in metadata.get("ownerReferences") or []:
            for owner_kind, owner in self._with_uid(reference["uid"]):
                self._finish_deletion(owner_kind, owner)
        if namespace := metadata.get("namespace"):
            self._finish_namespace(namespace)

    def _delete_dependents(self, uid: str) -> None:
        for kind, obj in self._dependents(uid):
            owners = [reference["uid"] for reference in obj["metadata"]["ownerReferences"]]
            if not any(self._with_uid(owner) for owner in owners if owner != uid):
                metadata = obj["metadata"]
                if not metadata.get("deletionTimestamp"):
                    options = DeleteOptions(propagation="Background")
                    self.delete(kind, metadata.get("namespace", ""), metadata["name"], options)

    def _disown(self, uid: str) -> None:
        for kind, obj in self._dependents(uid):
            previous = copy.deepcopy(obj)
            metadata = obj["metadata"]
            metadata["ownerReferences"] = [r for r in metadata["ownerReferences"] if r["uid"] != uid]
            self._put(kind, obj, "MODIFIED", previous=previous)

    def _empty_namespace(self, namespace: str) -> None:
        for kind, obj in self._all():
            metadata = obj["metadata"]
            if metadata.get("namespace") == namespace and self._is_kept(kind, obj):
                self.delete(kind, namespace, metadata["name"], DeleteOptions(propagation="Background"))
        self._finish_namespace(namespace)

    def _is_kept(self, kind: ResourceType, obj: Object) -> bool:
        return self._existing(kind, obj) is obj and "deletionTimestamp" not in obj["metadata"]

    def _finish_namespace(self, name: str) -> None:
        namespace = self.find(NAMESPACE, "", name)
        if namespace is None or "deletionTimestamp" not in namespace["metadata"]:
            return
        if not any(obj["metadata"].get("namespace") == name for _, obj in self._all()):
            self._remove(NAMESPACE, namespace)


def _without_nulls(value: Any) -> Any:
    """A copy of a document: a null is a field that is not there."""
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value


def _other_uid(wanted: str | None, obj: Object) -> str:
    found = obj["metadata"]["uid"]
    return f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"


def _grace_seconds(kind: ResourceType, obj: Object, wanted: int | None) -> int:
    """How long an object lives on after DELETE. A pod that no kubelet has taken, or that has ended, goes at once."""
    if kind != POD or not obj["spec"].get("nodeName") or obj["status"].get("phase") in _FINISHED:
        return 0
    return obj["spec"]["terminationGracePeriodSeconds"] if wanted is None else wanted
