"""Watches of the Kubernetes stand-in: events as they come, resumed where they were left, told when they cannot be."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, watch

from tests.local.conftest import Cluster, eventually, job


def config_map(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}}


def told(stream: Iterator[Any], *, until: str = "") -> list[tuple[str, str]]:
    events: list[tuple[str, str]] = []
    for event in stream:
        events.append((event["type"], event["object"].metadata.name))
        if events[-1][1] == until:
            break
    return events


class Following:
    """A watch in a thread, and what it was told."""

    def __init__(self, cluster: Cluster, **options: Any) -> None:
        self.events: list[tuple[str, str]] = []
        core = client.CoreV1Api(cluster.client())
        stream = watch.Watch().stream(
            core.list_namespaced_config_map, "default", timeout_seconds=30, _request_timeout=30, **options
        )
        self.thread = threading.Thread(target=self._follow, args=(stream,))
        self.thread.start()

    def _follow(self, stream: Iterator[Any]) -> None:
        for event in stream:
            self.events.append((event["type"], event["object"].metadata.name))


def test_a_watch_begins_with_what_is_there_and_goes_on_at_once(cluster: Cluster):
    cluster.core.create_namespaced_config_map("default", config_map("one"))
    following = Following(cluster)
    eventually(lambda: following.events)
    cluster.core.create_namespaced_config_map("default", config_map("two"))
    cluster.core.patch_namespaced_config_map("two", "default", {"data": {"a": "b"}})
    cluster.core.delete_namespaced_config_map("one", "default")
    eventually(lambda: len(following.events) == 4)
    assert following.events == [("ADDED", "one"), ("ADDED", "two"), ("MODIFIED", "two"), ("DELETED", "one")]
    cluster.api.store.close()
    following.thread.join(5)
    assert not following.thread.is_alive(), "closing the server ends its watches"


def test_a_watch_resumes_after_a_version(cluster: Cluster):
    made = cluster.core.create_namespaced_config_map("default", config_map("one"))
    cluster.core.create_namespaced_config_map("default", config_map("two"))
    cluster.core.delete_namespaced_config_map("two", "default")
    cluster.core.create_namespaced_config_map("default", config_map("last"))
    stream = watch.Watch().stream(
        cluster.core.list_namespaced_config_map,
        "default",
        resource_version=made.metadata.resource_version,
        timeout_seconds=1,
        _request_timeout=5,
    )
    assert told(stream, until="last") == [("ADDED", "two"), ("DELETED", "two"), ("ADDED", "last")]


def test_an_object_comes_and_goes_with_the_labels_that_a_watch_selects(cluster: Cluster):
    version = cluster.core.list_namespaced_config_map("default").metadata.resource_version
    cluster.core.create_namespaced_config_map("default", config_map("one"))
    for labels in ({"app": "etl"}, {"tier": "a"}, {"app": None}):
        cluster.core.patch_namespaced_config_map("one", "default", {"metadata": {"labels": labels}})
    cluster.core.delete_namespaced_config_map("one", "default")
    cluster.core.create_namespaced_config_map("default", config_map("last", app="etl"))
    stream = watch.Watch().stream(
        cluster.core.list_namespaced_config_map,
        "default",
        label_selector="app=etl",
        resource_version=version,
        timeout_seconds=5,
    )
    assert told(stream, until="last") == [("ADDED", "one"), ("MODIFIED", "one"), ("DELETED", "one"), ("ADDED", "last")]


def test_a_watch_of_one_kind_and_namespace_hears_of_no_other(cluster: Cluster):
    version = cluster.core.list_namespaced_config_map("default").metadata.resource_version
    cluster.batch.create_namespaced_job("default", job("pass"))
    cluster.core.create_namespaced_config_map("kube-system", config_map("elsewhere"))
    cluster.core.create_namespaced_config_map("default", config_map("last"))
    stream = watch.Watch().stream(
        cluster.core.list_namespaced_config_map, "default", resource_version=version, timeout_seconds=5
    )
    assert told(stream, until="last") == [("ADDED", "last")]


def test_a_watch_ends_when_its_time_is_over(cluster: Cluster):
    started = time.monotonic()
    assert told(watch.Watch().stream(cluster.core.list_namespaced_config_map, "default", timeout_seconds=1)) == []
    assert time.monotonic() - started >= 1


def test_a_version_that_was_compacted_away_is_gone(cluster: Cluster):
    made = cluster.core.create_namespaced_config_map("default", config_map("one"))
    cluster.core.create_namespaced_config_map("default", config_map("two"))
    cluster.api.store.forget_history()
    stream = watch.Watch().stream(
        cluster.core.list_namespaced_config_map,
        "default",
        resource_version=made.metadata.resource_version,
        timeout_seconds=5,
    )
    with pytest.raises(client.ApiException) as refusal:
        list(stream)
    assert refusal.value.status == 410
    assert refusal.value.reason.startswith("Expired: too old resource version: ")


def test_versions_are_those_of_the_store_in_order(cluster: Cluster):
    versions = [
        int(cluster.core.create_namespaced_config_map("default", config_map(f"m{n}")).metadata.resource_version)
        for n in range(3)
    ]
    listed = int(cluster.core.list_namespaced_config_map("default").metadata.resource_version)
    assert versions == sorted(versions)
    assert listed == versions[-1]
