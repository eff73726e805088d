"""Raw dumps that no message named get their Jobs all the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from etl_runtime import reconciliation
from etl_runtime.contract import transform_job_name
from etl_runtime.dispatcher import Dispatcher

from tests.containers.dispatch_bench import Bench, manifest_of


@pytest.fixture(autouse=True)
def _an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(hours=1)

    monkeypatch.setattr(reconciliation, "datetime", Later)


def clean(bench: Bench, key: str) -> None:
    bench.s3.put_object(Bucket="clean", Key=key, Body=b"{}")


def test_a_dump_that_no_message_named_gets_the_job_that_a_message_would_have_made(bench: Bench) -> None:
    key, version = bench.dump("nightly-1")
    bench.reconcile(3)
    assert list(bench.cluster.jobs()) == [transform_job_name("raw", key, version, "dev")]
    assert (bench.count("dispatched"), bench.count("reconciled")) == (1, 1)
    bench.send(bench.record(key, version))
    bench.rounds()
    assert (len(bench.cluster.jobs()), bench.waiting(), bench.count("duplicate")) == (1, 0, 1)


def test_only_what_has_no_clean_dump_no_job_and_no_dead_letter_is_dispatched(bench: Bench) -> None:
    cleaned, dispatched, buried, missing = (bench.dump(name) for name in ("a", "b", "c", "d"))
    clean(bench, cleaned[0])
    bench.send(bench.record(*dispatched))
    bench.rounds()
    bench.cluster.end(next(iter(bench.cluster.jobs())), "Failed")
    bench.send(bench.record(*buried), None)
    bench.sqs.send_message(QueueUrl=bench.dead_letters, MessageBody=_moved(bench))
    bench.sqs.send_message(QueueUrl=bench.dead_letters, MessageBody="junk")
    bench.s3.put_object(Bucket="raw", Key="dev/e/etl-dump/toc.dat", Body=b"without a manifest")
    bench.s3.put_object(Bucket="raw", Key="dev/not ours/manifest.json", Body=b"")
    bench.s3.put_object(Bucket="raw", Key="sbx/f/etl-dump/manifest.json", Body=manifest_of("f", "sbx").text())
    bench.reconcile(3)
    bench.reconcile(3)
    assert set(bench.cluster.jobs()) == {transform_job_name("raw", *dump, "dev") for dump in (dispatched, missing)}
    assert bench.count("reconciled") == 1


def _moved(bench: Bench) -> str:
    """The body of the one message, taken from the queue."""
    (message,) = bench.sqs.receive_message(QueueUrl=bench.queue)["Messages"]
    bench.sqs.delete_message(QueueUrl=bench.queue, ReceiptHandle=message["ReceiptHandle"])
    return message["Body"]


def test_a_dump_is_given_time_for_its_message(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    bench.s3.put_object(Bucket="raw", Key="dev/a/etl-dump/manifest.json", Body=manifest_of("a").text())
    assert list(bench.dispatcher._reconciliation.missing()) == []


def test_no_more_are_dispatched_than_there_are_free_slots_and_the_oldest_first(bench: Bench) -> None:
    dumps = [bench.dump(name) for name in ("c", "a", "b")]
    bench.reconcile(2)
    assert set(bench.cluster.jobs()) <= {transform_job_name("raw", *dump, "dev") for dump in dumps}
    assert len(bench.cluster.jobs()) == 2


def test_a_dump_whose_job_is_gone_without_a_clean_dump_is_tried_again(bench: Bench) -> None:
    bench.dump("nightly-1")
    bench.reconcile(1)
    (name,) = bench.cluster.jobs()
    bench.cluster.end(name, "Failed")
    bench.cluster.delete(name)
    bench.reconcile(1)
    assert list(bench.cluster.jobs()) == [name]


def test_a_dump_that_is_none_is_left_where_it_is(bench: Bench) -> None:
    key, _ = bench.dump("a")
    bench.s3.put_object(Bucket="raw", Key=key, Body=replace(manifest_of("a"), stage="clean").text())
    good = bench.dump("b")
    bench.reconcile(3)
    assert list(bench.cluster.jobs()) == [transform_job_name("raw", *good, "dev")]


@pytest.mark.parametrize("call", ["list", "create"])
def test_a_pass_that_kubernetes_does_not_answer_dispatches_nothing(bench: Bench, call: str) -> None:
    bench.dump("nightly-1")
    bench.cluster.fault(call, times=3, status=500)
    bench.reconcile(3)
    assert (bench.cluster.jobs(), bench.count("reconcile_errors")) == ({}, 1)


def test_a_job_that_kubernetes_refuses_keeps_no_other_from_its_own(bench: Bench) -> None:
    bench.dump("a")
    bench.dump("b")
    bench.cluster.fault("create", status=422)
    bench.reconcile(3)
    assert (len(bench.cluster.jobs()), bench.count("rejected", reason="kubernetes_422", kind="cluster")) == (1, 1)


@pytest.mark.parametrize("service", ["raw", "clean", "letters"])
def test_a_pass_that_cannot_see_everything_dispatches_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    bench.dump("nightly-1")
    error = ClientError({"Error": {"Code": "AccessDenied"}}, "Read")

    def refuse(**_arguments: Any) -> None:
        raise error

    match service:
        case "raw":
            monkeypatch.setattr(bench.s3, "get_paginator", lambda _name: refuse())
        case "clean":
            monkeypatch.setattr(bench.s3, "get_object", refuse)
        case _:
            monkeypatch.setattr(bench.sqs, "receive_message", refuse)
    bench.reconcile(3)
    assert (bench.cluster.jobs(), bench.count("reconcile_errors")) == ({}, 1)


def test_a_pass_while_somebody_looks_at_the_dead_letters_dispatches_nothing(bench: Bench) -> None:
    """They may name what is missing, and then an operator is about to decide."""
    bench.dump("nightly-1")
    bench.sqs.send_message(QueueUrl=bench.dead_letters, MessageBody="junk")
    (letter,) = bench.sqs.receive_message(QueueUrl=bench.dead_letters)["Messages"]
    bench.reconcile(3)
    assert bench.cluster.jobs() == {}
    bench.sqs.delete_message(QueueUrl=bench.dead_letters, ReceiptHandle=letter["ReceiptHandle"])
    bench.reconcile(3)
    assert len(bench.cluster.jobs()) == 1


def test_what_was_cleaned_once_is_asked_for_once_and_forgotten_with_its_raw_dump(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = bench.dump("nightly-1")
    clean(bench, key)
    asked: list[str] = []
    get = bench.s3.get_object
    monkeypatch.setattr(bench.s3, "get_object", lambda **how: (asked.append(how["Bucket"]), get(**how))[1])
    for _ in range(3):
        bench.reconcile(3)
    assert asked == ["clean"]
    bench.s3.delete_object(Bucket="raw", Key=key)
    bench.reconcile(3)
    assert bench.dispatcher._reconciliation._cleaned == set()


def test_a_pass_comes_by_itself_between_two_rounds(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.dump("nightly-1")
    passes: list[int] = []

    def reconcile(self: Dispatcher, free: int) -> None:
        passes.append(free)
        if len(passes) == 2:
            self.stopping.set()
        self._reconcile_at = 0

    monkeypatch.setattr(Dispatcher, "reconcile", reconcile)
    bench.dispatcher._reconcile_at = 0
    bench.dispatcher.serve()
    assert passes == [3, 3]
