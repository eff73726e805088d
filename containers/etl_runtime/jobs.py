"""Transform Jobs in Kubernetes: how many are active, and the one for a dump, made once."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any, cast

import kubernetes.client
import kubernetes.config
import urllib3
import yaml

from etl_runtime.contract import (
    EXECUTION_ANNOTATION,
    EXECUTION_LABEL,
    SOURCE_ANNOTATION,
    TRANSFORM_CONTAINER,
    TRANSFORM_LABELS,
    DumpPrefix,
    Env,
    ExitCode,
    execution_label,
    source_annotation,
    transform_job_name,
)
from etl_runtime.faults import Fault

_ATTEMPTS = 3
_TIMEOUT_SECONDS = 10


class NoSlot(Exception):
    """The namespace's quota is used up, or the Job of this name is still being deleted: later."""


class JobRefused(Exception):
    """Kubernetes will never take this Job, or another dump's Job has its name.

    Attributes:
        reason: One word for the metric.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# The generated client has no types worth the name.
_client = cast(Any, kubernetes.client)
_config = cast(Any, kubernetes.config)


def _api() -> Any:
    try:
        _config.load_incluster_config()
    except _config.ConfigException:
        _config.load_kube_config()
    return _client.BatchV1Api()


def read_template(path: Path) -> dict[str, Any]:
    """The Job template: a batch/v1 Job with one container named `transform`.

    Raises:
        Fault: CONFIG when it is not.
    """
    try:
        template = cast(dict[str, Any], yaml.safe_load(path.read_text(encoding="utf-8")))
        containers = template["spec"]["template"]["spec"]["containers"]
        if template["kind"] != "Job" or [c["name"] for c in containers] != [TRANSFORM_CONTAINER]:
            raise KeyError
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        raise Fault(ExitCode.CONFIG, f"{path} is not a Job with one container named {TRANSFORM_CONTAINER}") from None
    return template


def stamp(
    template: dict[str, Any], *, bucket: str, key: str, version_id: str, prefix: DumpPrefix, execution_id: str
) -> dict[str, Any]:
    """The Job of one dump: the template with its name, labels, annotations and variables; nothing else varies."""
    job = copy.deepcopy(template)
    metadata = job.setdefault("metadata", {})
    metadata["name"] = transform_job_name(bucket, key, version_id, prefix.load_environment)
    labels = {**TRANSFORM_LABELS, EXECUTION_LABEL: execution_label(execution_id)}
    annotations = {EXECUTION_ANNOTATION: execution_id, SOURCE_ANNOTATION: source_annotation(bucket, key, version_id)}
    for place in (metadata, job["spec"]["template"].setdefault("metadata", {})):
        place["labels"] = {**place.get("labels", {}), **labels}
        place["annotations"] = {**place.get("annotations", {}), **annotations}
    container = job["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [
        *container.get("env", []),
        {"name": Env.EXECUTION_ID.value, "value": execution_id},
        {"name": Env.DUMP_PREFIX.value, "value": str(prefix)},
        {"name": Env.MANIFEST_VERSION_ID.value, "value": version_id},
    ]
    return job


class Jobs:
    """The transform Jobs of one namespace."""

    def __init__(self, namespace: str, template: Path, api: Any = None) -> None:
        self._namespace = namespace
        self._template = read_template(template)
        self._api = api or _api()
        self._selector = ",".join(f"{name}={value}" for name, value in TRANSFORM_LABELS.items())

    def active(self) -> int:
        """How many Jobs have neither completed nor failed."""
        jobs = self._api.list_namespaced_job(
            self._namespace, label_selector=self._selector, _request_timeout=_TIMEOUT_SECONDS
        ).items
        return sum(not _finished(job) for job in jobs)

    def create(self, *, bucket: str, key: str, version_id: str, prefix: DumpPrefix, execution_id: str) -> bool:
        """Make the Job of a dump, unless it is there.

        Returns:
            True when this call made it, False when it was there, made from the same dump.

        Raises:
            NoSlot: quota used up, or the name's last owner is still being deleted.
            JobRefused: the name belongs to another dump, or Kubernetes rejects the Job.
            ApiException, HTTPError: Kubernetes did not answer three times over.
        """
        job = stamp(
            self._template, bucket=bucket, key=key, version_id=version_id, prefix=prefix, execution_id=execution_id
        )
        errors = (_client.ApiException, urllib3.exceptions.HTTPError)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._api.create_namespaced_job(self._namespace, job, _request_timeout=_TIMEOUT_SECONDS)
                return True
            except ValueError:
                # The client checks a manifest against the API's schema before it sends anything.
                raise JobRefused("invalid") from None
            except errors as error:
                status = int(getattr(error, "status", None) or 0)
                if status == 409:
                    return self._verify(job)
                if status == 403 and "exceeded quota" in str(getattr(error, "body", "")):
                    raise NoSlot from None
                if 400 <= status < 500 and status != 429:
                    raise JobRefused(f"kubernetes_{status}") from None
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(0.5 * 2**attempt)
        raise AssertionError("unreachable")

    def _verify(self, job: dict[str, Any]) -> bool:
        """False when the Job that has the name was made from the same dump.

        Raises:
            NoSlot: it is being deleted, so the name is free in a while.
            JobRefused: it was made from another one.
        """
        name = job["metadata"]["name"]
        try:
            found = self._api.read_namespaced_job(name, self._namespace, _request_timeout=_TIMEOUT_SECONDS)
        except _client.ApiException as error:
            if error.status == 404:
                raise NoSlot from None
            raise
        if found.metadata.deletion_timestamp is not None:
            raise NoSlot
        annotations = cast(dict[str, str], found.metadata.annotations or {})
        if annotations.get(SOURCE_ANNOTATION) != job["metadata"]["annotations"][SOURCE_ANNOTATION]:
            raise JobRefused("collision")
        return False


def _finished(job: Any) -> bool:
    conditions = cast(list[Any], job.status.conditions or [])
    return any(c.type in ("Complete", "Failed") and c.status == "True" for c in conditions)
