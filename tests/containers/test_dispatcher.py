"""What the dispatcher makes of each message."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus

import pytest
from etl_runtime.contract import execution_label, transform_job_name

from tests.containers.dispatch_bench import Bench, manifest_of


def test_a_dump_s_message_becomes_its_job_and_is_deleted(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    bench.rounds()
    (job,) = bench.cluster.jobs().values()
    assert job["metadata"]["name"] == transform_job_name("raw", key, version, "dev")
    assert job["metadata"]["annotations"] == {
        "postgres-etl/execution-id": manifest_of("nightly-1").execution_id,
        "postgres-etl/source": f"s3://raw/{key}?versionId={version}",
    }
    variables = job["spec"]["template"]["spec"]["containers"][0]["env"]
    assert [variable for variable in variables if variable["name"] not in ("MOUNT_POINT", "TMPDIR")] == [
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
    assert list(bench.cluster.jobs()) == [transform_job_name("raw", key, version, "dev")]


def test_the_dispatcher_deletes_a_message_only_after_its_job_exists(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    order: list[str] = []
    bench.cluster.before["create"] = lambda: order.append(f"create with {bench.waiting()} waiting")
    bench.rounds()
    order.append(f"{bench.waiting()} waiting")
    assert order == ["create with 1 waiting", "0 waiting"]


def test_the_test_event_of_s3_is_deleted_and_counted(bench: Bench) -> None:
    bench.send_body(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "raw"}))
    bench.rounds()
    assert (bench.waiting(), bench.waiting(bench.dead_letters), bench.cluster.jobs()) == (0, 0, {})
    assert bench.count("test_events") == 1


def _event(key: str, **changes: Any) -> str:
    return json.dumps({"Records": [Bench.record(key, "v", **changes)]})


def _keyed(key: str) -> str:
    return _event(quote_plus(key))


ELSEWHERE = {"bucket": {"name": "other"}, "object": {"key": "dev/x/etl-dump/manifest.json", "versionId": "v"}}
MANIFEST = "dev/x/etl-dump/manifest.json"
FORM = "contract", "data"
NEVER: dict[str, tuple[str, tuple[str, str]]] = {
    "no JSON": ("hello", FORM),
    "a list": ("[]", FORM),
    "no records": ('{"Records": []}', FORM),
    "too deep": ("[" * 100_000, FORM),
    "wrapped by SNS": (json.dumps({"Type": "Notification", "Message": _event(MANIFEST)}), FORM),
    "wrapped by EventBridge": (json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": {}}), FORM),
    "a removal": (_event(MANIFEST, eventName="ObjectRemoved:Delete"), FORM),
    "another source": (_event(MANIFEST, eventSource="aws:sns"), FORM),
    "a version of another form": (json.dumps({"Records": [Bench.record(MANIFEST, "\ud800")]}), FORM),
    "no UTF-8": (_event("dev/%ff/etl-dump/manifest.json"), FORM),
    "another bucket": (_event(MANIFEST, s3=ELSEWHERE), ("another_bucket", "security")),
    "another region": (_event(MANIFEST, awsRegion="us-east-1"), ("another_region", "security")),
    "an environment without a bucket": (_keyed("prod/x/etl-dump/manifest.json"), ("unknown_environment", "data")),
    **{
        f"a key {what}": (_keyed(key), ("key", "security"))
        for what, key in {
            "of another file": "dev/x/etl-dump/toc.dat",
            "that climbs": "dev/../etl-dump/manifest.json",
            "with a space": "dev/a b/etl-dump/manifest.json",
            "with a plus": "dev/a+b/etl-dump/manifest.json",
            "encoded twice": "dev/a%2Bb/etl-dump/manifest.json",
            "with a composed letter": "dev/\u00e9/etl-dump/manifest.json",
            "with a combining letter": "dev/e\u0301/etl-dump/manifest.json",
            "of 1024 bytes": "dev/" + "x" * 999 + "/etl-dump/manifest.json",
            "that is an option": "-rf/x/etl-dump/manifest.json",
            "with a NUL": "dev/a\0b/etl-dump/manifest.json",
            "with a newline": "dev/x\n/etl-dump/manifest.json",
            "with a command": "dev/$(id)/etl-dump/manifest.json",
        }.items()
    },
}


@pytest.mark.parametrize(("body", "refusal"), NEVER.values(), ids=NEVER.keys())
def test_what_can_never_be_dispatched_is_among_the_dead_letters_at_once_with_its_reason(
    bench: Bench, body: str, refusal: tuple[str, str]
) -> None:
    reason, kind = refusal
    bench.send_body(body)
    bench.rounds()
    (letter,) = bench.letters()
    assert letter[0] == body
    assert letter[1].startswith(f"{reason}: ")
    assert letter[1].isascii()
    assert (bench.waiting(), bench.cluster.jobs(), bench.count("rejected", reason=reason, kind=kind)) == (0, {}, 1)


@pytest.mark.parametrize(
    "content", [b"", b"{}", manifest_of("other").text(), replace(manifest_of("nightly-1"), stage="clean").text()]
)
def test_a_dump_whose_manifest_is_none_of_it_is_among_the_dead_letters(bench: Bench, content: bytes) -> None:
    key, _ = bench.dump("nightly-1")
    version = bench.s3.put_object(Bucket="raw", Key=key, Body=content)["VersionId"]
    bench.send(bench.record(key, version))
    bench.rounds()
    ((_, reason),) = bench.letters()
    assert reason.startswith("manifest: manifest of dev/nightly-1/etl-dump ")
    assert (bench.waiting(), bench.cluster.jobs(), bench.count("rejected", reason="manifest", kind="data")) == (
        0,
        {},
        1,
    )


def test_a_message_that_comes_twice_makes_one_job(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    bench.send(bench.record(key, version), bench.record(key, version))
    bench.rounds()
    assert (len(bench.cluster.jobs()), bench.waiting()) == (1, 0)
    assert (bench.count("dispatched"), bench.count("duplicate")) == (1, 2)


def test_a_message_that_comes_again_a_day_later_makes_the_same_job_which_finds_the_work_done(bench: Bench) -> None:
    """The Job is gone by its TTL; the clean manifest is what ends the second one, before it does anything."""
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    bench.rounds()
    (first,) = bench.cluster.jobs().values()
    bench.cluster.end(first["metadata"]["name"])
    bench.cluster.delete(first["metadata"]["name"])
    bench.send(bench.record(key, version))
    bench.rounds()
    (second,) = bench.cluster.jobs().values()
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert (second["metadata"]["name"], second["metadata"]["annotations"], bench.waiting()) == (
        first["metadata"]["name"],
        first["metadata"]["annotations"],
        0,
    )


def test_two_dispatchers_with_one_message_make_one_job(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.send(bench.record(key, version))
    other, source = bench.open_jobs(), bench.dispatcher.sources.find(bench.created(key, version))
    assert source is not None

    def meanwhile() -> None:
        bench.cluster.before.clear()
        other.create(source)

    bench.cluster.before["create"] = meanwhile
    bench.rounds()
    assert (len(bench.cluster.jobs()), bench.waiting(), bench.count("duplicate")) == (1, 0, 1)


def test_each_version_of_a_dump_has_a_job_of_its_own_in_whatever_order_they_come(bench: Bench) -> None:
    key, first = bench.dump("nightly-1")
    _, second = bench.dump("nightly-1")
    bench.send(bench.record(key, second))
    bench.send(bench.record(key, first))
    bench.rounds()
    assert set(bench.cluster.jobs()) == {transform_job_name("raw", key, v, "dev") for v in (first, second)}


@pytest.mark.parametrize(
    "bad", [Bench.record("dev/x/etl-dump/toc.dat", "v"), Bench.record("prod/x/etl-dump/manifest.json", "v"), {}, None]
)
def test_the_good_records_of_a_message_are_dispatched_and_the_whole_of_it_is_among_the_dead_letters(
    bench: Bench, bad: Any
) -> None:
    first, second = (bench.record(*bench.dump(name)) for name in ("nightly-1", "nightly-2"))
    bench.send(first, bad, second)
    bench.rounds()
    assert (len(bench.cluster.jobs()), bench.waiting(), bench.count("dispatched")) == (2, 0, 2)
    assert [json.loads(body) for body, _ in bench.letters()] == [{"Records": [first, bad, second]}]


@pytest.mark.parametrize("with_version", [True, False])
def test_a_dump_that_is_gone_needs_no_job(bench: Bench, with_version: bool) -> None:
    key, version = bench.dump("nightly-1")
    if with_version:
        bench.s3.delete_object(Bucket="raw", Key=key, VersionId=version)
    else:
        bench.s3.delete_object(Bucket="raw", Key=key)
    bench.send(bench.record(key, version if with_version else ""))
    bench.rounds()
    assert (bench.waiting(), bench.cluster.jobs(), bench.count("source_gone")) == (0, {}, 1)


def test_an_event_of_a_delete_marker_needs_no_job(bench: Bench) -> None:
    key, _ = bench.dump("nightly-1")
    marker = bench.s3.delete_object(Bucket="raw", Key=key)["VersionId"]
    bench.send(bench.record(key, marker))
    bench.rounds()
    assert (bench.waiting(), bench.cluster.jobs(), bench.count("source_gone")) == (0, {}, 1)


def test_an_older_version_under_a_delete_marker_is_still_dispatched(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.s3.delete_object(Bucket="raw", Key=key)
    bench.send(bench.record(key, version))
    bench.rounds()
    assert list(bench.cluster.jobs()) == [transform_job_name("raw", key, version, "dev")]


@pytest.mark.parametrize("name", ["-leading", "x" * 80, "_", "0"])
def test_an_execution_of_any_name_is_found_by_its_label_and_known_by_its_annotation(bench: Bench, name: str) -> None:
    bench.send(bench.record(*bench.dump(name)))
    bench.rounds()
    (job,) = bench.cluster.jobs().values()
    assert job["metadata"]["annotations"]["postgres-etl/execution-id"] == manifest_of(name).execution_id
    for place in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert place["labels"]["postgres-etl/execution"] == execution_label(name)
