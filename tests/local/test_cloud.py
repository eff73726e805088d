"""AWS in this process: isolated from the user's own configuration, and without a trace afterwards."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from moto import backends
from moto.core import utils as moto_utils
from moto.core.config import default_user_config

from etl_local.clients import ACCOUNT_ID
from etl_local.cloud import Cloud
from tests.local.conftest import eventually

REGION = "eu-west-2"
WAITING = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}}


def test_it_answers_for_its_account_whatever_the_users_own_configuration_is(monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_PROFILE", "one that is nowhere")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    machine = {"StartAt": "Say", "States": {"Say": {"Type": "Task", "Resource": "arn:aws:states:::sns:publish"}}}
    with Cloud(REGION) as cloud:
        assert cloud.client("sts").get_caller_identity()["Account"] == ACCOUNT_ID
        topic = cloud.client("sns").create_topic(Name="toy")["TopicArn"]
        machine["States"]["Say"] |= {"Parameters": {"TopicArn": topic, "Message": "toy"}, "End": True}  # type: ignore[operator]
        states = cloud.client("stepfunctions")
        role = f"arn:aws:iam::{ACCOUNT_ID}:role/toy"
        arn = states.create_state_machine(name="toy", definition=json.dumps(machine), roleArn=role)["stateMachineArn"]
        execution = states.start_execution(stateMachineArn=arn, name="toy")["executionArn"]
        while (status := states.describe_execution(executionArn=execution)["status"]) == "RUNNING":
            time.sleep(0.02)
        assert status == "SUCCEEDED"


def test_the_process_is_as_before_afterwards():
    before = (
        dict(os.environ),
        {name: dict(value) for name, value in default_user_config.items()},  # type: ignore[call-overload]
        threading.enumerate(),
        logging.getLogger("werkzeug").level,
        logging.getLogger("werkzeug").handlers[:],
        backends.list_of_moto_modules,
        vars(moto_utils)["create_loader"],
    )
    with Cloud(REGION) as cloud:
        cloud.client("s3").list_buckets()
        port = int(cloud.url.rpartition(":")[2])
    assert before == (
        dict(os.environ),
        {name: dict(value) for name, value in default_user_config.items()},  # type: ignore[call-overload]
        threading.enumerate(),
        logging.getLogger("werkzeug").level,
        logging.getLogger("werkzeug").handlers,
        backends.list_of_moto_modules,
        vars(moto_utils)["create_loader"],
    )
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_nothing_is_remembered_from_one_to_the_next():
    for _ in range(2):
        with Cloud(REGION) as cloud:
            assert cloud.client("sqs").list_queues().get("QueueUrls", []) == []
            cloud.client("sqs").create_queue(QueueName="toys")


def test_an_execution_that_still_runs_ends_with_it():
    with Cloud(REGION) as cloud:
        states = cloud.client("stepfunctions")
        role = f"arn:aws:iam::{ACCOUNT_ID}:role/toy"
        arn = states.create_state_machine(name="toy", definition=json.dumps(WAITING), roleArn=role)["stateMachineArn"]
        before = set(threading.enumerate())
        states.start_execution(stateMachineArn=arn, name="toy")
        time.sleep(0.2)
        executing = set(threading.enumerate()) - before
        assert executing
    deadline = time.monotonic() + 5
    while any(thread.is_alive() for thread in executing):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_second_one_in_the_process_is_refused():
    with Cloud(REGION), pytest.raises(RuntimeError, match="in this process already"):
        Cloud(REGION).__enter__()
    with Cloud(REGION) as cloud:
        assert cloud.url


def test_a_fault_of_the_server_is_written_to_the_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    with Cloud(REGION, tmp_path / "cloud.log") as cloud:
        cloud.client("ecs").create_cluster(clusterName="toy")
        with pytest.raises(ClientError, match="500"):  # moto has no answer for a cluster without tasks
            cloud.client("ecs").stop_task(cluster="toy", task="none")
        log = tmp_path / "cloud.log"
        eventually(lambda: log.exists() and "Traceback" in log.read_text())  # the server answers first
    assert capfd.readouterr().err == ""
