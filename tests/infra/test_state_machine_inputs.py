"""An interpreter of the states language takes both machines, and refuses what they refuse."""

import json
import time
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.infra.engine import Deployment

PROD = "974531504241"
SBX = "665505400356"


def definition(deployment: Deployment) -> dict[str, Any]:
    """The definition of a stack's only state machine."""
    return deployment.one("StateMachine").document("definition")


@pytest.mark.parametrize(
    ("machine", "given", "error"),
    [
        ("extract", {}, "Extract.InputRefused"),
        ("extract", [], "Extract.InputRefused"),
        ("extract", {"LOAD_ENVIRONMENT": "prod"}, "Extract.InputRefused"),
        ("extract", {"LOAD_ENVIRONMENT": "dev "}, "Extract.InputRefused"),
        ("extract", {"LOAD_ENVIRONMENT": ["dev"]}, "Extract.InputRefused"),
        ("load", {}, "Load.InputRefused"),
        ("load", {"LOAD_FILENAME": 7}, "Load.InputRefused"),
        ("load", {"LOAD_FILENAME": "dev/one/etl-dump"}, "Load.InputRefused"),
        ("load", {"LOAD_FILENAME": "sbx/one"}, "Load.InputRefused"),
        ("load", {"LOAD_FILENAME": "sbx/one/etl-dump/manifest.json"}, "Load.InputRefused"),
        ("load", {"LOAD_FILENAME": "sbx/../etl-dump"}, "Load.InputRefused"),
        ("load", {"LOAD_FILENAME": "s3://sbx/one/etl-dump"}, "Load.InputRefused"),
        ("load", {"LOAD_FILENAME": "sbx/absent/etl-dump"}, "Load.Failed"),
        ("load", {"ROLLBACK": ""}, "Load.InputRefused"),
        ("load", {"ROLLBACK": True}, "Load.InputRefused"),
        ("load", {"ROLLBACK": "nightly-1", "LOAD_FILENAME": "sbx/one/etl-dump"}, "Load.InputRefused"),
    ],
)
def test_an_input_that_is_not_the_machines_ends_under_its_own_error_name(
    machine: str, given: Any, error: str, prod: Deployment, sbx: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "synthetic")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    with mock_aws(config={"stepfunctions": {"execute_state_machine": True}}):
        boto3.client("s3").create_bucket(
            Bucket=f"postgres-etl-load-sbx-{SBX}", CreateBucketConfiguration={"LocationConstraint": "eu-west-2"}
        )
        client = boto3.client("stepfunctions")
        arn = client.create_state_machine(
            name=machine,
            definition=json.dumps(definition(prod if machine == "extract" else sbx)),
            roleArn=f"arn:aws:iam::{PROD}:role/states",
        )["stateMachineArn"]
        execution = client.start_execution(stateMachineArn=arn, input=json.dumps(given))["executionArn"]
        deadline = time.monotonic() + 30
        while (ended := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert (ended["status"], ended.get("error")) == ("FAILED", error)
