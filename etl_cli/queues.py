"""The depth of a queue."""

from __future__ import annotations

from dataclasses import dataclass

from etl_cli.aws import Account


@dataclass(frozen=True, slots=True)
class Depth:
    """About how many messages a queue holds, and how many of its messages somebody has received and not deleted."""

    waiting: int
    in_flight: int


def depth(account: Account, url: str) -> Depth:
    """Ask a queue for its depth.

    Raises:
        botocore.exceptions.ClientError: AWS refused.
        botocore.exceptions.BotoCoreError: AWS could not be asked.
    """
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    answer = account.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))
    waiting, in_flight = (int(answer.get("Attributes", {}).get(name, 0)) for name in names)
    return Depth(waiting, in_flight)
