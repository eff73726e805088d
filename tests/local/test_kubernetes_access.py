"""Tokens and RBAC of the Kubernetes stand-in, as a service account meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client

from tests.local.conftest import Cluster, job

NOTHING = "pass"


@pytest.fixture
def guarded(new_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = new_cluster(rbac=True)
    cluster.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "dispatcher"}})
    return cluster


def grant(cluster: Cluster, *rules: dict[str, Any], kind: str = "Role") -> None:
    api_version = "rbac.authorization.k8s.io/v1"
    cluster.api.create({"apiVersion": api_version, "kind": kind, "metadata": {"name": "jobs"}, "rules": list(rules)})
    cluster.api.create(
        {
            "apiVersion": api_version,
            "kind": f"{kind}Binding",
            "metadata": {"name": "jobs"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "jobs"},
            "subjects": [{"kind": "ServiceAccount", "name": "dispatcher", "namespace": "default"}],
        }
    )


def as_dispatcher(cluster: Cluster) -> client.ApiClient:
    return cluster.client(cluster.api.service_account_token("default", "dispatcher"))


def status_of(act: Callable[[], Any]) -> dict[str, Any]:
    with pytest.raises(client.ApiException) as refusal:
        act()
    return json.loads(refusal.value.body)


JOBS = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list"]}


def test_nothing_is_granted_by_default(guarded: Cluster):
    batch = client.BatchV1Api(as_dispatcher(guarded))
    assert status_of(lambda: batch.create_namespaced_job("default", job(NOTHING))) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'jobs.batch is forbidden: User "system:serviceaccount:default:dispatcher" cannot create resource '
        '"jobs" in API group "batch" in the namespace "default"',
        "reason": "Forbidden",
        "details": {"group": "batch", "kind": "jobs"},
        "code": 403,
    }
    assert guarded.api.list("Job") == []


def test_a_role_grants_its_verbs_on_its_resources_in_its_namespace_alone(guarded: Cluster):
    grant(guarded, JOBS)
    connection = as_dispatcher(guarded)
    batch, core = client.BatchV1Api(connection), client.CoreV1Api(connection)
    batch.create_namespaced_job("default", job(NOTHING))
    assert batch.read_namespaced_job("work", "default").metadata.name == "work"
    assert len(batch.list_namespaced_job("default").items) == 1
    for act in (
        lambda: batch.delete_namespaced_job("work", "default"),
        lambda: batch.patch_namespaced_job("work", "default", {}),
        lambda: batch.list_namespaced_job("default", watch=True, timeout_seconds=1),
        lambda: batch.read_namespaced_job_status("work", "default"),
        batch.list_job_for_all_namespaces,
        lambda: batch.create_namespaced_job("kube-system", job(NOTHING)),
        lambda: core.list_namespaced_secret("default"),
        lambda: core.read_namespaced_pod_log("any", "default"),
    ):
        assert status_of(act)["code"] == 403


def test_a_refusal_names_the_object_and_the_scope(guarded: Cluster):
    connection = as_dispatcher(guarded)
    batch, core = client.BatchV1Api(connection), client.CoreV1Api(connection)
    who = 'User "system:serviceaccount:default:dispatcher" cannot'
    assert status_of(lambda: core.read_namespaced_pod_log("p", "default"))["message"] == (
        f'pods "p" is forbidden: {who} get resource "pods/log" in API group "" in the namespace "default"'
    )
    assert status_of(batch.list_job_for_all_namespaces)["message"] == (
        f'jobs.batch is forbidden: {who} list resource "jobs" in API group "batch" at the cluster scope'
    )


def test_a_subresource_and_a_name_are_granted_on_their_own(guarded: Cluster):
    named = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"], "verbs": ["get"]}
    grant(guarded, {"apiGroups": ["batch"], "resources": ["jobs/status"], "verbs": ["get"]}, named)
    guarded.api.create(job(NOTHING))
    for name in ("mine", "other"):
        guarded.api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
    connection = as_dispatcher(guarded)
    batch, core = client.BatchV1Api(connection), client.CoreV1Api(connection)
    assert batch.read_namespaced_job_status("work", "default").metadata.name == "work"
    assert status_of(lambda: batch.read_namespaced_job("work", "default"))["code"] == 403
    assert core.read_namespaced_config_map("mine", "default").metadata.name == "mine"
    assert status_of(lambda: core.read_namespaced_config_map("other", "default"))["code"] == 403


def test_a_cluster_role_grants_everywhere(guarded: Cluster):
    grant(guarded, JOBS, kind="ClusterRole")
    batch = client.BatchV1Api(as_dispatcher(guarded))
    batch.create_namespaced_job("kube-system", job(NOTHING))
    assert len(batch.list_job_for_all_namespaces().items) == 1


def test_an_unknown_token_is_unauthorized_and_none_is_anonymous(guarded: Cluster):
    status = status_of(lambda: client.BatchV1Api(guarded.client("guessed")).list_namespaced_job("default"))
    assert (status["code"], status["reason"]) == (401, "Unauthorized")
    with client.ApiClient(client.Configuration(host=guarded.api.url)) as stranger:
        status = status_of(lambda: client.BatchV1Api(stranger).list_namespaced_job("default"))
        assert 'User "system:anonymous" cannot list' in status["message"]
        assert client.VersionApi(stranger).get_code().major == "1"


def test_the_administrator_may_do_anything(guarded: Cluster):
    guarded.batch.create_namespaced_job("default", job(NOTHING))
    guarded.batch.delete_namespaced_job("work", "default", propagation_policy="Background")


def test_without_rbac_any_known_token_may_do_anything_and_nobody_without(cluster: Cluster):
    connection = cluster.client(cluster.api.service_account_token("default", "default"))
    client.BatchV1Api(connection).create_namespaced_job("default", job(NOTHING))
    with client.ApiClient(client.Configuration(host=cluster.api.url)) as stranger:
        create = client.BatchV1Api(stranger).create_namespaced_job
        assert status_of(lambda: create("default", job(NOTHING, "strange")))["code"] == 403


def test_a_kubeconfig_is_for_its_owner_alone(cluster: Cluster):
    path = cluster.api.kubeconfig(cluster.directory / "secret", namespace="kube-system")
    assert path.stat().st_mode & 0o777 == 0o600
