"""The baseline: its rows, their checks, and what is left out with a reason."""

import ast
import re

from etl_infra.documents.baseline import BASELINE
from etl_infra.documents.exemptions import EXEMPTIONS
from tests.infra.checks import CHECKS
from tests.infra.conftest import Deploy
from tests.infra.engine import ROOT, Deployment


def test_every_sentence_of_the_baseline_has_a_check_and_every_check_a_row() -> None:
    sentences = [sentence for row in BASELINE.values() for sentence in row]
    assert len(set(sentences)) == len(sentences)
    assert set(sentences) == set(CHECKS)


def test_an_exemption_belongs_to_a_row_and_gives_its_reason() -> None:
    for exemption in EXEMPTIONS:
        assert exemption.row in BASELINE, exemption.setting
        assert exemption.reason.endswith("."), exemption.setting
        assert len(exemption.reason) >= 40, exemption.setting


def test_a_rule_is_left_out_once_for_the_same_resources() -> None:
    left_out = [(rule, exemption.resources) for exemption in EXEMPTIONS for rule in exemption.rules]
    assert len(set(left_out)) == len(left_out)


def test_the_dispatchers_verbs_are_those_of_the_calls_that_it_makes(prod: Deployment) -> None:
    source = (ROOT / "containers" / "etl_runtime" / "jobs.py").read_text(encoding="utf-8")
    calls = {
        re.sub("^read$", "get", node.func.attr.partition("_")[0])
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.endswith("_job")
        if "_namespaced_" in node.func.attr
    }
    (rule,) = prod.one("v1:Role").inputs["rules"]
    assert set(rule["verbs"]) == calls


def test_nothing_is_kept_when_a_stack_is_destroyed_outside_of_protected_environments(dev: Deployment) -> None:
    assert not [r.name for r in dev.resources if r.protect or r.retain]
    assert [bucket.inputs["forceDestroy"] for bucket in dev.all("s3/bucket:Bucket")] == [True, True]
    assert dev.one("secretsmanager/secret:Secret").inputs["recoveryWindowInDays"] == 0


def test_a_created_database_outside_of_protected_environments_leaves_no_snapshot_in_the_next_ones_way(
    run: Deploy,
) -> None:
    instance = run("dev", sourceInstanceIdentifier=None, sourceCreate=True).one("rds/instance:Instance").inputs
    assert instance["skipFinalSnapshot"] is True
    assert "finalSnapshotIdentifier" not in instance
    assert instance["deletionProtection"] is False
