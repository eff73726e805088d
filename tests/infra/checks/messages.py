"""Queues, the topic, logs and alarms: what tells of dumps and of failures."""

from __future__ import annotations

from collections.abc import Iterator

from tests.infra.checks.registry import actions, check, condition, denies, each, statements
from tests.infra.engine import Deployment, Registered

OPERATIONS_KEY = ":key/operations-data-key"
EVENTBRIDGE = {"Service": "events.amazonaws.com"}
FORTNIGHT_SECONDS = 14 * 24 * 3600
STATES = ("extract-rds-to-s3-machine", "load-s3-to-rds-machine")
RINGS_AT_ONCE = {
    "statistic": "Maximum",
    "period": 300,
    "evaluationPeriods": 1,
    "comparisonOperator": "GreaterThanThreshold",
    "treatMissingData": "notBreaching",
}


def alarms(d: Deployment) -> dict[str, tuple[str, str, dict[str, str], int]]:
    """What must raise an alarm, by the logical name: namespace, metric, of what, and the most that is well."""
    machines = {r.name: {"StateMachineArn": r.outputs["arn"]} for r in d.all("StateMachine")}
    return {
        "extract-queue-dead-letters-alarm": (
            "AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": "postgres-etl-s3-dlq"}, 0,
        ),
        "extract-queue-oldest-message-alarm": (
            "AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": "postgres-etl-s3"}, 4 * 3600,
        ),
        "extract-nightly-alarm": (
            "AWS/Scheduler", "InvocationDroppedCount", {"ScheduleGroup": "postgres-etl-nightly-prod"}, 0,
        ),
        **{
            f"{name.removesuffix('-machine')}-{metric}-alarm": ("AWS/States", metric, machines.get(name, {}), 0)
            for name in STATES
            for metric in ("ExecutionsFailed", "ExecutionsTimedOut")
        },
    }  # fmt: skip


def rings(d: Deployment, alarm: Registered, namespace: str, metric: str, of: dict[str, str], most: int) -> bool:
    """Whether an alarm is of this, and the topic hears of it in the first five minutes."""
    told = any(arn.endswith(f":{d.topic}") for arn in alarm.inputs.get("alarmActions", []))
    wanted = {"namespace": namespace, "metricName": metric, "dimensions": of, "threshold": most, **RINGS_AT_ONCE}
    return told and wanted.items() <= alarm.inputs.items()


@check("a queue is encrypted with a customer managed key")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "sqs/queue:Queue", lambda r: r.inputs.get("kmsMasterKeyId", "").endswith(OPERATIONS_KEY))


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
        if not queue.document("redrivePolicy").get("deadLetterTargetArn", "").endswith(":postgres-etl-s3-dlq"):
            yield f"{queue.name}: to other dead letters"
        if not 5 <= queue.document("redrivePolicy")["maxReceiveCount"] <= 10:
            yield queue.name


@check("the dead letters are those of one queue")
def _(d: Deployment) -> Iterator[str]:
    if not d.all("RedriveAllowPolicy"):
        yield "no policy"
    for policy in d.all("RedriveAllowPolicy"):
        document = policy.document("redriveAllowPolicy")
        if document["redrivePermission"] != "byQueue" or [
            arn.rpartition(":")[2] for arn in document.get("sourceQueueArns", [])
        ] != ["postgres-etl-s3"]:
            yield policy.name
        if not policy.inputs.get("queueUrl", "").endswith("/postgres-etl-s3-dlq"):
            yield policy.name


@check("dead letters are kept for a fortnight, longer than any message")
def _(d: Deployment) -> Iterator[str]:
    for queue in d.all("sqs/queue:Queue"):
        is_dead_letters = queue.inputs["name"].endswith("-dlq")
        kept = queue.inputs["messageRetentionSeconds"]
        if is_dead_letters != (kept == FORTNIGHT_SECONDS) or kept > FORTNIGHT_SECONDS:
            yield queue.name


@check("dead letters, old messages and failed runs raise an alarm")
def _(d: Deployment) -> Iterator[str]:
    found = {r.name: r for r in d.all("MetricAlarm")}
    for name, wanted in alarms(d).items():
        if name not in found or not rings(d, found[name], *wanted):
            yield name


@check("the topic is encrypted with a customer managed key")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "sns/topic:Topic", lambda r: r.inputs.get("kmsMasterKeyId", "").endswith(OPERATIONS_KEY))


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
    found = {r.inputs["dimensions"].get("RuleName"): r for r in d.all("MetricAlarm")}
    for rule in d.all("EventRule"):
        name = rule.inputs["name"]
        if name not in found or not rings(d, found[name], "AWS/Events", "FailedInvocations", {"RuleName": name}, 0):
            yield rule.name


@check("a log group is encrypted with a customer managed key")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "LogGroup", lambda r: r.inputs.get("kmsKeyId", "").endswith(OPERATIONS_KEY))


@check("logs are kept for a year unless a setting says otherwise, and not for ever")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "LogGroup", lambda r: r.inputs.get("retentionInDays") == 365)


@check("the queue hears of finished dumps of its bucket alone")
def _(d: Deployment) -> Iterator[str]:
    for notification in d.all("BucketNotification"):
        (queue,) = [r for r in d.all("sqs/queue:Queue") if r.inputs["name"] == "postgres-etl-s3"]
        wanted = {
            "id": "finished-dumps",
            "queueArn": queue.outputs["arn"],
            "events": ["s3:ObjectCreated:*"],
            "filterSuffix": "/manifest.json",
        }
        (bucket,) = [r.inputs["bucket"] for r in d.all("s3/bucket:Bucket") if r.name == "extract-bucket-bucket"]
        if notification.inputs["queues"] != [wanted] or notification.inputs.get("bucket") != bucket:
            yield notification.name


@check("an alarm reaches the people that the settings name")
def _(d: Deployment) -> Iterator[str]:
    topic = d.one("sns/topic:Topic").outputs["arn"]
    wanted = [("email", "data-platform-dev@example.com", topic)]
    found = [tuple(r.inputs.get(key) for key in ("protocol", "endpoint", "topic")) for r in d.all("TopicSubscription")]
    if found != wanted:
        yield "the subscriptions"
