"""Queues, the topic, logs and alarms: what tells of dumps and of failures."""

from __future__ import annotations

from collections.abc import Iterator

from tests.infra.checks.registry import actions, check, condition, denies, each, statements
from tests.infra.engine import Deployment

EVENTBRIDGE = {"Service": "events.amazonaws.com"}
FORTNIGHT_SECONDS = 14 * 24 * 3600
ALARMS = {
    "ApproximateNumberOfMessagesVisible",
    "ApproximateAgeOfOldestMessage",
    "ExecutionsFailed",
    "ExecutionsTimedOut",
    "InvocationDroppedCount",
}


@check("a queue is encrypted with a customer managed key")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "sqs/queue:Queue", lambda r: ":key/" in r.inputs.get("kmsMasterKeyId", ""))


@check("S3 may use the queue's key for this account's bucket alone")
def _(d: Deployment) -> Iterator[str]:
    queues = {r.inputs.get("kmsMasterKeyId") for r in d.all("sqs/queue:Queue")}
    for key in d.all("key:Key"):
        if not any(str(arn).endswith(f"/{key.name}") for arn in queues):
            continue
        granted = [s for s in statements(key.document("policy")) if s["Principal"] == {"Service": "s3.amazonaws.com"}]
        if len(granted) != 1 or not (
            condition(granted[0], "StringEquals", "aws:SourceAccount")
            and condition(granted[0], "ArnLike", "aws:SourceArn")
        ):
            yield key.name


@check("the queue takes the events of one bucket of this account and nothing else")
def _(d: Deployment) -> Iterator[str]:
    for policy in d.all("QueuePolicy"):
        for s in statements(policy.document("policy")):
            if not (
                actions(s) == {"sqs:SendMessage"}
                and s["Principal"] == {"Service": "s3.amazonaws.com"}
                and condition(s, "ArnEquals", "aws:SourceArn")
                and condition(s, "StringEquals", "aws:SourceAccount")
            ):
                yield policy.name


@check("a queue denies plaintext transport")
def _(d: Deployment) -> Iterator[str]:
    closed = {
        r.inputs["queueUrl"]
        for r in d.all("QueuePolicy")
        if denies(r.document("policy"), "sqs:SendMessage", "Bool", "aws:SecureTransport", "false")
    }
    for queue in d.all("sqs/queue:Queue"):
        if not any(url.endswith(f"/{queue.inputs['name']}") for url in closed):
            yield queue.name


@check("a message that cannot be dealt with goes to the dead letters after 5 to 10 receives")
def _(d: Deployment) -> Iterator[str]:
    sources = [r for r in d.all("sqs/queue:Queue") if "redrivePolicy" in r.inputs]
    if not sources:
        yield "no queue has dead letters"
    for queue in sources:
        if not 5 <= queue.document("redrivePolicy")["maxReceiveCount"] <= 10:
            yield queue.name


@check("the dead letters are those of one queue")
def _(d: Deployment) -> Iterator[str]:
    if not d.all("RedriveAllowPolicy"):
        yield "no policy"
    for policy in d.all("RedriveAllowPolicy"):
        document = policy.document("redriveAllowPolicy")
        if document["redrivePermission"] != "byQueue" or len(document.get("sourceQueueArns", [])) != 1:
            yield policy.name


@check("dead letters are kept for a fortnight, longer than any message")
def _(d: Deployment) -> Iterator[str]:
    for queue in d.all("sqs/queue:Queue"):
        is_dead_letters = queue.inputs["name"].endswith("-dlq")
        kept = queue.inputs["messageRetentionSeconds"]
        if is_dead_letters != (kept == FORTNIGHT_SECONDS):
            yield queue.name


@check("dead letters, old messages and failed runs raise an alarm")
def _(d: Deployment) -> Iterator[str]:
    raised = {
        r.inputs["metricName"]
        for r in d.all("MetricAlarm")
        if any(arn.endswith(f":{d.topic}") for arn in r.inputs.get("alarmActions", []))
    }
    yield from ALARMS - raised


@check("the topic is encrypted with a customer managed key")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "sns/topic:Topic", lambda r: ":key/" in r.inputs.get("kmsMasterKeyId", ""))


@check("the topic takes this account's alarms, key events and nothing else, over TLS")
def _(d: Deployment) -> Iterator[str]:
    for policy in d.all("TopicPolicy"):
        document = policy.document("policy")
        if not denies(document, "sns:Publish", "Bool", "aws:SecureTransport", "false"):
            yield policy.name
        for s in statements(document):
            is_alarm = s["Principal"] == {"Service": "cloudwatch.amazonaws.com"} and (
                condition(s, "ArnLike", "aws:SourceArn") and condition(s, "StringEquals", "aws:SourceAccount")
            )
            if actions(s) != {"sns:Publish"} or not (is_alarm or s["Principal"] == EVENTBRIDGE):
                yield s["Sid"]


@check("no condition that EventBridge cannot meet stands between a key event and the topic")
def _(d: Deployment) -> Iterator[str]:
    policies = [policy.document("policy") for policy in d.all("TopicPolicy")]
    granted = [s for policy in policies for s in statements(policy) if s["Principal"] == EVENTBRIDGE]
    if len(granted) != 1 or "Condition" in granted[0]:
        yield "the topic's policy"
    topic = d.one("sns/topic:Topic")
    for key in d.all("key:Key"):
        if key.outputs["arn"] == topic.inputs.get("kmsMasterKeyId"):
            found = [s for s in statements(key.document("policy")) if s["Principal"] == EVENTBRIDGE]
            wanted = {"StringEquals": {"kms:EncryptionContext:aws:sns:topicArn": topic.outputs["arn"]}}
            if [s.get("Condition") for s in found] != [wanted]:
                yield key.name


@check("a key event that could not be told of raises an alarm")
def _(d: Deployment) -> Iterator[str]:
    watched = {
        r.inputs["dimensions"].get("RuleName")
        for r in d.all("MetricAlarm")
        if r.inputs["metricName"] == "FailedInvocations"
        and any(arn.endswith(f":{d.topic}") for arn in r.inputs.get("alarmActions", []))
    }
    return each(d, "EventRule", lambda r: r.inputs["name"] in watched)


@check("a log group is encrypted with a customer managed key")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "LogGroup", lambda r: ":key/" in r.inputs.get("kmsKeyId", ""))


@check("logs are kept for a year unless a setting says otherwise, and not for ever")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "LogGroup", lambda r: r.inputs.get("retentionInDays") == 365)
