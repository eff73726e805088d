"""What checkov finds in the stack, as a plan and as manifests. It has an environment of its own (ADR 6)."""

import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.infra.engine import ROOT, Deployment, Registered
from tests.infra.findings import Finding, idle, unexplained
from tests.infra.manifests import as_yaml, manifests
from tests.infra.terraform_plan import plan

pytestmark = pytest.mark.end_to_end

CHECKOV = Path(os.environ.get("CHECKOV", ROOT / ".venv-checkov" / "bin" / "checkov"))


def scanned(path: Path, framework: str, names: dict[str, str]) -> tuple[list[Finding], int]:
    """What checkov finds in a file, and how many of its rules hold.

    Args:
        path: the file.
        framework: how checkov reads it.
        names: the last part of a resource's address → its logical name.
    """
    assert CHECKOV.is_file(), f"{CHECKOV} is not there: make checkov"
    done = subprocess.run(
        [
            str(CHECKOV), "--file", str(path), "--framework", framework, "--skip-download", "--output", "json",
            "--compact", "--quiet",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=path.parent,
        env={"PATH": os.defpath, "HOME": str(path.parent), "LOG_LEVEL": "ERROR"},
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["check_type"] == framework
    assert not report["summary"]["parsing_errors"]
    failed = report["results"]["failed_checks"]
    return [
        Finding(check["check_id"], names[check["resource"].rpartition(".")[2]], check["check_name"]) for check in failed
    ], report["summary"]["passed"]


def scanned_plan(deployment: Deployment, directory: Path) -> tuple[list[Finding], int]:
    path = directory / "plan.json"
    path.write_text(json.dumps(plan(deployment)))
    names = {entry["name"]: entry["name"].replace("_", "-") for entry in plan(deployment)["resource_changes"]}
    return scanned(path, "terraform_plan", names)


def scanned_manifests(objects: list[dict[str, Any]], directory: Path) -> tuple[list[Finding], int]:
    path = directory / "manifests.yaml"
    path.write_text(as_yaml(objects))
    names = {item["metadata"]["name"]: item["metadata"]["name"] for item in objects}
    return scanned(path, "kubernetes", names)


def test_checkov_finds_nothing_that_is_not_explained(whole: Deployment, tmp_path: Path) -> None:
    in_plan, passed_in_plan = scanned_plan(whole, tmp_path)
    in_manifests, passed_in_manifests = scanned_manifests(manifests(whole, tmp_path), tmp_path)
    assert unexplained([*in_plan, *in_manifests]) == []
    assert {rule for rule in idle([*in_plan, *in_manifests], "CKV") if not rule.startswith(IMAGES)} == set()
    assert passed_in_plan > 300
    assert passed_in_manifests > 150


IMAGES = ("CKV_AWS_51", "CKV_AWS_136", "CKV_AWS_163")
"""Rules about repositories, of which no stack has one."""


def test_a_bare_stack_is_caught(tmp_path: Path) -> None:
    def bare(kind: str, logical_name: str, **inputs: Any) -> Registered:
        return Registered(
            type=kind,
            name=logical_name,
            inputs=inputs,
            outputs={},
            parent="",
            provider="",
            protect=False,
            retain=False,
            secrets=frozenset(),
        )

    resources = [
        bare("aws:s3/bucket:Bucket", "bucket", bucket="bare"),
        bare("aws:sqs/queue:Queue", "queue", name="bare"),
        bare("aws:kms/key:Key", "key"),
        bare("aws:rds/instance:Instance", "instance", engine="postgres", instanceClass="db.t4g.micro"),
        bare("aws:cloudwatch/logGroup:LogGroup", "logs", name="bare"),
    ]
    findings, _ = scanned_plan(Deployment(resources=resources), tmp_path)
    rules = {(finding.rule, finding.resource) for finding in unexplained(findings)}
    assert {
        ("CKV_AWS_21", "bucket"),
        ("CKV_AWS_145", "bucket"),
        ("CKV2_AWS_6", "bucket"),
        ("CKV2_AWS_61", "bucket"),
        ("CKV_AWS_27", "queue"),
        ("CKV_AWS_7", "key"),
        ("CKV_AWS_16", "instance"),
        ("CKV_AWS_158", "logs"),
    } <= rules
    assert len(rules) >= 15


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("BucketVersioning", "CKV_AWS_21"),
        ("BucketPublicAccessBlock", "CKV2_AWS_6"),
        ("BucketLifecycleConfiguration", "CKV2_AWS_61"),
        ("BucketServerSideEncryptionConfiguration", "CKV_AWS_145"),
    ],
)
def test_a_bucket_without_one_of_its_settings_is_caught(
    kind: str, rule: str, whole: Deployment, tmp_path: Path
) -> None:
    without = [r for r in whole.resources if not (r.type.endswith(f":{kind}") and r.name.startswith("extract-"))]
    findings, _ = scanned_plan(dataclasses.replace(whole, resources=without), tmp_path)
    assert {(f.rule, f.resource) for f in unexplained(findings)} == {(rule, "extract-bucket-bucket")}


def test_a_pod_that_may_do_anything_is_caught(tmp_path: Path) -> None:
    pod = {"containers": [{"name": "bare", "image": "bare:latest", "securityContext": {"privileged": True}}]}
    bare = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}, "spec": pod}
    findings, _ = scanned_manifests([bare], tmp_path)
    assert {"CKV_K8S_16", "CKV_K8S_20", "CKV_K8S_43"} <= {finding.rule for finding in unexplained(findings)}
