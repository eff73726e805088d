"""What the Kubernetes stand-in refuses, in the code, reason, words and details of a real API server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from kubernetes import client

from tests.local.conftest import Cluster, job, pod_spec

NOTHING = "pass"
FAIL_ON_65 = {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [65]}}]}


def refused(act: Callable[[], Any]) -> dict[str, Any]:
    with pytest.raises(client.ApiException) as refusal:
        act()
    status = json.loads(refusal.value.body)
    assert refusal.value.status == status["code"]
    return status


def test_a_name_that_is_taken_already_exists(cluster: Cluster):
    cluster.batch.create_namespaced_job("default", job(NOTHING))
    assert refused(lambda: cluster.batch.create_namespaced_job("default", job(NOTHING))) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'jobs.batch "work" already exists',
        "reason": "AlreadyExists",
        "details": {"name": "work", "group": "batch", "kind": "jobs"},
        "code": 409,
    }


def test_a_name_whose_holder_is_being_deleted_already_exists_too(cluster: Cluster):
    manifest = job(NOTHING)
    manifest["metadata"]["finalizers"] = ["example.com/wait"]
    cluster.batch.create_namespaced_job("default", manifest)
    cluster.batch.delete_namespaced_job("work", "default", propagation_policy="Background")
    status = refused(lambda: cluster.batch.create_namespaced_job("default", job(NOTHING)))
    assert status["reason"] == "AlreadyExists"
    assert status["message"] == 'object is being deleted: jobs.batch "work" already exists'


def test_a_namespace_that_is_missing_is_not_found(cluster: Cluster):
    assert refused(lambda: cluster.batch.create_namespaced_job("nowhere", job(NOTHING))) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'namespaces "nowhere" not found',
        "reason": "NotFound",
        "details": {"name": "nowhere", "kind": "namespaces"},
        "code": 404,
    }


def test_an_object_that_is_missing_is_not_found(cluster: Cluster):
    for act in (
        lambda: cluster.batch.read_namespaced_job("work", "default"),
        lambda: cluster.batch.replace_namespaced_job("work", "default", job(NOTHING)),
        lambda: cluster.batch.patch_namespaced_job("work", "default", {}),
        lambda: cluster.batch.delete_namespaced_job("work", "default"),
    ):
        status = refused(act)
        assert (status["code"], status["message"]) == (404, 'jobs.batch "work" not found')


@pytest.mark.parametrize(
    ("manifest", "field", "cause", "words"),
    [
        (job(NOTHING, "Transform_ABC"), "metadata.name", "FieldValueInvalid", "a lowercase RFC 1123 subdomain must"),
        (job(NOTHING, "-leading"), "metadata.name", "FieldValueInvalid", "a lowercase RFC 1123 subdomain must"),
        (job(NOTHING, "a" * 64), "spec.template.labels", "FieldValueInvalid", "must be no more than 63 bytes"),
        (job(NOTHING, pod={"containers": []}), "spec.template.spec.containers", "FieldValueRequired", "Required value"),
        (
            job(NOTHING, pod={"restartPolicy": "Always"}),
            "spec.template.spec.restartPolicy",
            "FieldValueRequired",
            'Required value: valid values: "OnFailure", "Never"',
        ),
        (
            job(NOTHING, pod={"restartPolicy": "OnFailure"}, podFailurePolicy=FAIL_ON_65),
            "spec.template.spec.restartPolicy",
            "FieldValueInvalid",
            'Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified',
        ),
        (
            job(NOTHING, podFailurePolicy=FAIL_ON_65, podReplacementPolicy="TerminatingOrFailed"),
            "spec.podReplacementPolicy",
            "FieldValueNotSupported",
            'Unsupported value: "TerminatingOrFailed": supported values: "Failed"',
        ),
        (
            job(NOTHING, podFailurePolicy={"rules": [{"action": "FailJob"}]}),
            "spec.podFailurePolicy.rules[0]",
            "FieldValueInvalid",
            "specifying one of OnExitCodes and OnPodConditions is required",
        ),
        (
            job(
                NOTHING,
                podFailurePolicy={
                    "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [66, 65]}}]
                },
            ),
            "spec.podFailurePolicy.rules[0].onExitCodes.values",
            "FieldValueInvalid",
            "must be ordered",
        ),
        (job(NOTHING, backoffLimit=-1), "spec.backoffLimit", "FieldValueInvalid", "greater than or equal to 0"),
        (
            job(NOTHING, pod={"container": {"volumeMounts": [{"name": "none", "mountPath": "/x"}]}}),
            "spec.template.spec.containers[0].volumeMounts[0].name",
            "FieldValueNotFound",
            'Not found: "none"',
        ),
        (job(NOTHING, completionMode="Indexed"), "spec.completions", "FieldValueRequired", "when completion mode"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_an_invalid_job_is_refused_with_its_cause(
    cluster: Cluster, manifest: dict[str, Any], field: str, cause: str, words: str
):
    status = refused(lambda: cluster.batch.create_namespaced_job("default", manifest))
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert status["details"]["kind"] == "Job"
    assert status["message"].startswith(f'Job.batch "{manifest["metadata"]["name"]}" is invalid: ')
    found = [told for told in status["details"]["causes"] if (told["field"], told["reason"]) == (field, cause)]
    assert words in "; ".join(told["message"] for told in found)
    assert cluster.api.list("Job") == []


@pytest.mark.parametrize("value", ["a" * 64, "has space", "-leading", "slash/in", "é"])
def test_a_bad_label_value_is_invalid(cluster: Cluster, value: str):
    manifest = job(NOTHING)
    manifest["metadata"]["labels"] = {"postgres-etl/execution": value}
    status = refused(lambda: cluster.batch.create_namespaced_job("default", manifest))
    assert (status["code"], status["details"]["causes"][0]["field"]) == (422, "metadata.labels")


def test_all_faults_are_told_at_once(cluster: Cluster):
    manifest = job(NOTHING, "Bad", backoffLimit=-1, pod={"restartPolicy": "Sometimes"})
    status = refused(lambda: cluster.batch.create_namespaced_job("default", manifest))
    fields = {told["field"] for told in status["details"]["causes"]}
    assert {"metadata.name", "spec.backoffLimit", "spec.template.spec.restartPolicy"} <= fields
    assert status["message"].startswith('Job.batch "Bad" is invalid: [')


def test_a_jobs_template_cannot_be_changed(cluster: Cluster):
    cluster.batch.create_namespaced_job("default", job(NOTHING))
    patch = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}
    status = refused(lambda: cluster.batch.patch_namespaced_job("work", "default", patch))
    causes = [(told["field"], told["message"].rpartition(": ")[2]) for told in status["details"]["causes"]]
    assert causes == [("spec.template", "field is immutable")]


def test_a_deployments_selector_must_match_its_template(cluster: Cluster):
    template = {"metadata": {"labels": {"app": "b"}}, "spec": pod_spec(NOTHING, restartPolicy="Always")}
    spec = {"selector": {"matchLabels": {"app": "a"}}, "template": template}
    status = refused(
        lambda: cluster.apps.create_namespaced_deployment("default", {"metadata": {"name": "d"}, "spec": spec})
    )
    assert "`selector` does not match template `labels`" in status["message"]


# --- the decoder


def posted(cluster: Cluster, path: str, manifest: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Past the official client, which checks types itself and would not send such an object."""
    answer = urllib3.request("POST", f"{cluster.api.url}/{path}", json=manifest, headers=credentials(cluster))
    return answer.status, answer.json()


