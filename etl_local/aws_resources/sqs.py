"""SQS queues in moto."""

from __future__ import annotations

from etl_local.aws_resources.registry import Account, Inputs, Made, makes

_ATTRIBUTES = {
    "delaySeconds": "DelaySeconds",
    "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "maxMessageSize": "MaximumMessageSize",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "policy": "Policy",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "redriveAllowPolicy": "RedriveAllowPolicy",
    "redrivePolicy": "RedrivePolicy",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
}


@makes("aws:sqs/queue:Queue")
def queue(account: Account, inputs: Inputs) -> Made:
    """A queue; its identifier is its URL."""
    name, tags = inputs.pop("name"), account.tags(inputs)
    attributes = {_ATTRIBUTES[key]: _number_text(inputs.pop(key)) for key in list(inputs) if key in _ATTRIBUTES}
    url: str = account.client("sqs").create_queue(QueueName=name, Attributes=attributes, tags=tags)["QueueUrl"]
    return url, {"url": url, "arn": account.arn("sqs", name)}


@makes("aws:sqs/queuePolicy:QueuePolicy")
def queue_policy(account: Account, inputs: Inputs) -> Made:
    """Who may do what with a queue."""
    return _set(account, inputs, "policy")


@makes("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy")
def redrive_allow_policy(account: Account, inputs: Inputs) -> Made:
    """Which queues may use this one for their dead letters."""
    return _set(account, inputs, "redriveAllowPolicy")


def _set(account: Account, inputs: Inputs, key: str) -> Made:
    url: str = inputs.pop("queueUrl")
    account.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={_ATTRIBUTES[key]: inputs.pop(key)})
    return url, {}


def _number_text(value: object) -> str:
    """Pulumi's numbers are floats, SQS wants whole ones as text."""
    return str(int(value)) if isinstance(value, float) else str(value)
