"""What scanners find in policies and manifests: nothing that the baseline does not explain."""

import copy
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from tests.infra.engine import Deployment
from tests.infra.findings import Finding, idle, unexplained
from tests.infra.manifests import manifests

with warnings.catch_warnings():  # its source has escapes that Python tells of when it first compiles them
    warnings.simplefilter("ignore")
    import parliament

DOCUMENTS = ("assumeRolePolicy", "policy")


def documents(*deployments: Deployment) -> Iterator[tuple[str, str]]:
    """Every IAM document with the name of its resource."""
    for deployment in deployments:
        for resource in deployment.resources:
            for key in DOCUMENTS:
                if resource.type.startswith("aws:") and key in resource.inputs:
                    yield resource.name, resource.inputs[key]


def analysed(name: str, text: str) -> list[Finding]:
    """What parliament finds in a document."""
    policy = parliament.analyze_policy_string(text)
    return [Finding(f"parliament:{f.issue}", name, str(f.detail)) for f in policy.findings]


def test_every_iam_document_says_what_it_means(
    whole: Deployment, opened: Deployment, prod: Deployment, sbx: Deployment
) -> None:
    found = [finding for document in documents(whole, opened, prod, sbx) for finding in analysed(*document)]
    assert unexplained(found) == []
    assert idle(found, "parliament:") == set()


def test_every_kind_of_iam_document_is_among_those_analysed(whole: Deployment) -> None:
    kinds = {r.type.rpartition(":")[2] for r in whole.resources if r.type.startswith("aws:")}
    holding = {r.type.rpartition(":")[2] for r in whole.resources if set(DOCUMENTS) & set(r.inputs)}
    assert holding == {
        "BucketPolicy", "Key", "QueuePolicy", "Role", "RolePolicy", "SecretPolicy", "TopicPolicy",
    }  # fmt: skip
    assert {kind for kind in kinds if kind.endswith("Policy")} - holding == {"RedriveAllowPolicy"}


@pytest.mark.parametrize(
    ("change", "issue"),
    [
        ({"Action": ["s3:PutObjekt"]}, "UNKNOWN_ACTION"),
        ({"Resource": ["*"]}, "RESOURCE_STAR"),
        ({"Resource": ["arn:aws:sqs:eu-west-2:473251818902:postgres-etl-s3"]}, "RESOURCE_MISMATCH"),
        ({"Condition": {"StringEquals": {"s3:colour": "red"}}}, "UNKNOWN_CONDITION_FOR_ACTION"),
    ],
)
def test_a_slip_in_a_role_is_found_and_not_explained_away(change: Any, issue: str, whole: Deployment) -> None:
    document = copy.deepcopy(whole.one("RolePolicy", "extract-task-task-policy").document("policy"))
    document["Statement"][0] |= change
    found = unexplained(analysed("extract-task-task-policy", json.dumps(document)))
    assert f"parliament:{issue}" in {finding.rule for finding in found}


def test_every_manifest_is_one_that_kubernetes_takes(whole: Deployment, opened: Deployment, tmp_path: Path) -> None:
    for deployment in (whole, opened):
        objects = manifests(deployment, tmp_path)
        assert {"Job", "Deployment", "ValidatingAdmissionPolicy"} <= {item["kind"] for item in objects}
        for item in objects:
            kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize(("field", "value"), [("replicas", "one"), ("replica", 1)])
def test_a_manifest_with_a_wrong_or_unknown_field_is_refused(field: str, value: Any, whole: Deployment) -> None:
    manifest = copy.deepcopy(whole.one("v1:Deployment").inputs)
    manifest["spec"][field] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
