"""Transform Jobs in Kubernetes: how many are active, and the one for a dump, made once."""

from __future__ import annotations

import copy
import random
import re
import time
from collections.abc import Callable, Mapping
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
    Env,
    ExitCode,
    execution_label,
    transform_job_name,
)
from etl_runtime.dump_source import DumpSource
from etl_runtime.faults import Fault
from etl_runtime.scratch_disk import fit_disk

_ATTEMPTS = 3
_TIMEOUT_SECONDS = 10
_OF_QUOTA = re.compile(r"exceeded quota|status unknown for quota")
"""https://github.com/kubernetes/apiserver/blob/master/pkg/admission/plugin/resourcequota/controller.go"""


class NoSlot(Exception):
    """The namespace's quota is used up: no Job of any dump can be made now."""


class NoAnswer(Exception):
    """Kubernetes did not answer as it should, several times over; what it did meanwhile is not known."""


class BeingDeleted(Exception):
    """The last Job of this name is on its way out: later."""


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
KUBERNETES_ERRORS: tuple[type[Exception], ...] = (_client.ApiException, urllib3.exceptions.HTTPError)


def batch_api(kubeconfig: Path | None = None) -> Any:
    """A `BatchV1Api` as the pod's own account, or by a kubeconfig where there is no such account."""
    configuration = _client.Configuration()
    try:
        _config.load_incluster_config(client_configuration=configuration)
    except _config.ConfigException:
        _config.load_kube_config(config_file=kubeconfig and str(kubeconfig), client_configuration=configuration)
    # By default urllib3 itself tries four times, each with the whole timeout; here every attempt is counted.
    configuration.retries = False
    return _client.BatchV1Api(_client.ApiClient(configuration))


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


def stamp(template: Mapping[str, Any], source: DumpSource) -> dict[str, Any]:
    """The Job of one dump: the template with its name, labels, annotations, variables and the size of its disk."""
    prefix, execution_id = source.prefix, source.manifest.execution_id
    job = copy.deepcopy(dict(template))
    metadata = job.setdefault("metadata", {})
    metadata["name"] = transform_job_name(source.bucket, source.key, source.version_id, prefix.load_environment)
    labels = {**TRANSFORM_LABELS, EXECUTION_LABEL: execution_label(execution_id)}
    annotations = {EXECUTION_ANNOTATION: execution_id, SOURCE_ANNOTATION: str(source)}
    for place in (metadata, job["spec"]["template"].setdefault("metadata", {})):
        place["labels"] = {**place.get("labels", {}), **labels}
        place["annotations"] = {**place.get("annotations", {}), **annotations}
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    container["env"] = [
        *container.get("env", []),
        {"name": Env.EXECUTION_ID.value, "value": execution_id},
        {"name": Env.DUMP_PREFIX.value, "value": str(prefix)},
        {"name": Env.MANIFEST_VERSION_ID.value, "value": source.version_id},
    ]
    fit_disk(pod, source.manifest)
    return job


class Jobs:
    """The transform Jobs of one namespace.

    Args:
        namespace: Theirs.
        template: The file of the Job template.
        api: A `BatchV1Api`; by default the one of the pod's own account, or of the kubeconfig.
        wait: Waits so many seconds between two attempts.
    """

    def __init__(
        self, namespace: str, template: Path, api: Any = None, wait: Callable[[float], object] = time.sleep
    ) -> None:
        self._namespace = namespace
        self._template = read_template(template)
        self._api = api or batch_api()
        self._wait = wait
        self._selector = ",".join(f"{name}={value}" for name, value in TRANSFORM_LABELS.items())

    def active(self) -> int:
        """How many Jobs have neither completed nor failed.

        Raises:
            ApiException, HTTPError: Kubernetes did not list them; how many there are is not known.
        """
        return sum(not _finished(job) for job in self._list())

    def sources(self) -> set[str]:
        """What the Jobs that are there, ended ones too, were made from: their source annotations.

        Raises:
            ApiException, HTTPError: Kubernetes did not list them.
        """
        return {_source(job) for job in self._list()}

    def _list(self) -> list[Any]:
        return self._api.list_namespaced_job(
            self._namespace, label_selector=self._selector, _request_timeout=_TIMEOUT_SECONDS
        ).items

    def create(self, source: DumpSource) -> bool:
        """Make the Job of a dump, unless it is there.

        Returns:
            True when this call made it, False when it was there, made from the same dump.

        Raises:
            NoSlot: the quota is used up.
            BeingDeleted: the name's last owner is still being deleted.
            JobRefused: the name belongs to another dump, or Kubernetes rejects the Job.
            NoAnswer: Kubernetes did not answer three times over.
        """
        job = stamp(self._template, source)
        failure = ""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._api.create_namespaced_job(self._namespace, job, _request_timeout=_TIMEOUT_SECONDS)
                return True
            except ValueError:
                # The client checks a manifest against the API's schema before it sends anything.
                raise JobRefused("invalid") from None
            except KUBERNETES_ERRORS as error:
                failure = error_word(error)
                if (refusal := _refusal(error)) and self._is_there_despite(refusal, job):
                    return False
            if attempt < _ATTEMPTS:
                self._wait(2**attempt * random.uniform(0.25, 0.5))  # noqa: S311 - jitter
        raise NoAnswer(failure)

    def _is_there_despite(self, refusal: Exception, job: dict[str, Any]) -> bool:
        """Whether the dump's Job is there whatever was refused just now; quota and policy are asked before names.

        Raises:
            BeingDeleted, JobRefused: as `create`.
            NoSlot: the quota is used up, and the Job is not there.
        """
        try:
            found = self._api.read_namespaced_job(
                job["metadata"]["name"], self._namespace, _request_timeout=_TIMEOUT_SECONDS
            )
        except KUBERNETES_ERRORS as error:
            if getattr(error, "status", None) == 404:
                raise refusal from None
            return False  # tried again
        if found.metadata.deletion_timestamp is not None:
            raise BeingDeleted
        if _source(found) != job["metadata"]["annotations"][SOURCE_ANNOTATION]:
            raise JobRefused("collision")
        return True


def error_word(error: Exception) -> str:
    """An error of the API by its status, or by its type where there was no answer."""
    status = int(getattr(error, "status", None) or 0)
    return str(status) if status else type(error).__name__


def _refusal(error: Exception) -> Exception | None:
    """What a refusal means where the Job is not there; None for what may pass: no answer, 401, 408, 429 and 5xx."""
    status = int(getattr(error, "status", None) or 0)
    if status == 409:
        return BeingDeleted()
    if status == 403 and _OF_QUOTA.search(str(getattr(error, "body", ""))):
        return NoSlot()
    # 401: a token that was renewed meanwhile is read at the next attempt
    return JobRefused(f"kubernetes_{status}") if 400 <= status < 500 and status not in (401, 408, 429) else None


def _source(job: Any) -> str:
    annotations = cast(dict[str, str], job.metadata.annotations or {})
    return annotations.get(SOURCE_ANNOTATION, "")


def _finished(job: Any) -> bool:
    conditions = cast(list[Any], job.status.conditions or [])
    return any(c.type in ("Complete", "Failed") and c.status == "True" for c in conditions)
