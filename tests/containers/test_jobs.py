from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from etl_runtime.contract import DumpPrefix, ExitCode, transform_job_name
from etl_runtime.dump_source import DumpSource
from etl_runtime.faults import Fault
from etl_runtime.jobs import BeingDeleted, JobRefused, Jobs, NoAnswer, NoSlot, batch_api, read_template, stamp
from kubernetes.client import ApiException

from tests.containers.dispatch_bench import manifest_of
from tests.containers.dispatch_cluster import DispatchCluster, template_of

PREFIX = DumpPrefix("dev", "nightly-1", "etl-dump")
DUMP = DumpSource("raw", PREFIX.manifest_key, "v1", PREFIX, manifest_of("nightly-1"))
ARN = DUMP.manifest.execution_id
NAME = "etl-dev-20e2b76158f7145ad5de459ab9e20937f45ea5a6"


@pytest.fixture
def waits() -> list[float]:
    """The pauses between attempts, which take no time here."""
    return []


@pytest.fixture
def transform_jobs(cluster: DispatchCluster, waits: list[float]) -> Jobs:
    return Jobs(cluster.namespace, cluster.template, batch_api(cluster.kubeconfig), wait=waits.append)


def test_a_job_is_the_template_stamped_with_its_dump_and_nothing_else() -> None:
    template = template_of("etl")
    expected = copy.deepcopy(template)
    labels = {
        "app.kubernetes.io/name": "postgres-etl",
        "app.kubernetes.io/component": "transform",
        "postgres-etl/execution": "e9673773e793a22d0c9030fd8d2962c52a0de84d",
    }
    annotations = {
        "postgres-etl/execution-id": ARN,
        "postgres-etl/source": "s3://raw/dev/nightly-1/etl-dump/manifest.json?versionId=v1",
    }
    expected["metadata"] |= {"name": NAME, "labels": labels, "annotations": annotations}
    pod = expected["spec"]["template"]
    pod["metadata"] = {
        "labels": labels,
        "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", **annotations},
    }
    pod["spec"]["containers"][0]["env"] += [
        {"name": "EXECUTION_ID", "value": ARN},
        {"name": "DUMP_PREFIX", "value": "dev/nightly-1/etl-dump"},
        {"name": "MANIFEST_VERSION_ID", "value": "v1"},
    ]
    pod["spec"]["volumes"][0]["emptyDir"]["sizeLimit"] = "7Gi"
    for amounts in pod["spec"]["containers"][0]["resources"].values():
        amounts["ephemeral-storage"] = "8Gi"
    assert stamp(template, DUMP) == expected
    assert template == template_of("etl")
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


def test_a_template_is_read_as_it_was_written(cluster: DispatchCluster) -> None:
    assert read_template(cluster.template) == yaml.safe_load(cluster.template.read_text())


def test_jobs_that_have_not_finished_are_active_and_all_have_a_source(
    transform_jobs: Jobs, cluster: DispatchCluster
) -> None:
    for name in ("a", "b", "c", "d"):
        cluster.add(name, f"s3://raw/{name}?versionId=v")
    cluster.add("e", None)
    cluster.end("a", "Complete")
    cluster.end("b", "Failed")
    assert transform_jobs.active() == 3
    assert transform_jobs.sources() == {"", *(f"s3://raw/{name}?versionId=v" for name in ("a", "b", "c", "d"))}


def test_a_list_that_fails_gives_no_number(transform_jobs: Jobs, cluster: DispatchCluster) -> None:
    cluster.fault("list", status=500)
    with pytest.raises(ApiException):
        transform_jobs.active()


def test_a_list_that_is_not_answered_is_asked_once(transform_jobs: Jobs, cluster: DispatchCluster) -> None:
    """The loop turns on, and tries again by its own measure."""
    cluster.fault("list", times=None)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        transform_jobs.active()
    assert cluster.calls == ["list"]


def test_a_dump_s_job_is_made_once(transform_jobs: Jobs, cluster: DispatchCluster) -> None:
    assert transform_jobs.create(DUMP) is True
    assert list(cluster.jobs()) == [NAME]
    assert transform_jobs.create(DUMP) is False
    assert cluster.calls == ["create", "create", "read"]


@pytest.mark.parametrize("source", ["s3://raw/other?versionId=v1", None])
def test_a_name_that_another_dump_has_is_a_collision(
    transform_jobs: Jobs, cluster: DispatchCluster, source: str | None
) -> None:
    cluster.add(NAME, source)
    with pytest.raises(JobRefused) as refused:
        transform_jobs.create(DUMP)
    assert refused.value.reason == "collision"


