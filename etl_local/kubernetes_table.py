"""The table behind a Kubernetes store: objects by kind and name, each write with a version and a place in the history.

What is handed out is a copy; what is kept is never changed in place. Everything happens under one lock.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator

from etl_local.kubernetes_admission import quota_usage
from etl_local.kubernetes_history import Change, History
from etl_local.kubernetes_kinds import POD, RESOURCE_QUOTA, Kinds, Object, ResourceType
from etl_local.kubernetes_status import not_found


class ObjectTable:
    """All objects of one API server, and how they are read.

    Attributes:
        kinds: the kinds that are known.
        history: the changes.
    """

    def __init__(self) -> None:
        self.kinds = Kinds()
        self._lock = threading.RLock()
        self.history = History(self._lock)
        self._objects: dict[ResourceType, dict[tuple[str, str], Object]] = {}
        self._version = 1

    @property
    def version(self) -> int:
        """The resource version of the whole store."""
        return self._version

    # --- reading

    def find(self, kind: ResourceType, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        with self._lock:
            return copy.deepcopy(self._objects.get(kind, {}).get((namespace, name)))

    def get(self, kind: ResourceType, namespace: str, name: str) -> Object:
        """One object.

        Raises:
            KubernetesError: 404.
        """
        obj = self.find(kind, namespace, name)
        if obj is None:
            raise not_found(kind, name)
        return obj

    def list(self, kind: ResourceType, namespace: str | None = None) -> list[Object]:
        """The objects of a kind by namespace and name, in one namespace or (None) in all."""
        with self._lock:
            found = self._objects.get(kind, {})
            return [copy.deepcopy(found[key]) for key in sorted(found) if namespace in (None, key[0])]

    def count(self, kind: ResourceType, namespace: str, counted: Callable[[Object], bool]) -> int:
        """How many objects of a kind and namespace satisfy a condition, which must not change them."""
        with self._lock:
            found = self._objects.get(kind, {})
            return sum(1 for key, obj in found.items() if key[0] == namespace and counted(obj))

    def snapshot(self, kind: ResourceType, namespace: str | None = None) -> tuple[list[Object], int]:
        """The objects of a kind, and the store's version at that moment."""
        with self._lock:
            return self.list(kind, namespace), self._version

    def check_version(self, version: int) -> None:
        """Refuse what began before the history that is left.

        Raises:
            KubernetesError: 410.
        """
        with self._lock:
            self.history.check(version)

    def forget_history(self) -> None:
        """Drop the history, as a compaction does: watches cannot resume from any earlier version."""
        with self._lock:
            self.history.forget(self._version)

    def close(self) -> None:
        """End every watch."""
        self.history.close()

    # --- under the lock

    def _existing(self, kind: ResourceType, obj: Object) -> Object | None:
        metadata = obj["metadata"]
        return self._objects.get(kind, {}).get((metadata.get("namespace", ""), metadata["name"]))

    def _put(self, kind: ResourceType, obj: Object, verb: str, *, previous: Object | None = None) -> None:
        metadata = obj["metadata"]
        self._version += 1
        metadata["resourceVersion"] = str(self._version)
        kept = copy.deepcopy(obj)
        self._objects.setdefault(kind, {})[metadata.get("namespace", ""), metadata["name"]] = kept
        self._tell(kind, verb, kept, previous)

    def _tell(self, kind: ResourceType, verb: str, obj: Object, previous: Object | None) -> None:
        self.history.append(Change(self._version, kind, verb, obj, previous))
        if verb != "MODIFIED" or kind in (POD, RESOURCE_QUOTA):
            self._count_quotas(obj["metadata"].get("namespace"))

    def _count_quotas(self, namespace: str | None) -> None:
        for quota in self.list(RESOURCE_QUOTA, namespace) if namespace else ():
            hard = dict((quota.get("spec") or {}).get("hard") or {})
            used = {name: str(count) for name, count in quota_usage(self, quota).items()}
            status = {"hard": hard, "used": used}
            if quota.get("status") != status:
                self._put(RESOURCE_QUOTA, quota | {"status": status}, "MODIFIED", previous=quota)

    def _pop(self, kind: ResourceType, obj: Object) -> bool:
        """Take an object out; whether it was there."""
        metadata = obj["metadata"]
        previous = self._objects.get(kind, {}).pop((metadata.get("namespace", ""), metadata["name"]), None)
        if previous is not None:
            self._version += 1
            last = obj | {"metadata": metadata | {"resourceVersion": str(self._version)}}
            self._tell(kind, "DELETED", last, previous)
        return previous is not None

    def _all(self) -> Iterator[tuple[ResourceType, Object]]:
        for kind, found in list(self._objects.items()):
            for obj in list(found.values()):
                yield kind, obj

    def _with_uid(self, uid: str) -> list[tuple[ResourceType, Object]]:
        return [(kind, copy.deepcopy(obj)) for kind, obj in self._all() if obj["metadata"]["uid"] == uid]

    def _dependents(self, uid: str) -> list[tuple[ResourceType, Object]]:
        return [
            (kind, copy.deepcopy(obj))
            for kind, obj in self._all()
            if any(reference["uid"] == uid for reference in obj["metadata"].get("ownerReferences") or [])
        ]