def credentials(cluster: Cluster) -> dict[str, str]:
    return {"Authorization": f"Bearer {cluster.api.access.administrator_token}"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"backoffLimt": 2}, 'strict decoding error: unknown field "spec.backoffLimt"'),
        ({"backoffLimit": "2"}, "json: cannot unmarshal str into field spec.backoffLimit of type integer"),
    ],
)
def test_a_misspelt_field_or_a_wrong_type_is_a_bad_request(cluster: Cluster, spec: dict[str, Any], words: str):
    code, status = posted(cluster, "apis/batch/v1/namespaces/default/jobs", job(NOTHING, **spec))
    assert (code, status["reason"]) == (400, "BadRequest")
    assert words in status["message"]


def test_an_unknown_field_passes_when_the_request_asks_for_no_strictness(cluster: Cluster):
    path = "apis/batch/v1/namespaces/default/jobs?fieldValidation=Ignore"
    assert posted(cluster, path, job(NOTHING, backoffLimt=2))[0] == 201


def test_a_body_that_is_no_object_is_a_bad_request(cluster: Cluster):
    for body in (b"{", b"[]", b"no json"):
        url = f"{cluster.api.url}/api/v1/namespaces/default/pods"
        answer = urllib3.request("POST", url, body=body, headers=credentials(cluster))
        assert (answer.status, answer.json()["reason"]) == (400, "BadRequest")


def test_quantities_may_be_numbers(cluster: Cluster):
    manifest = {"metadata": {"name": "q"}, "spec": {"hard": {"count/jobs.batch": 3, "pods": "4"}}}
    code, made = posted(cluster, "api/v1/namespaces/default/resourcequotas", manifest)
    assert (code, made["spec"]["hard"]) == (201, {"count/jobs.batch": "3", "pods": "4"})


