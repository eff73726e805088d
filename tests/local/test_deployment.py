"""The stack's deployment in a process of its own: what it is told, and what it says when it cannot."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from etl_local.databases import Database
from etl_local.deployer import Deployer
from etl_local.deployment import Order
from etl_local.engine import DeploymentError
from etl_local.standin import StandIn

DATABASE = Database(host="127.0.0.1", port=1, name="toys", user="toy", password="synthetic", dsn="")
ORDER = Order(
    aws_url="http://127.0.0.1:1",
    kubernetes_url="http://127.0.0.1:1",
    kubernetes_token="synthetic",
    source=DATABASE,
    target=DATABASE,
    scrub_directory="/nonexistent",
    scrub_salt="synthetic" * 4,
    jobs=2,
)


def test_an_order_is_the_same_after_its_way_through_json():
    assert Order.from_json(ORDER.to_json()) == ORDER
    assert "\n" not in ORDER.to_json()


@pytest.mark.end_to_end
def test_a_deployment_that_reaches_nothing_says_so_in_one_line(tmp_path: Path):
    with Deployer(tmp_path) as deployer, pytest.raises(DeploymentError, match="Could not connect") as caught:
        deployer.deploy(ORDER, lambda _: None)
    assert "\n" not in str(caught.value)


@pytest.mark.end_to_end
def test_a_deployment_that_is_killed_is_a_fault_and_no_success(tmp_path: Path):
    with Deployer(tmp_path) as deployer:
        deployer.kill()
        with pytest.raises(DeploymentError, match="the deployment ended: it said nothing"):
            deployer.deploy(ORDER, lambda _: None)


@pytest.mark.end_to_end
def test_a_deployer_that_is_never_asked_ends_with_its_context(tmp_path: Path):
    before = threading.enumerate()
    with Deployer(tmp_path) as deployer:
        process = deployer._process
        assert process is not None
    assert process.returncode is not None
    assert threading.enumerate() == before


@pytest.mark.end_to_end
def test_a_stack_that_cannot_be_deployed_is_one_clear_line_and_leaves_nothing(tmp_path: Path):
    told: dict[str, Any] = {}
    before = threading.enumerate()
    stand_in = StandIn(scrub_directory=tmp_path, on_event=lambda name, **fields: told.setdefault(name, fields))
    with pytest.raises(DeploymentError, match=r"scrubDirectory must be a directory that holds columns\.yaml") as caught:
        stand_in.__enter__()
    assert "\n" not in str(caught.value)
    assert not Path(told["directory_made"]["directory"]).exists()
    assert threading.enumerate() == before