def test_a_job_that_is_being_deleted_is_waited_for(transform_jobs: Jobs, cluster: DispatchCluster) -> None:
    transform_jobs.create(DUMP)
    cluster.begin_to_delete(NAME)
    with pytest.raises(BeingDeleted):
        transform_jobs.create(DUMP)


def test_a_job_that_is_deleted_between_two_calls_is_waited_for(transform_jobs: Jobs, cluster: DispatchCluster) -> None:
    cluster.fault("create", status=409)
    with pytest.raises(BeingDeleted):
        transform_jobs.create(DUMP)
    assert cluster.calls == ["create", "read"]


def test_a_used_up_quota_is_no_refusal(transform_jobs: Jobs, cluster: DispatchCluster) -> None:
    cluster.limit(0)
    with pytest.raises(NoSlot):
        transform_jobs.create(DUMP)
    assert cluster.calls == ["create", "read"]


def test_a_quota_that_nobody_has_counted_yet_is_no_refusal(transform_jobs: Jobs, cluster: DispatchCluster) -> None:
    cluster.fault("create", status=403, message="status unknown for quota: transforms, resources: count/jobs.batch")
    with pytest.raises(NoSlot):
        transform_jobs.create(DUMP)


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_what_kubernetes_will_never_take_is_refused_at_once(
    transform_jobs: Jobs, cluster: DispatchCluster, status: int
) -> None:
    cluster.fault("create", status=status)
    with pytest.raises(JobRefused) as refused:
        transform_jobs.create(DUMP)
    assert (refused.value.reason, cluster.calls) == (f"kubernetes_{status}", ["create", "read"])


def test_what_kubernetes_would_refuse_now_is_no_matter_if_it_is_there(
    transform_jobs: Jobs, cluster: DispatchCluster
) -> None:
    transform_jobs.create(DUMP)
    cluster.fault("create", status=422)
    assert transform_jobs.create(DUMP) is False


def test_a_job_that_the_server_finds_wrong_is_refused(cluster: DispatchCluster) -> None:
    template = template_of(cluster.namespace)
    template["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    cluster.template.write_text(yaml.safe_dump(template))
    with pytest.raises(JobRefused) as refused:
        Jobs(cluster.namespace, cluster.template, batch_api(cluster.kubeconfig)).create(DUMP)
    assert refused.value.reason == "kubernetes_422"


def test_a_job_that_the_client_itself_finds_wrong_is_refused_at_once(
    transform_jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise ValueError("1 validation error for V1Job")

    monkeypatch.setattr(transform_jobs._api, "create_namespaced_job", refuse)
    with pytest.raises(JobRefused) as refused:
        transform_jobs.create(DUMP)
    assert refused.value.reason == "invalid"


@pytest.mark.parametrize("how", [{"status": 500}, {"status": 429}, {"status": 401}, {"status": None}])
def test_a_fault_that_may_pass_is_tried_again(
    transform_jobs: Jobs, cluster: DispatchCluster, waits: list[float], how: dict[str, Any]
) -> None:
    cluster.fault("create", times=2, **how)
    assert transform_jobs.create(DUMP) is True
    assert cluster.calls == ["create"] * 3
    assert 0.5 <= waits[0] <= 1 <= waits[1] <= 2


def test_a_job_that_cannot_be_looked_at_is_tried_again(transform_jobs: Jobs, cluster: DispatchCluster) -> None:
    transform_jobs.create(DUMP)
    cluster.fault("read", status=500)
    assert transform_jobs.create(DUMP) is False
    assert cluster.calls == ["create", "create", "read", "create", "read"]


def test_a_fault_that_does_not_pass_is_told_after_three_attempts(
    transform_jobs: Jobs, cluster: DispatchCluster
) -> None:
    cluster.fault("create", times=3, status=500)
    with pytest.raises(NoAnswer, match=r"^500$"):
        transform_jobs.create(DUMP)
    assert (cluster.calls, cluster.jobs()) == (["create"] * 3, {})


def test_a_job_made_by_a_call_that_was_not_answered_is_found(transform_jobs: Jobs, cluster: DispatchCluster) -> None:
    cluster.fault("create", executed=True)
    assert transform_jobs.create(DUMP) is False
    assert cluster.calls == ["create", "create", "read"]
