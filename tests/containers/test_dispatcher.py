"""What the dispatcher makes of each message."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from etl_runtime.contract import DumpPrefix, transform_job_name
from etl_runtime.jobs import Jobs

from tests.containers.dispatch_bench import MOST_RECEIVES, Bench, manifest_of

if TYPE_CHECKING:
    pass


def test_a_dump_s_message_becomes_its_job_and_is_deleted(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    bench.rounds()
    (job,) = bench.api.jobs.values()
    assert job["metadata"]["name"] == transform_job_name("raw", key, version, "dev")
    assert job["metadata"]["annotations"] == {
        "postgres-etl/execution-id": manifest_of("nightly-1").execution_id,
        "postgres-etl/source": f"s3://raw/{key}?versionId={version}",
    }
    assert job["spec"]["template"]["spec"]["containers"][0]["env"][1:] == [
        {"name": "EXECUTION_ID", "value": manifest_of("nightly-1").execution_id},
        {"name": "DUMP_PREFIX", "value": "dev/nightly-1/etl-dump"},
        {"name": "MANIFEST_VERSION_ID", "value": version},
    ]
    assert (bench.waiting(), bench.count("received"), bench.count("dispatched")) == (0, 1, 1)
    assert bench.metrics.ready


def test_an_event_without_a_version_dispatches_the_version_that_is_there(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, ""))
    bench.rounds()
    assert list(bench.api.jobs) == [transform_job_name("raw", key, version, "dev")]


def test_the_dispatcher_deletes_a_message_only_after_its_job_exists(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    order: list[str] = []

    def created(_name: str) -> None:
        order.append(f"create with {bench.waiting()} waiting")

    bench.api.faults = [created]
    bench.rounds()
    order.append(f"{bench.waiting()} waiting")
    assert order == ["create with 1 waiting", "0 waiting"]


def test_the_test_event_of_s3_is_deleted(bench: Bench) -> None:
    bench.send_body(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "raw"}))
    bench.rounds()
    assert (bench.waiting(), bench.api.jobs) == (0, {})


NEVER: dict[str, tuple[str, str]] = {
    "no JSON": ("hello", "contract"),
    "a list": ("[]", "contract"),
    "no records": ('{"Records": []}', "contract"),
    "too deep": ("[" * 100_000, "contract"),
    "a removal": (json.dumps({"Records": [Bench.record("k", "v", eventName="ObjectRemoved:Delete")]}), "contract"),
    "another key": (json.dumps({"Records": [Bench.record("dev/x/etl-dump/toc.dat", "v")]}), "contract"),
    "a key that climbs": (json.dumps({"Records": [Bench.record("dev/../etl-dump/manifest.json", "v")]}), "contract"),
    "an encoded command": (json.dumps({"Records": [Bench.record("dev/$%28id%29/x/manifest.json", "v")]}), "contract"),
    "another bucket": (
        json.dumps({"Records": [Bench.record("k", "v", s3={"bucket": {"name": "other"}, "object": {"key": "k"}})]}),
        "another_bucket",
    ),
    "another region": (
        json.dumps({"Records": [Bench.record("dev/x/etl-dump/manifest.json", "v", awsRegion="us-east-1")]}),
        "another_region",
    ),
    "an environment without a bucket": (
        json.dumps({"Records": [Bench.record("prod/x/etl-dump/manifest.json", "v")]}),
        "unknown_environment",
    ),
}


@pytest.mark.parametrize(("body", "reason"), NEVER.values(), ids=NEVER.keys())
def test_what_can_never_be_dispatched_is_left_to_the_dead_letters(bench: Bench, body: str, reason: str) -> None:
    bench.send_body(body)
    bench.rounds(MOST_RECEIVES, hidden_come_back=True)
    assert bench.waiting() == 1
    bench.rounds()
    assert (bench.waiting(), bench.waiting(bench.dead_letters), bench.api.jobs) == (0, 1, {})
    assert bench.count("rejected", reason=reason) == MOST_RECEIVES


@pytest.mark.parametrize(
    "content", [b"", b"{}", manifest_of("other").text(), replace(manifest_of("nightly-1"), stage="clean").text()]
)
def test_a_dump_whose_manifest_is_none_of_it_is_left_to_the_dead_letters(bench: Bench, content: bytes) -> None:
    key, _ = bench.dump("nightly-1")
    version = bench.s3.put_object(Bucket="raw", Key=key, Body=content)["VersionId"]
    bench.send(bench.record(key, version))
    bench.rounds()
    assert (bench.waiting(), bench.api.jobs, bench.count("rejected", reason="manifest")) == (1, {}, 1)


def test_a_message_that_comes_twice_makes_one_job(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    bench.send(bench.record(key, version), bench.record(key, version))
    bench.rounds()
    assert (len(bench.api.jobs), bench.waiting(), bench.count("dispatched"), bench.count("duplicate")) == (1, 0, 1, 2)


def test_two_dispatchers_with_one_message_make_one_job(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    other = Jobs("etl", bench.settings.job_template, bench.api)

    def meanwhile(_name: str) -> None:
        other.create(
            bucket="raw",
            key=key,
            version_id=version,
            prefix=DumpPrefix.of_manifest(key),
            execution_id=manifest_of("nightly-1").execution_id,
        )

    bench.api.faults = [meanwhile]
    bench.rounds()
    assert (len(bench.api.jobs), bench.waiting(), bench.count("duplicate")) == (1, 0, 1)


def test_each_version_of_a_dump_has_a_job_of_its_own(bench: Bench) -> None:
    key, first = bench.dump("nightly-1")
    _, second = bench.dump("nightly-1")
    bench.send(bench.record(key, second))
    bench.send(bench.record(key, first))
    bench.rounds()
    assert set(bench.api.jobs) == {transform_job_name("raw", key, v, "dev") for v in (first, second)}


def test_a_message_whose_second_record_is_bad_is_kept_though_its_first_is_dispatched(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version), bench.record("dev/x/etl-dump/toc.dat", "v"))
    bench.send(bench.record(key, version), bench.record("prod/x/etl-dump/manifest.json", "v"))
    bench.rounds(MOST_RECEIVES, hidden_come_back=True)
    assert (len(bench.api.jobs), bench.waiting(), bench.count("dispatched")) == (1, 2, 1)
    bench.rounds()
    assert bench.waiting(bench.dead_letters) == 2


@pytest.mark.parametrize("with_version", [True, False])
def test_a_dump_that_is_gone_needs_no_job(bench: Bench, with_version: bool) -> None:
    key, version = bench.dump("nightly-1")
    if with_version:
        bench.s3.delete_object(Bucket="raw", Key=key, VersionId=version)
    else:
        bench.s3.delete_object(Bucket="raw", Key=key)
    bench.send(bench.record(key, version if with_version else ""))
    bench.rounds()
    assert (bench.waiting(), bench.api.jobs, bench.count("source_gone")) == (0, {}, 1)


def test_an_older_version_under_a_delete_marker_is_still_dispatched(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.s3.delete_object(Bucket="raw", Key=key)
    bench.send(bench.record(key, version))
    bench.rounds()
    assert list(bench.api.jobs) == [transform_job_name("raw", key, version, "dev")]
