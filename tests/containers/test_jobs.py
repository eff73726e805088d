from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from etl_runtime import jobs
from etl_runtime.contract import DumpPrefix, ExitCode, transform_job_name
from etl_runtime.faults import Fault
from etl_runtime.jobs import JobRefused, Jobs, NoSlot, read_template, stamp
from kubernetes.client import ApiException

from tests.containers.cluster_api import JOB_TEMPLATE, ClusterApi, refusal

ARN = "arn:aws:states:eu-west-2:123456789012:execution:postgres-etl-rds-to-s3:nightly-1"
PREFIX = DumpPrefix("dev", "nightly-1", "etl-dump")
DUMP: dict[str, Any] = {
    "bucket": "raw",
    "key": PREFIX.manifest_key,
    "version_id": "v1",
    "prefix": PREFIX,
    "execution_id": ARN,
}
NAME = "etl-dev-20e2b76158f7145ad5de459ab9e20937f45ea5a6"


@pytest.fixture
def api() -> ClusterApi:
    return ClusterApi()


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(JOB_TEMPLATE)
    return path


@pytest.fixture
def transform_jobs(api: ClusterApi, template: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    monkeypatch.setattr(jobs.time, "sleep", lambda _seconds: None)
    return Jobs("etl", template, api)


def test_a_job_is_the_template_stamped_with_its_dump_and_nothing_else(template: Path) -> None:
    read = read_template(template)
    labels = {
        "app.kubernetes.io/name": "postgres-etl",
        "app.kubernetes.io/component": "transform",
        "postgres-etl/execution": "e9673773e793a22d0c9030fd8d2962c52a0de84d",
    }
    annotations = {
        "postgres-etl/execution-id": ARN,
        "postgres-etl/source": "s3://raw/dev/nightly-1/etl-dump/manifest.json?versionId=v1",
    }
    assert stamp(read, **DUMP) == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": NAME, "labels": {"team": "data", **labels}, "annotations": annotations},
        "spec": {
            "backoffLimit": 3,
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", **annotations},
                },
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [
                        {
                            "name": "transform",
                            "image": "transform@sha256:00",
                            "env": [
                                {"name": "MOUNT_POINT", "value": "/scratch"},
                                {"name": "EXECUTION_ID", "value": ARN},
                                {"name": "DUMP_PREFIX", "value": "dev/nightly-1/etl-dump"},
                                {"name": "MANIFEST_VERSION_ID", "value": "v1"},
                            ],
                        }
                    ],
                },
            },
        },
    }
    assert read == yaml.safe_load(JOB_TEMPLATE)
    assert transform_job_name("raw", PREFIX.manifest_key, "v1", "dev") == NAME


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just text",
        "[]",
        "kind: Job",
        "kind: Pod\nspec: {template: {spec: {containers: [{name: transform}]}}}",
        "kind: Job\nspec: {template: {spec: {containers: []}}}",
        "kind: Job\nspec: {template: {spec: {containers: [{name: other}]}}}",
        "kind: Job\nspec: {template: {spec: {containers: [{name: transform}, {name: sidecar}]}}}",
        "kind: Job\nspec: {template: {spec: {containers: [transform]}}}",
        "kind: Job\nspec: [",
        "kind: !!python/object:os.system {}",
        b"kind: Job # caf\xe9",
    ],
)
def test_a_template_of_another_form_is_refused(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(Fault) as stopped:
        read_template(path)
    assert (stopped.value.code, stopped.value.message) == (
        ExitCode.CONFIG,
        f"{path} is not a Job with one container named transform",
    )


def test_jobs_that_have_not_finished_are_active(transform_jobs: Jobs, api: ClusterApi) -> None:
    api.jobs = {name: {"metadata": {"name": name, "labels": {}}} for name in ("a", "b", "c", "d")}
    api.finished = {"a": "Complete", "b": "Failed", "c": "Suspended"}
    assert transform_jobs.active() == 2


def test_a_list_that_fails_gives_no_number(transform_jobs: Jobs, api: ClusterApi) -> None:
    api.list_fault = refusal(500)
    with pytest.raises(ApiException):
        transform_jobs.active()


def test_a_dump_s_job_is_made_once(transform_jobs: Jobs, api: ClusterApi, template: Path) -> None:
    assert transform_jobs.create(**DUMP) is True
    assert api.jobs == {NAME: stamp(read_template(template), **DUMP)}
    assert transform_jobs.create(**DUMP) is False
    assert api.calls == ["create", "create", "read"]


def test_a_name_that_another_dump_has_is_a_collision(transform_jobs: Jobs, api: ClusterApi) -> None:
    api.jobs[NAME] = {"metadata": {"labels": {}, "annotations": {"postgres-etl/source": "s3://raw/other?versionId=v1"}}}
    with pytest.raises(JobRefused) as refused:
        transform_jobs.create(**DUMP)
    assert refused.value.reason == "collision"


def test_a_name_that_a_job_without_annotations_has_is_a_collision(transform_jobs: Jobs, api: ClusterApi) -> None:
    api.jobs[NAME] = {"metadata": {"labels": {}}}
    with pytest.raises(JobRefused, match="collision"):
        transform_jobs.create(**DUMP)


def test_a_job_that_is_being_deleted_is_waited_for(transform_jobs: Jobs, api: ClusterApi) -> None:
    transform_jobs.create(**DUMP)
    api.deleting.add(NAME)
    with pytest.raises(NoSlot):
        transform_jobs.create(**DUMP)


def test_a_job_that_is_deleted_between_two_calls_is_waited_for(transform_jobs: Jobs, api: ClusterApi) -> None:
    api.faults = [refusal(409)]
    with pytest.raises(NoSlot):
        transform_jobs.create(**DUMP)
    assert api.calls == ["create", "read"]


def test_a_used_up_quota_is_no_refusal(transform_jobs: Jobs, api: ClusterApi) -> None:
    api.faults = [refusal(403, 'jobs.batch "x" is forbidden: exceeded quota: transforms, requested: …')]
    with pytest.raises(NoSlot):
        transform_jobs.create(**DUMP)
    assert api.calls == ["create"]


@pytest.mark.parametrize(
    ("status", "message"),
    [(403, "jobs.batch is forbidden: User … cannot create"), (422, "invalid"), (400, ""), (404, "")],
)
def test_what_kubernetes_will_never_take_is_refused_at_once(
    transform_jobs: Jobs, api: ClusterApi, status: int, message: str
) -> None:
    api.faults = [refusal(status, message)]
    with pytest.raises(JobRefused) as refused:
        transform_jobs.create(**DUMP)
    assert refused.value.reason == f"kubernetes_{status}"
    assert api.calls == ["create"]


def test_a_job_that_the_client_itself_finds_wrong_is_refused_at_once(transform_jobs: Jobs, api: ClusterApi) -> None:
    api.faults = [ValueError("1 validation error for V1Job")]
    with pytest.raises(JobRefused) as refused:
        transform_jobs.create(**DUMP)
    assert (refused.value.reason, api.calls) == ("invalid", ["create"])


@pytest.mark.parametrize(
    "fault", [refusal(500), refusal(429), refusal(503), urllib3.exceptions.ReadTimeoutError(None, "", "")]
)  # type: ignore[arg-type]
def test_a_fault_that_may_pass_is_tried_again(transform_jobs: Jobs, api: ClusterApi, fault: Exception) -> None:
    api.faults = [fault, fault]
    assert transform_jobs.create(**DUMP) is True
    assert api.calls == ["create"] * 3


def test_a_fault_that_does_not_pass_is_raised_after_three_attempts(transform_jobs: Jobs, api: ClusterApi) -> None:
    api.faults = [refusal(500)] * 3
    with pytest.raises(ApiException):
        transform_jobs.create(**DUMP)
    assert api.calls == ["create"] * 3
    assert api.jobs == {}


def test_a_job_made_by_a_call_that_was_not_answered_is_found(
    transform_jobs: Jobs, api: ClusterApi, template: Path
) -> None:
    def made_all_the_same(name: str) -> Exception:
        api.jobs[name] = stamp(read_template(template), **DUMP)
        return refusal(500)

    api.faults = [made_all_the_same]
    assert transform_jobs.create(**DUMP) is False
    assert api.calls == ["create", "create", "read"]
