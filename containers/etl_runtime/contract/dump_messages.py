"""The messages of the queue of dumps, and what a dead letter tells."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import unquote_plus

from etl_runtime.contract.contract_error import ContractError

_VERSION_ID: Final = re.compile(r"[!-~]{0,1024}")

# The dispatcher tells with a dead letter why it is one; SQS itself tells nothing with those that came too often.
REASON_ATTRIBUTE: Final = "Reason"
RECEIVES_ATTRIBUTE: Final = "Receives"
SENT_ATTRIBUTE: Final = "SentAt"


@dataclass(frozen=True, slots=True)
class CreatedObject:
    """One object that an S3 event says was created. `version_id` is "" when the bucket (or a stand-in) sent none."""

    bucket: str
    key: str
    version_id: str
    region: str


def event_records(body: str) -> list[Any] | None:
    """The records of an S3 notification as they came, each for `created_object`; None for S3's own `s3:TestEvent`.

    S3 sends a TestEvent when a notification is configured:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html

    Raises:
        ContractError: not an S3 notification, or one without records.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ContractError("message body is not JSON") from None
    if not isinstance(document, dict):
        raise ContractError("message body is not a JSON object")
    message = cast(dict[str, Any], document)
    if message.get("Event") == "s3:TestEvent":
        return None
    records = message.get("Records")
    if not isinstance(records, list) or not records:
        raise ContractError("message has no Records")
    return cast(list[Any], records)


def created_object(record: Any) -> CreatedObject:
    """The object that one record says was created, its form-encoded key decoded once.

    Raises:
        ContractError: a record of another form, or not of an `ObjectCreated` event.
    """
    try:
        if record["eventSource"] != "aws:s3" or not str(record["eventName"]).startswith("ObjectCreated:"):
            raise ContractError("record is not an ObjectCreated event of aws:s3")
        s3 = record["s3"]
        return CreatedObject(
            bucket=str(s3["bucket"]["name"]),
            key=unquote_plus(str(s3["object"]["key"]), errors="strict"),
            version_id=_version_id(s3["object"].get("versionId") or ""),
            region=str(record.get("awsRegion", "")),
        )
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError):
        raise ContractError("record has not the form of an S3 event record") from None


def _version_id(text: Any) -> str:
    """Version ids are opaque and URL-ready, of 1,024 bytes at most.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html
    """
    if not _VERSION_ID.fullmatch(text):
        raise ContractError("record's versionId is none of S3's")
    return text