def test_an_object_for_another_place_is_a_bad_request(cluster: Cluster):
    manifest = job(NOTHING)
    manifest["metadata"]["namespace"] = "kube-system"
    status = refused(lambda: cluster.batch.create_namespaced_job("default", manifest))
    assert status["message"] == (
        "the namespace of the provided object does not match the namespace sent on the request"
    )


def test_a_json_patch_is_not_served(cluster: Cluster):
    cluster.batch.create_namespaced_job("default", job(NOTHING))
    patch = [{"op": "replace", "path": "/spec/parallelism", "value": 2}]
    assert refused(lambda: cluster.batch.patch_namespaced_job("work", "default", patch))["code"] == 415


# --- admission


def limit_jobs(cluster: Cluster, count: int) -> None:
    quota = {"metadata": {"name": "jobs"}, "spec": {"hard": {"count/jobs.batch": str(count)}}}
    cluster.core.create_namespaced_resource_quota("default", quota)


def test_a_quota_of_jobs_is_not_exceeded(cluster: Cluster):
    limit_jobs(cluster, 2)
    for name in ("one", "two"):
        cluster.batch.create_namespaced_job("default", job(NOTHING, name))
    assert refused(lambda: cluster.batch.create_namespaced_job("default", job(NOTHING, "three"))) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'jobs.batch "three" is forbidden: exceeded quota: jobs, requested: count/jobs.batch=1, '
        "used: count/jobs.batch=2, limited: count/jobs.batch=2",
        "reason": "Forbidden",
        "details": {"name": "three", "group": "batch", "kind": "jobs"},
        "code": 403,
    }
    used = cluster.core.read_namespaced_resource_quota("jobs", "default").status.used
    assert used == {"count/jobs.batch": "2"}
    cluster.batch.delete_namespaced_job("one", "default", propagation_policy="Background")
    cluster.batch.create_namespaced_job("default", job(NOTHING, "three"))


def test_a_full_quota_is_told_before_a_taken_name(cluster: Cluster):
    limit_jobs(cluster, 1)
    cluster.batch.create_namespaced_job("default", job(NOTHING))
    status = refused(lambda: cluster.batch.create_namespaced_job("default", job(NOTHING)))
    assert (status["code"], "exceeded quota" in status["message"]) == (403, True)


def test_a_finished_job_counts_until_it_is_deleted(cluster: Cluster):
    limit_jobs(cluster, 1)
    cluster.batch.create_namespaced_job("default", job(NOTHING))
    done = [{"type": "Complete", "status": "True"}]
    cluster.batch.patch_namespaced_job_status("work", "default", {"status": {"conditions": done}})
    assert refused(lambda: cluster.batch.create_namespaced_job("default", job(NOTHING, "next")))["code"] == 403


def test_a_pod_of_an_unknown_service_account_is_forbidden(cluster: Cluster):
    pod = {"metadata": {"name": "p"}, "spec": pod_spec(NOTHING, serviceAccountName="nobody")}
    status = refused(lambda: cluster.core.create_namespaced_pod("default", pod))
    assert status["message"] == (
        'pods "p" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found'
    )


def restrict(cluster: Cluster) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.core.patch_namespace("default", {"metadata": {"labels": labels}})


def test_a_restricted_namespace_refuses_an_open_pod_naming_every_rule(cluster: Cluster):
    restrict(cluster)
    pod = {"metadata": {"name": "p"}, "spec": pod_spec(NOTHING)}
    status = refused(lambda: cluster.core.create_namespaced_pod("default", pod))
    assert status["message"] == (
        'pods "p" is forbidden: violates PodSecurity "restricted:latest": '
        'allowPrivilegeEscalation != false (container "main" must set securityContext.allowPrivilegeEscalation=false), '
        'unrestricted capabilities (container "main" must set securityContext.capabilities.drop=["ALL"]), '
        'runAsNonRoot != true (pod or container "main" must set securityContext.runAsNonRoot=true), '
        'seccompProfile (pod or container "main" must set securityContext.seccompProfile.type to "RuntimeDefault" '
        'or "Localhost")'
    )


def test_a_restricted_namespace_takes_a_hardened_pod(cluster: Cluster):
    restrict(cluster)
    own = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    shared = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = pod_spec(NOTHING, container={"securityContext": own}, securityContext=shared)
    assert cluster.core.create_namespaced_pod("default", {"metadata": {"name": "p"}, "spec": spec}).metadata.uid
