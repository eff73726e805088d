"""What tells one use of a key from every other: conditions that the key's policy and its user's own policy both set."""

from __future__ import annotations

from typing import Final, TypeAlias

from etl_infra.documents.iam import Text
from etl_infra.naming import Home

KeyConditions: TypeAlias = dict[str, Text | list[str]]
"""Condition key → the value, or one of the values, that it must have."""

SESSION: Final = "kms:EncryptionContext:aws:ssm:SessionId"


def through(home: Home, *services: str) -> KeyConditions:
    """The key is asked by an AWS service in the name of whoever calls its API.

    Never for what a role does that Step Functions assumes: it asks the key for its history itself.
    https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html
    """
    domains = [f"{service}.{home.region}.amazonaws.com" for service in services]
    return {"kms:ViaService": domains if len(domains) > 1 else domains[0]}


def for_machine(home: Home, state_machine: str) -> KeyConditions:
    """The definition and the history of one state machine, as its own role encrypts them.

    https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html
    """
    return {"kms:EncryptionContext:aws:states:stateMachineArn": home.arn("states", f"stateMachine:{state_machine}")}


def for_log_delivery(home: Home) -> KeyConditions:
    """The logs that a state machine hands to CloudWatch. The value ends in an asterisk that is a character of it.

    https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html
    """
    return {"kms:EncryptionContext:SourceArn": home.arn("logs", "*")}


def for_topic(topic_arn: Text) -> KeyConditions:
    """The messages of one topic.

    https://docs.aws.amazon.com/sns/latest/dg/sns-server-side-encryption.html
    """
    return {"kms:EncryptionContext:aws:sns:topicArn": topic_arn}
