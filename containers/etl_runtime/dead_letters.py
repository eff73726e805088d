"""The dead letters: messages of which no Job came, each with the reason where the dispatcher knew it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from etl_runtime.contract import REASON_ATTRIBUTE, RECEIVES_ATTRIBUTE, SENT_ATTRIBUTE

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

WAIT_SECONDS = 1
"""Without waiting, SQS asks some of its servers only:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html"""
_HIDDEN_SECONDS = 60
_MOST = 1000
_LONGEST_REASON = 500

QUEUE_ERRORS = (ClientError, BotoCoreError)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter in hand.

    Attributes:
        id: As SQS names it.
        body: As it was sent.
        receipt: By which this look at it is ended.
        reason: Why no Job will ever come of it; "" where it got here by its receives.
        receives: How often it was received.
        sent_at: Unix time in seconds at which it was first sent.
    """

    id: str
    body: str
    receipt: str
    reason: str
    receives: int
    sent_at: float

    @classmethod
    def of(cls, message: MessageTypeDef) -> DeadLetter:
        """A letter as the SDK gives it."""
        system: dict[str, Any] = {**message.get("Attributes", {})}
        own = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
        return cls(
            id=message.get("MessageId", ""),
            body=message.get("Body", ""),
            receipt=message.get("ReceiptHandle", ""),
            reason=own.get(REASON_ATTRIBUTE, ""),
            receives=int(own.get(RECEIVES_ATTRIBUTE) or system.get("ApproximateReceiveCount", "1")),
            sent_at=float(own.get(SENT_ATTRIBUTE) or int(system.get("SentTimestamp", time.time() * 1000)) / 1000),
        )


class DeadLetterQueue:
    """The queue behind the dump queue. Every method raises one of `QUEUE_ERRORS` where SQS refuses."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def bury(self, body: str, reason: str, receives: int, sent_at: float) -> None:
        """Put a message here, with the reason."""
        self._client.send_message(
            QueueUrl=self._url,
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": kind, "StringValue": value}
                for name, kind, value in (
                    (REASON_ATTRIBUTE, "String", reason[:_LONGEST_REASON]),
                    (RECEIVES_ATTRIBUTE, "Number", str(receives)),
                    (SENT_ATTRIBUTE, "Number", str(int(sent_at))),
                )
            },
        )

    def hidden(self) -> int:
        """About how many letters cannot be seen, since somebody looks at them just now."""
        name = "ApproximateNumberOfMessagesNotVisible"
        answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
        return int(answer.get("Attributes", {}).get(name, "0"))

    @contextlib.contextmanager
    def held(self) -> Generator[list[DeadLetter]]:
        """All letters that can be seen, a thousand at most, the oldest first; afterwards they can be seen again."""
        letters: dict[str, DeadLetter] = {}
        try:
            while len(letters) < _MOST:
                answer = self._client.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=10,
                    WaitTimeSeconds=WAIT_SECONDS,
                    VisibilityTimeout=_HIDDEN_SECONDS,
                    MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
                    MessageAttributeNames=["All"],
                )
                new = {letter.id: letter for letter in map(DeadLetter.of, answer.get("Messages", []))}
                if not new.keys() - letters.keys():
                    break
                letters |= new
            yield sorted(letters.values(), key=lambda letter: letter.sent_at)
        finally:
            for letter in letters.values():
                # One that was redriven meanwhile is gone, and any other comes back by itself in a minute.
                with contextlib.suppress(*QUEUE_ERRORS):
                    self._client.change_message_visibility(
                        QueueUrl=self._url, ReceiptHandle=letter.receipt, VisibilityTimeout=0
                    )

    def redrive(self, letter: DeadLetter, queue_url: str) -> None:
        """Send a letter to a queue anew, as it first was.

        First sent, then deleted here: between the two it is in both queues, which does no harm.
        """
        self._client.send_message(QueueUrl=queue_url, MessageBody=letter.body)
        self._client.delete_message(QueueUrl=self._url, ReceiptHandle=letter.receipt)
