"""Faults of the Kubernetes API on order, as a client meets them."""

from __future__ import annotations

import pytest
import urllib3
from kubernetes import client

from tests.local.conftest import Cluster, job

NOTHING = "pass"
NO_RETRIES = urllib3.Retry(0)


@pytest.fixture(autouse=True)
def no_retries(cluster: Cluster) -> None:
    """The client's connection pool tries reads again by itself; here each fault is to be seen."""
    cluster.batch.api_client.rest_client.pool_manager.connection_pool_kw["retries"] = NO_RETRIES


def jobs(cluster: Cluster) -> list[str]:
    return [found["metadata"]["name"] for found in cluster.api.list("Job")]


def test_a_job_is_created_although_the_answer_is_500(cluster: Cluster):
    fault = cluster.api.fault("POST", "/jobs$", status=500, executed=True)
    with pytest.raises(client.ApiException) as first:
        cluster.batch.create_namespaced_job("default", job(NOTHING))
    assert (first.value.status, fault.hits, jobs(cluster)) == (500, 1, ["work"])
    with pytest.raises(client.ApiException) as second:
        cluster.batch.create_namespaced_job("default", job(NOTHING))
    assert (second.value.status, '"reason": "AlreadyExists"' in second.value.body) == (409, True)


def test_a_job_is_created_although_the_connection_drops(cluster: Cluster):
    cluster.api.fault("POST", "/jobs$", executed=True)
    with pytest.raises(urllib3.exceptions.HTTPError):
        cluster.batch.create_namespaced_job("default", job(NOTHING))
    assert jobs(cluster) == ["work"]


def test_a_dropped_connection_creates_nothing_otherwise(cluster: Cluster):
    cluster.api.fault("POST", "/jobs$")
    with pytest.raises(urllib3.exceptions.HTTPError):
        cluster.batch.create_namespaced_job("default", job(NOTHING))
    assert jobs(cluster) == []
    cluster.batch.create_namespaced_job("default", job(NOTHING))


def test_a_fault_meets_so_many_matching_requests_and_no_other(cluster: Cluster):
    fault = cluster.api.fault("GET", "/jobs", status=503, times=2)
    cluster.batch.create_namespaced_job("default", job(NOTHING))
    cluster.core.list_namespaced_pod("default")
    for _ in range(2):
        with pytest.raises(client.ApiException) as refusal:
            cluster.batch.list_namespaced_job("default")
        assert (refusal.value.status, '"reason": "ServiceUnavailable"' in refusal.value.body) == (503, True)
    assert len(cluster.batch.list_namespaced_job("default").items) == 1
    assert fault.hits == 2


def test_too_many_requests_can_say_when_to_come_back(cluster: Cluster):
    cluster.api.fault(status=429, retry_after=7)
    with pytest.raises(client.ApiException) as refusal:
        cluster.batch.create_namespaced_job("default", job(NOTHING))
    assert (refusal.value.status, refusal.value.headers["Retry-After"]) == (429, "7")


def test_a_hanging_request_meets_the_clients_timeout(cluster: Cluster):
    cluster.api.fault("GET", "/jobs", seconds=30)
    with pytest.raises(urllib3.exceptions.HTTPError):
        cluster.batch.list_namespaced_job("default", _request_timeout=0.2)


def test_a_server_is_down_until_its_fault_ends(cluster: Cluster):
    fault = cluster.api.fault(times=None)
    for _ in range(3):
        with pytest.raises(urllib3.exceptions.HTTPError):
            cluster.batch.list_namespaced_job("default")
    fault.end()
    assert cluster.batch.list_namespaced_job("default").items == []
