"""`postgres-etl dlq`: why messages are among the dead letters, and how they get back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from etl_runtime import dead_letters
from etl_runtime.dead_letters import DeadLetterQueue
from typer.testing import CliRunner, Result

from etl_cli.main import app

from .conftest import Aws

SENT_AT = 1_767_323_045
SECRET = "Ada Lovelace, +44 7700 900123"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "WAIT_SECONDS", 0)


def dlq(aws: Aws, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["dlq", *arguments, "--outputs", str(aws.outputs_file)])


def event(*keys: str) -> str:
    records = [
        {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "requestParameters": {"sourceIPAddress": SECRET},
            "s3": {"bucket": {"name": "raw-dumps"}, "object": {"key": key, "versionId": "v1"}},
        }
        for key in keys
    ]
    return json.dumps({"Records": records})


def bury(aws: Aws, body: str, reason: str, sent_at: float = SENT_AT) -> None:
    DeadLetterQueue(aws.clients["sqs"], aws.outputs["dead_letter_queue_url"]).bury(body, reason, 2, sent_at)


def messages(aws: Aws, queue: str) -> list[dict[str, Any]]:
    found = aws.clients["sqs"].receive_message(
        QueueUrl=aws.outputs[queue], MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["All"]
    )
    return found.get("Messages", [])


@pytest.fixture
def letters(aws: Aws) -> None:
    """One letter with the dispatcher's reason, one that came too often, one that is junk."""
    bury(aws, event("dev/nightly-1/etl-dump/manifest.json"), "manifest: it names another dump")
    aws.clients["sqs"].send_message(
        QueueUrl=aws.outputs["dead_letter_queue_url"], MessageBody=event("dev/nightly-2/etl-dump/manifest.json")
    )
    aws.clients["sqs"].send_message(QueueUrl=aws.outputs["dead_letter_queue_url"], MessageBody=SECRET)


def test_no_dead_letters_are_no_trouble(aws: Aws) -> None:
    assert (dlq(aws, "list").stdout, dlq(aws, "list").exit_code) == ("no dead letters\n", 0)
    assert (dlq(aws, "list", "--json").stdout, dlq(aws, "redrive", "--all").stdout) == ("", "no dead letters\n")


@pytest.mark.usefixtures("letters")
def test_each_letter_is_told_with_what_it_is_of_and_why_it_is_there_and_nothing_else_of_it(aws: Aws) -> None:
    result = dlq(aws, "list")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split(" old  ")[1] for line in lines] == [
        "nightly-1: manifest: it names another dump",
        "nightly-2: received 1 time without a Job; the dispatcher's log says why",
        "no dump: contract: message body is not JSON",
    ]
    assert SECRET not in result.output + dlq(aws, "list", "--json").output


@pytest.mark.usefixtures("letters")
def test_machines_get_one_object_for_each_letter(aws: Aws) -> None:
    document, *others = map(json.loads, dlq(aws, "list", "--json").stdout.splitlines())
    assert len(others) == 2
    assert document.pop("age_seconds") > 0
    assert len(document.pop("id")) == 36
    assert document == {
        "event": "dead_letter",
        "reason": "manifest: it names another dump",
        "receives": 2,
        "sent_at": "2026-01-02T03:04:05Z",
        "dumps": [
            {
                "key": "dev/nightly-1/etl-dump/manifest.json",
                "version_id": "v1",
                "execution_name": "nightly-1",
                "environment": "dev",
            }
        ],
    }


@pytest.mark.usefixtures("letters")
def test_a_letter_is_shown_in_full_by_its_id_its_beginning_or_its_execution(aws: Aws) -> None:
    identifier = json.loads(dlq(aws, "list", "--json").stdout.splitlines()[0])["id"]
    shown = [dlq(aws, "show", name).stdout for name in (identifier, identifier[:8], "nightly-1")]
    lines = shown[0].splitlines()
    assert lines[3].startswith("sent       2026-01-02T03:04:05Z, ")
    assert [*lines[:3], *lines[4:]] == [
        f"id         {identifier}",
        "reason     manifest: it names another dump",
        "received   2 times",
        "dump       dev/nightly-1/etl-dump/manifest.json",
        "version    v1",
        "execution  nightly-1, to load into dev",
    ]
    assert [text.split("sent")[0] for text in shown] == [shown[0].split("sent")[0]] * 3


