"""The cluster of a dispatcher under test: one namespace of an API server, behind a door at which calls are broken."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml
from etl_runtime.contract import SOURCE_ANNOTATION, Env
from werkzeug.serving import WSGIRequestHandler, make_server

from etl_infra.documents.pod import PodSize
from etl_infra.documents.transform_job import TransformJob, job_template
from etl_local.kubernetes_faults import Fault, Faults
from tests.containers.api_server import ApiServer

_FINALIZER = "example.com/not-yet"


class _QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


def template_of(namespace: str) -> dict[str, Any]:
    """The Job template of the deployed program."""
    return job_template(
        TransformJob(
            namespace=namespace,
            image="registry.example.com/postgres-etl@sha256:" + "0" * 64,
            scrub_config_map="scrub-rules",
            size=PodSize(cpu_millis=1000, memory_mib=2048, storage_gib=101),
            scratch_gib=100,
            timeout_seconds=3600,
            environment={Env.MOUNT_POINT: "/scratch"},
        )
    )


class DispatchCluster:
    """One namespace.

    Attributes:
        namespace: its name.
        kubeconfig: leads through the door.
        calls: the verbs of the calls that came to the door, in order: `list`, `create`, `read`.
        before: called before a call of a verb is passed on, with the verb's name: what others do meanwhile.
    """

    def __init__(self, server: ApiServer, directory: Path) -> None:
        self._server = server
        self.namespace = server.new_namespace()
        self.calls: list[str] = []
        self.before: dict[str, Callable[[], None]] = {}
        self._faults = Faults(self._forward)
        self._door = make_server("127.0.0.1", 0, self._note, threaded=True, request_handler=_QuietHandler)
        self._thread = threading.Thread(target=self._door.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self._pool = server.pool(16, retries=False)
        url = f"http://127.0.0.1:{self._door.server_port}"
        self.kubeconfig = server.kubeconfig(directory / "kubeconfig", url, self.namespace)
        self.template = directory / "job.yaml"
        self.template.write_text(yaml.safe_dump(template_of(self.namespace)))

    def close(self) -> None:
        self._faults.close()
        self._door.shutdown()
        self._thread.join()
        self._door.server_close()

    # --- the door

    def _note(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        # What a broken call leaves unread would be taken for the connection's next request.
        length = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        named = not environ["PATH_INFO"].endswith("/jobs")
        verb = {"POST": "create", "GET": "read" if named else "list"}.get(environ["REQUEST_METHOD"], "other")
        self.calls.append(verb)
        if meanwhile := self.before.get(verb):
            meanwhile()
        return self._faults(environ, start)

    def _forward(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        query = f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else ""
        answer = self._pool.request(
            environ["REQUEST_METHOD"],
            f"{self._server.url}{environ['PATH_INFO']}{query}",
            body=environ["wsgi.input"].read() or None,
            headers={
                "Authorization": environ.get("HTTP_AUTHORIZATION", ""),
                "Content-Type": environ.get("CONTENT_TYPE", "application/json"),
                "Accept": environ.get("HTTP_ACCEPT", "application/json"),
            },
        )
        headers = [("Content-Type", answer.headers["Content-Type"]), ("Content-Length", str(len(answer.data)))]
        start(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
        return [answer.data]

    def fault(self, verb: str, **how: Any) -> Fault:
        """Break the next calls of a verb; `how` as in `etl_local.kubernetes_faults.Faults.order`."""
        method, path = {"create": ("POST", "/jobs$"), "list": ("GET", "/jobs$"), "read": ("GET", "/jobs/.+$")}[verb]
        return self._faults.order(method, path, **how)

    # --- behind it

    @property
    def _path(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.namespace}/jobs"

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Name → Job."""
        return {job["metadata"]["name"]: job for job in self._server.ask("GET", self._path)["items"]}

    def add(self, name: str, source: str | None) -> None:
        """A Job that somebody else made, from another dump or from none."""
        job = template_of(self.namespace)
        job["metadata"] |= {"name": name, "annotations": {SOURCE_ANNOTATION: source} if source else {}}
        self._server.ask("POST", self._path, job)

    def end(self, name: str, condition: str = "Complete") -> None:
        """Let a Job be over: `Complete` or `Failed`."""
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        before = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}[condition]
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": moment, "lastProbeTime": moment}
            for kind in (before, condition)
        ]
        status: dict[str, Any] = {"startTime": moment, "conditions": conditions}
        if condition == "Complete":
            status |= {"completionTime": moment, "succeeded": 1}
        self._server.ask("PATCH", f"{self._path}/{name}/status", {"status": status}, "application/merge-patch+json")

    def delete(self, name: str) -> None:
        """As the TTL does."""
        self._server.ask("DELETE", f"{self._path}/{name}", {"propagationPolicy": "Background"})

    def begin_to_delete(self, name: str) -> None:
        """Leave a Job with a `deletionTimestamp`, held by a finalizer."""
        held = {"metadata": {"finalizers": [_FINALIZER]}}
        self._server.ask("PATCH", f"{self._path}/{name}", held, "application/merge-patch+json")
        self.delete(name)

    def finish_deleting(self, name: str) -> None:
        """Let it go."""
        free = {"metadata": {"finalizers": None}}
        self._server.ask("PATCH", f"{self._path}/{name}", free, "application/merge-patch+json")

    def limit(self, jobs: int) -> None:
        """A quota of so many Jobs, ended ones too. A quota controller would count; a test has to."""
        path, count = f"/api/v1/namespaces/{self.namespace}/resourcequotas", {"count/jobs.batch": str(jobs)}
        with contextlib.suppress(AssertionError):
            self._server.ask("DELETE", f"{path}/transforms")
        self._server.ask("POST", path, {"metadata": {"name": "transforms"}, "spec": {"hard": count}})
        status = {"status": {"hard": count, "used": {"count/jobs.batch": str(len(self.jobs()))}}}
        self._server.ask("PATCH", f"{path}/transforms/status", status, "application/merge-patch+json")


@contextlib.contextmanager
def dispatch_cluster(server: ApiServer, directory: Path) -> Iterator[DispatchCluster]:
    """A cluster from `with` to its end."""
    cluster = DispatchCluster(server, directory)
    try:
        yield cluster
    finally:
        cluster.close()
