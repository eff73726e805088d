"""Objects of the Kubernetes stand-in: made, read, changed, listed and deleted by the official client."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes import client

from tests.local.conftest import Cluster, job, pod_spec

NOTHING = "pass"


def config_map(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "data": {"key": "value"}}


def names(found: Any) -> list[str]:
    return [item.metadata.name for item in found.items]


def test_a_new_object_gets_an_identity_and_its_defaults(cluster: Cluster):
    made = cluster.batch.create_namespaced_job("default", job(NOTHING, podFailurePolicy={"rules": []}))
    assert made.metadata.uid
    assert made.metadata.resource_version
    assert made.metadata.generation == 1
    assert made.metadata.creation_timestamp
    assert (made.spec.parallelism, made.spec.completions, made.spec.backoff_limit) == (1, 1, 6)
    assert made.spec.pod_replacement_policy == "Failed"
    assert made.spec.selector.match_labels == {"batch.kubernetes.io/controller-uid": made.metadata.uid}
    assert made.spec.template.metadata.labels == {
        "batch.kubernetes.io/controller-uid": made.metadata.uid,
        "batch.kubernetes.io/job-name": "work",
        "controller-uid": made.metadata.uid,
        "job-name": "work",
    }
    assert cluster.batch.read_namespaced_job("work", "default") == made


def test_a_generated_name_is_the_prefix_and_five_characters(cluster: Cluster):
    made = cluster.core.create_namespaced_config_map("default", {"metadata": {"generateName": "some-"}})
    assert made.metadata.name.startswith("some-")
    assert len(made.metadata.name) == len("some-") + 5


def test_a_new_object_cannot_bring_its_own_status(cluster: Cluster):
    made = cluster.batch.create_namespaced_job("default", job(NOTHING) | {"status": {"succeeded": 1}})
    assert made.status.succeeded is None


def test_a_null_is_a_field_that_is_not_there(cluster: Cluster):
    manifest = job(NOTHING, backoffLimit=None, pod={"volumes": None, "container": {"ports": None, "resources": None}})
    manifest["spec"]["template"]["metadata"] = {"creationTimestamp": None, "labels": None}
    made = cluster.batch.create_namespaced_job("default", manifest)
    assert (made.spec.backoff_limit, made.spec.template.spec.volumes) == (6, None)


def test_a_write_with_a_stale_version_is_a_conflict(cluster: Cluster):
    first = cluster.core.create_namespaced_config_map("default", config_map("one"))
    first.data = {"key": "second"}
    second = cluster.core.replace_namespaced_config_map("one", "default", first)
    assert int(second.metadata.resource_version) > int(first.metadata.resource_version)
    with pytest.raises(client.ApiException) as refusal:
        cluster.core.replace_namespaced_config_map("one", "default", first)
    assert refusal.value.status == 409
    assert '"reason": "Conflict"' in refusal.value.body
    assert "the object has been modified; please apply your changes to the latest version" in refusal.value.body


def test_a_write_that_changes_nothing_makes_no_version(cluster: Cluster):
    made = cluster.core.create_namespaced_config_map("default", config_map("one"))
    assert cluster.core.replace_namespaced_config_map("one", "default", made) == made


def test_the_generation_counts_changes_of_the_spec_alone(cluster: Cluster):
    cluster.batch.create_namespaced_job("default", job(NOTHING))
    relabelled = cluster.batch.patch_namespaced_job("work", "default", {"metadata": {"labels": {"a": "b"}}})
    resized = cluster.batch.patch_namespaced_job("work", "default", {"spec": {"parallelism": 2}})
    assert (relabelled.metadata.generation, resized.metadata.generation) == (1, 2)


def test_a_patch_merges_and_null_removes(cluster: Cluster):
    cluster.core.create_namespaced_config_map("default", config_map("one", a="1", b="2"))
    patch = {"metadata": {"labels": {"a": None, "c": "3"}}, "data": {"other": "x"}}
    patched = cluster.core.patch_namespaced_config_map("one", "default", patch)
    assert patched.metadata.labels == {"b": "2", "c": "3"}
    assert patched.data == {"key": "value", "other": "x"}


def test_a_server_side_apply_creates_and_then_changes(cluster: Cluster):
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "1"}}
    options = {"field_manager": "tests", "_content_type": "application/apply-patch+yaml"}
    made = cluster.core.patch_namespaced_config_map("one", "default", manifest, **options)
    changed = cluster.core.patch_namespaced_config_map("one", "default", manifest | {"data": {"a": "2"}}, **options)
    assert (made.data, changed.data) == ({"a": "1"}, {"a": "2"})
    assert made.metadata.uid == changed.metadata.uid


def test_a_status_is_written_at_its_own_endpoint_alone(cluster: Cluster):
    cluster.batch.create_namespaced_job("default", job(NOTHING))
    through_object = cluster.batch.patch_namespaced_job("work", "default", {"status": {"active": 3}})
    through_status = cluster.batch.patch_namespaced_job_status(
        "work", "default", {"status": {"active": 2}, "spec": {"parallelism": 9}}
    )
    assert through_object.status.active is None
    assert (through_status.status.active, through_status.spec.parallelism) == (2, 1)
    assert cluster.batch.read_namespaced_job_status("work", "default").status.active == 2


def test_a_dry_run_stores_nothing(cluster: Cluster):
    assert cluster.batch.create_namespaced_job("default", job(NOTHING), dry_run="All").metadata.name == "work"
    assert cluster.batch.list_namespaced_job("default").items == []


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("", ["one", "three", "two"]),
        ("app=etl", ["one", "two"]),
        ("app==etl,tier!=b", ["one"]),
        ("tier in (a, b)", ["one", "two"]),
        ("tier notin (a)", ["three", "two"]),
        ("!tier", ["three"]),
        ("tier", ["one", "two"]),
    ],
)
def test_a_label_selector_chooses(cluster: Cluster, selector: str, chosen: list[str]):
    cluster.core.create_namespaced_config_map("default", config_map("one", app="etl", tier="a"))
    cluster.core.create_namespaced_config_map("default", config_map("two", app="etl", tier="b"))
    cluster.core.create_namespaced_config_map("default", config_map("three", app="other"))
    assert names(cluster.core.list_namespaced_config_map("default", label_selector=selector)) == chosen


def test_a_field_selector_chooses_by_name_and_phase(cluster: Cluster):
    for name in ("one", "two"):
        cluster.core.create_namespaced_pod("default", {"metadata": {"name": name}, "spec": pod_spec(NOTHING)})
    cluster.core.patch_namespaced_pod_status("two", "default", {"status": {"phase": "Failed"}})
    listed = cluster.core.list_namespaced_pod
    assert names(listed("default", field_selector="metadata.name=one")) == ["one"]
    assert names(listed("default", field_selector="status.phase!=Failed")) == ["one"]
    assert names(listed("default", field_selector="status.phase=Failed,metadata.name=one")) == []


@pytest.mark.parametrize("selector", [{"label_selector": "a in b"}, {"field_selector": "spec.colour=red"}])
def test_a_selector_that_makes_no_sense_is_a_bad_request(cluster: Cluster, selector: dict[str, str]):
    with pytest.raises(client.ApiException) as refusal:
        cluster.core.list_namespaced_pod("default", **selector)
    assert refusal.value.status == 400


def test_a_list_comes_in_pages(cluster: Cluster):
    for number in range(5):
        cluster.core.create_namespaced_config_map("default", config_map(f"map-{number}"))
    pages: list[list[str]] = []
    token = None
    while token != "":
        page = cluster.core.list_namespaced_config_map("default", limit=2, _continue=token)
        pages.append(names(page))
        token = page.metadata._continue or ""
    assert pages == [["map-0", "map-1"], ["map-2", "map-3"], ["map-4"]]


def test_a_page_whose_version_was_compacted_away_has_expired(cluster: Cluster):
    for number in range(3):
        cluster.core.create_namespaced_config_map("default", config_map(f"map-{number}"))
    page = cluster.core.list_namespaced_config_map("default", limit=1)
    cluster.core.create_namespaced_config_map("default", config_map("later"))
    cluster.api.store.forget_history()
    with pytest.raises(client.ApiException) as refusal:
        cluster.core.list_namespaced_config_map("default", limit=1, _continue=page.metadata._continue)
    assert (refusal.value.status, '"reason": "Expired"' in refusal.value.body) == (410, True)


def test_an_object_is_listed_across_namespaces(cluster: Cluster):
    cluster.core.create_namespace({"metadata": {"name": "other"}})
    cluster.batch.create_namespaced_job("other", job(NOTHING))
    found = cluster.batch.list_job_for_all_namespaces()
    assert [(item.metadata.namespace, item.metadata.name) for item in found.items] == [("other", "work")]


def test_secret_text_is_kept_encoded(cluster: Cluster):
    made = cluster.core.create_namespaced_secret("default", {"metadata": {"name": "s"}, "stringData": {"a": "text"}})
    assert (made.data, made.string_data, made.type) == ({"a": "dGV4dA=="}, None, "Opaque")


# --- deletion


def test_a_deleted_object_is_gone_and_its_name_free(cluster: Cluster):
    first = cluster.core.create_namespaced_config_map("default", config_map("one"))
    status = cluster.core.delete_namespaced_config_map("one", "default")
    assert status["status"] == "Success"
    assert status["details"] == {"name": "one", "kind": "configmaps", "uid": first.metadata.uid}
    with pytest.raises(client.ApiException) as refusal:
        cluster.core.read_namespaced_config_map("one", "default")
    assert (refusal.value.status, refusal.value.reason) == (404, "Not Found")
    assert cluster.core.create_namespaced_config_map("default", config_map("one")).metadata.uid != first.metadata.uid


def test_a_precondition_guards_against_deleting_a_namesake(cluster: Cluster):
    cluster.core.create_namespaced_config_map("default", config_map("one"))
    options = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="another"))
    with pytest.raises(client.ApiException) as refusal:
        cluster.core.delete_namespaced_config_map("one", "default", body=options)
    assert (refusal.value.status, "Precondition failed: UID" in refusal.value.body) == (409, True)


def test_a_collection_is_deleted_by_selector(cluster: Cluster):
    cluster.core.create_namespaced_config_map("default", config_map("one", app="etl"))
    cluster.core.create_namespaced_config_map("default", config_map("two"))
    cluster.core.delete_collection_namespaced_config_map("default", label_selector="app=etl")
    assert names(cluster.core.list_namespaced_config_map("default")) == ["two"]


def test_a_finalizer_keeps_an_object_until_it_is_taken_off(cluster: Cluster):
    manifest = config_map("one")
    manifest["metadata"]["finalizers"] = ["example.com/wait"]
    cluster.core.create_namespaced_config_map("default", manifest)
    cluster.core.delete_namespaced_config_map("one", "default")
    kept = cluster.core.read_namespaced_config_map("one", "default")
    assert kept.metadata.deletion_timestamp
    kept.metadata.finalizers = []
    cluster.core.replace_namespaced_config_map("one", "default", kept)
    assert names(cluster.core.list_namespaced_config_map("default")) == []


def owned_pod(cluster: Cluster) -> dict[str, Any]:
    owner = cluster.api.create(job(NOTHING))["metadata"]
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": owner["name"], "uid": owner["uid"]}
    metadata = {"name": "child", "ownerReferences": [reference]}
    return cluster.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(NOTHING)})


def test_a_job_deleted_in_the_background_takes_its_pods_along(cluster: Cluster):
    owned_pod(cluster)
    cluster.batch.delete_namespaced_job("work", "default", propagation_policy="Background")
    assert (cluster.api.list("Job"), cluster.pods()) == ([], [])


@pytest.mark.parametrize("policy", [{}, {"propagation_policy": "Orphan"}])
def test_a_job_deleted_without_a_policy_leaves_its_pods(cluster: Cluster, policy: dict[str, str]):
    owned_pod(cluster)
    answer = cluster.batch.delete_namespaced_job_with_http_info("work", "default", **policy)
    assert cluster.api.list("Job") == []
    assert [pod["metadata"].get("ownerReferences") for pod in cluster.pods()] == [[]]
    assert ("child pods are preserved by default" in (answer[2].get("Warning") or "")) is not bool(policy)


def test_a_job_deleted_in_the_foreground_goes_after_its_pods(cluster: Cluster):
    pod = owned_pod(cluster)
    pod["metadata"]["finalizers"] = ["example.com/wait"]
    pod = cluster.api.create(pod)
    cluster.batch.delete_namespaced_job("work", "default", propagation_policy="Foreground")
    waiting = cluster.batch.read_namespaced_job("work", "default")
    assert waiting.metadata.finalizers == ["foregroundDeletion"]
    assert waiting.metadata.deletion_timestamp
    cluster.core.patch_namespaced_pod("child", "default", {"metadata": {"finalizers": []}})
    assert (cluster.api.list("Job"), cluster.pods()) == ([], [])


def test_a_namespace_goes_with_all_that_is_in_it(cluster: Cluster):
    cluster.core.create_namespace({"metadata": {"name": "other"}})
    assert names(cluster.core.list_namespaced_service_account("other")) == ["default"]
    manifest = config_map("one")
    manifest["metadata"]["finalizers"] = ["example.com/wait"]
    cluster.core.create_namespaced_config_map("other", manifest)
    cluster.core.delete_namespace("other")
    assert cluster.core.read_namespace("other").status.phase == "Terminating"
    with pytest.raises(client.ApiException) as refusal:
        cluster.core.create_namespaced_config_map("other", config_map("two"))
    assert (refusal.value.status, "NamespaceTerminating" in refusal.value.body) == (403, True)
    cluster.core.patch_namespaced_config_map("one", "other", {"metadata": {"finalizers": []}})
    with pytest.raises(client.ApiException) as refusal:
        cluster.core.read_namespace("other")
    assert refusal.value.status == 404


# --- in process


def test_create_in_process_makes_and_then_updates(cluster: Cluster):
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "1"}}
    made = cluster.api.create(manifest)
    changed = cluster.api.create(manifest | {"data": {"a": "2"}})
    assert made["metadata"]["uid"] == changed["metadata"]["uid"]
    assert cluster.core.read_namespaced_config_map("one", "default").data == {"a": "2"}


def test_a_kind_met_in_a_manifest_is_served(cluster: Cluster):
    manifest = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "default"}}
    cluster.api.create(manifest | {"spec": {"size": 3}})
    custom = client.CustomObjectsApi(cluster.client())
    found = custom.get_namespaced_custom_object("example.com", "v1", "default", "widgets", "w")
    assert found["spec"] == {"size": 3}


def test_the_server_tells_version_health_and_what_it_serves(cluster: Cluster):
    connection = cluster.client()
    assert client.VersionApi(connection).get_code().git_version == "v1.34.0"
    groups = {group.name for group in client.ApisApi(connection).get_api_versions().groups}
    assert {"apps", "batch", "rbac.authorization.k8s.io", "networking.k8s.io"} <= groups
    served = {resource.name: resource.namespaced for resource in cluster.core.get_api_resources().resources}
    assert (served["pods"], served["pods/log"], served["namespaces"]) == (True, True, False)
    for path in ("/healthz", "/readyz"):
        assert connection.call_api("GET", cluster.api.url + path).read() == b"ok"
