"""A Kubernetes API server in this process: real HTTP on a loopback port, for the official client and for tests.

What it serves behaves as Kubernetes does where this project can tell the difference: versions, watches and deletion
(`kubernetes_store`), what is refused (`kubernetes_validation`, `kubernetes_admission`), tokens and RBAC
(`kubernetes_access`); `kubernetes_faults` is what tests break on purpose. Policies written in CEL are stored and never
evaluated, network policies likewise; JSON Patch is refused; strategic merges replace lists.
"""

from __future__ import annotations

import copy
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from werkzeug.serving import WSGIRequestHandler, make_server

from etl_local.kubernetes_access import Access
from etl_local.kubernetes_endpoints import Endpoints
from etl_local.kubernetes_faults import Fault, Faults
from etl_local.kubernetes_kinds import Object
from etl_local.kubernetes_logs import PodLogs
from etl_local.kubernetes_schema import decode
from etl_local.kubernetes_store import DeleteOptions, ObjectStore

_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


class _RequestHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # chunked answers: a watch arrives event by event
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: what is done is seen in the objects."""


class KubernetesApi:
    """One API server, from `with` to its end.

    Attributes:
        store: its objects, for controllers in this process.
        logs: its pods' logs, for a kubelet in this process to write.
        access: its tokens and decisions.
    """

    def __init__(self, host: str = "127.0.0.1", *, rbac: bool = False) -> None:
        """Make an empty cluster with its four namespaces, and take a port.

        Args:
            host: a loopback address.
            rbac: whether Roles are enforced. Without it whoever has a token may do anything.
        """
        self.store = ObjectStore()
        self.logs = PodLogs()
        self.access = Access(self.store, enforced=rbac)
        self._faults = Faults(Endpoints(self.store, self.access, self.logs))
        for name in _NAMESPACES:
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self._server = make_server(host, 0, self._faults, threaded=True, request_handler=_RequestHandler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), name="kubernetes api", daemon=True
        )
        self.url = f"http://{host}:{self._server.server_port}"

    def __enter__(self) -> KubernetesApi:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End watches, logs and faults, and give the port back."""
        self._faults.close()
        self.store.close()
        self.logs.close()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def create(self, manifest: Object) -> Object:
        """Create an object, or bring an existing one to what the manifest says; its status stays.

        Raises:
            KubernetesError: as over HTTP.
            ValueError: the manifest has no kind.
        """
        kind = self.store.kinds.of_manifest(manifest)
        obj = copy.deepcopy(manifest)
        metadata = obj.setdefault("metadata", {})
        if kind.namespaced:
            metadata.setdefault("namespace", "default")
        decode(kind, obj)
        if metadata.get("name") and self.store.find(kind, metadata.get("namespace", ""), metadata["name"]):
            metadata.pop("resourceVersion", None)
            return self.store.replace(kind, obj)
        return self.store.create(kind, obj)

    def get(self, kind: str, name: str, namespace: str = "default") -> Object:
        """One object, by its kind's name (`Job`).

        Raises:
            KubernetesError: 404.
            KeyError: no such kind.
        """
        found = self.store.kinds.of(kind)
        return self.store.get(found, namespace if found.namespaced else "", name)

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        """The objects of a kind, in one namespace or in all.

        Raises:
            KeyError: no such kind.
        """
        return self.store.list(self.store.kinds.of(kind), namespace)

    def delete(self, kind: str, name: str, namespace: str = "default", *, propagation: str = "Background") -> None:
        """Delete an object with what it owns.

        Raises:
            KubernetesError: 404.
            KeyError: no such kind.
        """
        found = self.store.kinds.of(kind)
        options = DeleteOptions(propagation=propagation)
        self.store.delete(found, namespace if found.namespaced else "", name, options)

    def service_account_token(self, namespace: str, name: str) -> str:
        """A new bearer token of a service account."""
        return self.access.service_account_token(namespace, name)

    def kubeconfig(self, path: Path, token: str | None = None, namespace: str = "default") -> Path:
        """Write a kubeconfig file for this server, readable by its owner alone.

        Args:
            path: where.
            token: whose token; by default the administrator's.
            namespace: the context's namespace.
        """
        document: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": {"server": self.url}}],
            "users": [{"name": "local", "user": {"token": token or self.access.administrator_token}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local", "namespace": namespace}}],
            "current-context": "local",
        }
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(yaml.safe_dump(document))
        return path

    def fault(self, method: str = ".*", path: str = "", **how: Any) -> Fault:
        """Break the next requests that match; `how` as in `Faults.order`.

        `fault("POST", "/jobs$", status=500, executed=True)` is the Job that was created although the answer was 500.
        """
        return self._faults.order(method, path, **how)