def test_a_key_of_another_form_is_shown_so_that_a_terminal_obeys_nothing_in_it(aws: Aws) -> None:
    bury(aws, event("dev/%1b%5b2J/etl-dump/manifest.json"), "")
    shown = dlq(aws, "list").stdout
    assert "'dev/\\x1b[2J/etl-dump/manifest.json'" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("name", ["nightly-9", "zzz"])
@pytest.mark.usefixtures("letters")
def test_a_name_that_no_letter_has_is_refused_and_nothing_is_done(aws: Aws, name: str) -> None:
    result = dlq(aws, "redrive", "nightly-1", name)
    assert result.exit_code == 2
    assert f"there is no dead letter '{name}'" in result.stderr
    assert (len(messages(aws, "dead_letter_queue_url")), messages(aws, "dump_queue_url")) == (3, [])


@pytest.mark.usefixtures("letters")
def test_a_beginning_of_several_ids_is_refused(aws: Aws) -> None:
    assert "begins the ids of 3 dead letters" in dlq(aws, "redrive", "").stderr


@pytest.mark.parametrize("arguments", [[], ["nightly-1", "--all"]])
@pytest.mark.usefixtures("letters")
def test_what_to_redrive_is_said_one_way(aws: Aws, arguments: list[str]) -> None:
    result = dlq(aws, "redrive", *arguments)
    assert (result.exit_code, messages(aws, "dump_queue_url")) == (2, [])
    assert "name the letters to redrive, or all of them with --all" in result.stderr


@pytest.mark.usefixtures("letters")
def test_a_redriven_letter_is_in_the_dump_queue_as_it_first_came(aws: Aws) -> None:
    result = dlq(aws, "redrive", "nightly-1")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("redriven  ")
    (message,) = messages(aws, "dump_queue_url")
    assert message["Body"] == event("dev/nightly-1/etl-dump/manifest.json")
    assert "MessageAttributes" not in message
    assert len(messages(aws, "dead_letter_queue_url")) == 2


@pytest.mark.usefixtures("letters")
def test_all_are_redriven_or_only_told_what_would_be(aws: Aws) -> None:
    told = [
        json.loads(line)["event"] for line in dlq(aws, "redrive", "--all", "--dry-run", "--json").stdout.splitlines()
    ]
    assert (told, messages(aws, "dump_queue_url")) == (["would_redrive"] * 3, [])
    assert dlq(aws, "redrive", "--all").exit_code == 0
    assert (len(messages(aws, "dump_queue_url")), messages(aws, "dead_letter_queue_url")) == (3, [])


@pytest.mark.usefixtures("letters")
def test_what_somebody_else_holds_is_told(aws: Aws) -> None:
    aws.clients["sqs"].receive_message(QueueUrl=aws.outputs["dead_letter_queue_url"], MaxNumberOfMessages=2)
    result = dlq(aws, "list")
    assert "2 letters cannot be seen: somebody else looks just now" in result.stderr
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.usefixtures("letters")
def test_a_letter_that_could_not_be_sent_stays(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any) -> None:
        raise ClientError({"Error": {"Code": "KmsThrottled"}}, "SendMessage")

    monkeypatch.setattr(DeadLetterQueue, "redrive", refuse)
    result = dlq(aws, "redrive", "--all")
    assert (result.exit_code, len(messages(aws, "dead_letter_queue_url"))) == (75, 3)
    assert result.stderr == "postgres-etl: the dead letters: AWS answered KmsThrottled\n"


def test_a_stack_without_a_queue_is_refused(aws: Aws) -> None:
    del aws.outputs["dead_letter_queue_url"]
    result = dlq(aws, "list")
    assert result.exit_code == 2
    assert "has no `dead_letter_queue_url`" in result.stderr
