"""The queue of finished dumps and its dead letters, as the dispatcher uses them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl_runtime.dead_letters import QUEUE_ERRORS, DeadLetterQueue
from etl_runtime.program import logger

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

VISIBILITY_SECONDS = 120
_FIRST_BACKOFF_SECONDS = 30
_LONGEST_BACKOFF_SECONDS = 900


class LettersHidden(Exception):
    """Not all dead letters can be seen: an operator, or another dispatcher, looks at them."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message in hand.

    Attributes:
        id: As SQS names it.
        body: As it was sent.
        receipt: By which this receive of it is deleted, hidden or shown again.
        receives: How often it was received, this time included.
        sent_at: Unix time in seconds at which it was sent.
    """

    id: str
    body: str
    receipt: str
    receives: int
    sent_at: float

    @classmethod
    def of(cls, answer: MessageTypeDef) -> Message:
        """A message as the SDK gives it."""
        attributes = answer.get("Attributes", {})
        return cls(
            id=answer.get("MessageId", ""),
            body=answer.get("Body", ""),
            receipt=answer.get("ReceiptHandle", ""),
            receives=int(attributes.get("ApproximateReceiveCount", "1")),
            sent_at=int(attributes.get("SentTimestamp", time.time() * 1000)) / 1000,
        )


class DumpQueue:
    """Receives messages and says what becomes of each. What SQS then refuses costs a repetition, which is harmless."""

    def __init__(self, client: SQSClient, url: str, dead_letter_url: str) -> None:
        self.client = client
        self._url = url
        self._letters = DeadLetterQueue(client, dead_letter_url)

    def receive(self, most: int, wait_seconds: int) -> list[Message]:
        """At most so many messages, hidden from others for `VISIBILITY_SECONDS`.

        Raises:
            One of `QUEUE_ERRORS`: SQS refused or could not be asked.
        """
        answer = self.client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=VISIBILITY_SECONDS,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        )
        return [Message.of(message) for message in answer.get("Messages", [])]

    def delete(self, message: Message) -> None:
        """Done with it. If it comes again all the same, it meets its Job."""
        self._tried("message_not_deleted", lambda: self._delete(message))

    def show_again(self, message: Message, seconds: int) -> bool:
        """Let it come again after so many seconds; False when it is no longer ours to say."""
        return self._tried(
            "visibility_not_changed",
            lambda: self.client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=seconds
            ),
        )

    def back_off(self, message: Message) -> None:
        """Let it come again, the later the oftener it came; in the end SQS takes it to the dead letters."""
        seconds = _FIRST_BACKOFF_SECONDS * 2 ** min(message.receives - 1, 8)
        self.show_again(message, min(_LONGEST_BACKOFF_SECONDS, seconds))

    def bury(self, message: Message, reason: str) -> None:
        """Move it to the dead letters with the reason why no Job will ever come of it.

        First sent, then deleted: between the two it is in both queues, which loses nothing. One that cannot be sent
        there (with its attributes it may be too long) gets there by its receives, without the reason.
        """
        if self._tried(
            "message_not_buried",
            lambda: self._letters.bury(message.body, reason, message.receives, message.sent_at),
        ):
            self.delete(message)
        else:
            self.back_off(message)

    def dead_letters(self) -> list[str]:
        """The bodies of all dead letters, a thousand at most.

        Raises:
            LettersHidden: somebody looks at some of them just now.
            One of `QUEUE_ERRORS`: SQS refused or could not be asked.
        """
        if self._letters.hidden():
            raise LettersHidden
        with self._letters.held() as letters:
            return [letter.body for letter in letters]

    def _delete(self, message: Message) -> None:
        self.client.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)

    def _tried(self, failure: str, call: Any) -> bool:
        try:
            call()
        except QUEUE_ERRORS as error:
            logger().warning(failure, error=type(error).__name__)
            return False
        return True
