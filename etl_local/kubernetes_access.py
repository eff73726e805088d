"""Who asks, and may they: bearer tokens of service accounts, and the Roles and RoleBindings that grant verbs."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from etl_local.kubernetes_kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING, Object, ResourceType
from etl_local.kubernetes_status import KubernetesError, forbidden
from etl_local.kubernetes_store import ObjectStore

_OPEN_PATHS = ("/version", "/healthz", "/livez", "/readyz")


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    groups: frozenset[str] = field(default_factory=frozenset)


ADMINISTRATOR = User("kubernetes-admin", frozenset({"system:masters", "system:authenticated"}))
ANONYMOUS = User("system:anonymous", frozenset({"system:unauthenticated"}))


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is asked: a verb on a kind of object, perhaps one of them, perhaps a subresource of it."""

    verb: str
    kind: ResourceType
    namespace: str
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> str:
        """As rules name it: `jobs`, `pods/log`."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural


class Access:
    """The tokens of one API server, and its decisions.

    With `enforced` false whoever has a token may do anything. Nobody may without one, on a loopback address as well:
    a Job is a program that runs here, and any web page can have a browser send a request to any local port.
    """

    def __init__(self, store: ObjectStore, *, enforced: bool) -> None:
        self._store = store
        self._enforced = enforced
        self._lock = threading.Lock()
        self.administrator_token = secrets.token_urlsafe(24)
        self._users = {self.administrator_token: ADMINISTRATOR}

    def service_account_token(self, namespace: str, name: str) -> str:
        """A new token of a service account."""
        token = secrets.token_urlsafe(24)
        groups = {"system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"}
        with self._lock:
            self._users[token] = User(f"system:serviceaccount:{namespace}:{name}", frozenset(groups))
        return token

    def user(self, authorization: str) -> User:
        """Whom an `Authorization` header names.

        Raises:
            KubernetesError: 401, a token that nobody was given.
        """
        scheme, _, token = authorization.partition(" ")
        if not authorization:
            return ANONYMOUS
        with self._lock:
            user = self._users.get(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise KubernetesError(401, "Unauthorized")
        return user

    def check(self, user: User, attempt: Attempt) -> None:
        """Let an attempt pass or not.

        Raises:
            KubernetesError: 403.
        """
        if self._is_free(user) or any(_grants(rule, attempt) for rule in self._rules(user, attempt.namespace)):
            return
        where = f'in the namespace "{attempt.namespace}"' if attempt.namespace else "at the cluster scope"
        why = (
            f'User "{user.name}" cannot {attempt.verb} resource "{attempt.resource}" in API group '
            f'"{attempt.kind.group}" {where}'
        )
        raise forbidden(attempt.kind, attempt.name, why)

    def check_path(self, user: User, path: str) -> None:
        """Let a request for no object pass or not: discovery is for whoever is known, health and version for all.

        Raises:
            KubernetesError: 403.
        """
        if self._is_free(user) or path.startswith(_OPEN_PATHS) or "system:authenticated" in user.groups:
            return
        raise KubernetesError(403, f'forbidden: User "{user.name}" cannot get path "{path}"')

    def _is_free(self, user: User) -> bool:
        return "system:masters" in user.groups or (not self._enforced and user != ANONYMOUS)

    def _rules(self, user: User, namespace: str) -> Iterator[dict[str, Any]]:
        for binding in self._store.list(CLUSTER_ROLE_BINDING):
            if _binds(binding, user, ""):
                yield from self._role_rules(binding, "")
        for binding in self._store.list(ROLE_BINDING, namespace) if namespace else ():
            if _binds(binding, user, namespace):
                yield from self._role_rules(binding, namespace)

    def _role_rules(self, binding: Object, namespace: str) -> list[dict[str, Any]]:
        reference = binding["roleRef"]
        if reference["kind"] == "ClusterRole":
            role = self._store.find(CLUSTER_ROLE, "", reference["name"])
        else:
            role = self._store.find(ROLE, namespace, reference["name"])
        return (role or {}).get("rules") or []


def _binds(binding: Object, user: User, namespace: str) -> bool:
    for subject in binding.get("subjects") or []:
        match subject["kind"]:
            case "ServiceAccount":
                owner = subject.get("namespace") or namespace
                bound = user.name == f"system:serviceaccount:{owner}:{subject['name']}"
            case "Group":
                bound = subject["name"] in user.groups
            case _:
                bound = subject["name"] == user.name
        if bound:
            return True
    return False


def _grants(rule: dict[str, Any], attempt: Attempt) -> bool:
    resources, names = rule.get("resources") or [], rule.get("resourceNames") or []
    return (
        not {"*", attempt.verb}.isdisjoint(rule.get("verbs") or [])
        and not {"*", attempt.kind.group}.isdisjoint(rule.get("apiGroups") or [])
        and not {"*", attempt.resource, f"*/{attempt.subresource}"}.isdisjoint(resources)
        and (not names or attempt.name in names)
    )
