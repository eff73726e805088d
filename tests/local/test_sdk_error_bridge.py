"""S3's errors in a state machine: under AWS's names with the bridge, and under moto's own without."""

from __future__ import annotations

import json
import time

import pytest

from etl_local.cloud import Cloud
from etl_local.sdk_error_bridge import named_errors


def caught(cloud: Cloud) -> str:
    """The name of the error that asking for an object that is not there brings about."""
    cloud.client("s3").create_bucket(Bucket="toys", CreateBucketConfiguration={"LocationConstraint": cloud.region})
    look = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:s3:headObject",
        "Parameters": {"Bucket": "toys", "Key": "none"},
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Tell"}],
        "End": True,
    }
    client = cloud.client("stepfunctions")
    machine = client.create_state_machine(
        name="toy",
        definition=json.dumps({"StartAt": "Look", "States": {"Look": look, "Tell": {"Type": "Succeed"}}}),
        roleArn="arn:aws:iam::123456789012:role/toy",
    )["stateMachineArn"]
    execution = client.start_execution(stateMachineArn=machine)["executionArn"]
    deadline = time.monotonic() + 20
    while (ended := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return str(json.loads(ended["output"])["Error"])


@pytest.fixture
def cloud() -> Cloud:
    return Cloud("eu-west-2")


def test_an_error_of_s3_has_awss_name(cloud: Cloud) -> None:
    with cloud, named_errors():
        assert caught(cloud) == "S3.S3Exception"


def test_moto_still_names_an_error_of_s3_otherwise(cloud: Cloud) -> None:
    with cloud:
        assert caught(cloud) == "s3.s3Exception"
