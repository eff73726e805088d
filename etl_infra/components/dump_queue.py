"""DumpQueue: the queue that hears of finished dumps, with the dead letter queue behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_aws as aws
from etl_runtime import contract

from etl_infra.components.metric_alarm import metric_alarm
from etl_infra.components.private_bucket import PrivateBucket
from etl_infra.components.protection import guarding_data, holding_data
from etl_infra.documents.iam import Statement, allow
from etl_infra.documents.key_conditions import through
from etl_infra.documents.queue_policy import dead_letter_queue_policy, dump_queue_policy
from etl_infra.naming import Home

VISIBILITY_SECONDS: Final = 120  # the dispatcher creates a Job in seconds and deletes the message at once
RECEIVE_WAIT_SECONDS: Final = 20
MAX_RECEIVES: Final = 5
RETENTION_SECONDS: Final = 4 * 24 * 3600
# a message keeps the age it had in the first queue:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html
DEAD_LETTER_RETENTION_SECONDS: Final = 14 * 24 * 3600
OLDEST_MESSAGE_ALARM_SECONDS: Final = 4 * 3600


@dataclass(frozen=True, kw_only=True)
class DumpQueueArgs:
    """The bucket whose manifests are announced, the key that encrypts messages, the topic that hears alarms."""

    home: Home
    bucket: PrivateBucket
    key_arn: pulumi.Input[str]
    alarm_topic_arn: pulumi.Input[str]
    protected: bool


class DumpQueue(pulumi.ComponentResource):
    """A queue with one message for each manifest, at least once.

    Defaults:
        - only events of the one bucket come in, only over TLS, encrypted with a customer managed key
        - after five receives a message goes to the dead letter queue, which keeps it for two weeks and raises an alarm
    """

    url: pulumi.Output[str]
    dead_letter_url: pulumi.Output[str]

    def __init__(self, name: str, args: DumpQueueArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:DumpQueue", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        holder, guard = (options(self, protected=args.protected) for options in (holding_data, guarding_data))
        self._home, self._key_arn = args.home, args.key_arn
        dead_letters = aws.sqs.Queue(
            f"{name}-dead-letters",
            name=contract.DEAD_LETTER_QUEUE_NAME,
            message_retention_seconds=DEAD_LETTER_RETENTION_SECONDS,
            kms_master_key_id=args.key_arn,
            opts=holder,
        )
        queue = aws.sqs.Queue(
            f"{name}-queue",
            name=contract.QUEUE_NAME,
            visibility_timeout_seconds=VISIBILITY_SECONDS,
            receive_wait_time_seconds=RECEIVE_WAIT_SECONDS,
            message_retention_seconds=RETENTION_SECONDS,
            kms_master_key_id=args.key_arn,
            redrive_policy=pulumi.Output.json_dumps(
                {"deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": MAX_RECEIVES}
            ),
            opts=holder,
        )
        self.url, self.dead_letter_url = queue.url, dead_letters.url
        self._arn, self._dead_letter_arn = queue.arn, dead_letters.arn
        aws.sqs.RedriveAllowPolicy(
            f"{name}-redrive-allow",
            queue_url=dead_letters.url,
            redrive_allow_policy=pulumi.Output.json_dumps(
                {"redrivePermission": "byQueue", "sourceQueueArns": [queue.arn]}
            ),
            opts=guard,
        )
        policy = aws.sqs.QueuePolicy(
            f"{name}-policy",
            queue_url=queue.url,
            policy=pulumi.Output.json_dumps(dump_queue_policy(queue.arn, args.bucket.arn, args.home.account_id)),
            opts=guard,
        )
        aws.sqs.QueuePolicy(
            f"{name}-dead-letters-policy",
            queue_url=dead_letters.url,
            policy=pulumi.Output.json_dumps(dead_letter_queue_policy(dead_letters.arn)),
            opts=guard,
        )
        # The only BucketNotification of this bucket: a second one would silently replace it.
        aws.s3.BucketNotification(
            f"{name}-notification",
            bucket=args.bucket.name,
            queues=[
                {
                    "id": "finished-dumps",
                    "queue_arn": queue.arn,
                    "events": ["s3:ObjectCreated:*"],
                    "filter_suffix": f"/{contract.MANIFEST_NAME}",
                }
            ],
            # S3 sends a test event when it is configured, and refuses a queue that refuses it
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        for noun, watched, metric, threshold in (
            ("dead-letters", dead_letters, "ApproximateNumberOfMessagesVisible", 0),
            ("oldest-message", queue, "ApproximateAgeOfOldestMessage", OLDEST_MESSAGE_ALARM_SECONDS),
        ):
            metric_alarm(
                f"{name}-{noun}-alarm",
                physical_name=args.home.name(noun),
                metric=f"AWS/SQS:{metric}",
                dimensions={"QueueName": watched.name},
                threshold=threshold,
                topic_arn=args.alarm_topic_arn,
                opts=child,
            )
        self.register_outputs({"url": self.url, "dead_letter_url": self.dead_letter_url})

    def consume_messages(self) -> list[Statement]:
        """Receive, delay and delete messages; put the hopeless ones among the dead letters, and look at these."""
        return [
            allow(
                "AllowConsumingMessages",
                ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"),
                (self._arn,),
            ),
            allow(
                "AllowBuryingMessages",
                ("sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"),
                (self._dead_letter_arn,),
            ),
            allow(
                "AllowCryptographyOfMessages",
                ("kms:Decrypt", "kms:GenerateDataKey"),
                (pulumi.Output.from_input(self._key_arn),),
                {"StringEquals": through(self._home, "sqs")},
            ),
        ]
