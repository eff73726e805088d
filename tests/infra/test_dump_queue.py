"""The dump queue: what comes in, what is given up, and who hears of it."""

from typing import Any

from tests.infra.engine import Deployment

ACCOUNT = "974531504241"
BUCKET = f"arn:aws:s3:::postgres-etl-extract-prod-{ACCOUNT}"
OPERATIONS_KEY = f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/operations-data-key"
QUEUE = f"arn:aws:sqs:eu-west-2:{ACCOUNT}:postgres-etl-s3"


def test_one_notification_announces_manifests_and_nothing_else(prod: Deployment) -> None:
    assert prod.one("BucketNotification").inputs == {
        "bucket": f"postgres-etl-extract-prod-{ACCOUNT}",
        "queues": [
            {
                "id": "finished-dumps",
                "queueArn": QUEUE,
                "events": ["s3:ObjectCreated:*"],
                "filterSuffix": "/manifest.json",
            }
        ],
    }


def test_the_queue_gives_up_after_five_receives_and_the_dead_letters_outlive_it(prod: Deployment) -> None:
    queue = prod.one("sqs/queue:Queue", "extract-queue-queue")
    dead_letters = prod.one("sqs/queue:Queue", "extract-queue-dead-letters")
    assert queue.inputs["name"] == "postgres-etl-s3"
    assert dead_letters.inputs["name"] == "postgres-etl-s3-dlq"
    assert queue.document("redrivePolicy") == {"deadLetterTargetArn": f"{QUEUE}-dlq", "maxReceiveCount": 5}
    assert prod.one("RedriveAllowPolicy").document("redriveAllowPolicy") == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [QUEUE],
    }
    assert dead_letters.inputs["messageRetentionSeconds"] > queue.inputs["messageRetentionSeconds"]
    assert {queue.inputs["kmsMasterKeyId"], dead_letters.inputs["kmsMasterKeyId"]} == {OPERATIONS_KEY}


def test_only_the_buckets_events_come_into_the_queue(prod: Deployment) -> None:
    def plaintext(arn: str) -> dict[str, Any]:
        return {
            "Sid": "DenyPlaintextTransport",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["sqs:*"],
            "Resource": [arn],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }

    assert prod.one("QueuePolicy", "extract-queue-policy").document("policy") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AllowEventsOfOneBucket",
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": ["sqs:SendMessage"],
                "Resource": [QUEUE],
                "Condition": {
                    "ArnEquals": {"aws:SourceArn": BUCKET},
                    "StringEquals": {"aws:SourceAccount": ACCOUNT},
                },
            },
            plaintext(QUEUE),
        ],
    }
    assert prod.one("QueuePolicy", "extract-queue-dead-letters-policy").document("policy") == {
        "Version": "2012-10-17",
        "Statement": [plaintext(f"{QUEUE}-dlq")],
    }


def test_dead_letters_old_messages_and_failed_executions_raise_an_alarm(prod: Deployment) -> None:
    alarms = {alarm.inputs["metricName"]: alarm.inputs for alarm in prod.all("MetricAlarm")}
    assert {name: alarm["threshold"] for name, alarm in alarms.items()} == {
        "ApproximateNumberOfMessagesVisible": 0,
        "ApproximateAgeOfOldestMessage": 4 * 3600,
        "ExecutionsFailed": 0,
        "ExecutionsTimedOut": 0,
        "FailedInvocations": 0,
    }
    assert alarms["ApproximateNumberOfMessagesVisible"]["dimensions"] == {"QueueName": "postgres-etl-s3-dlq"}
    for alarm in alarms.values():
        assert alarm["alarmActions"] == [f"arn:aws:sns:eu-west-2:{ACCOUNT}:postgres-etl-alarms-prod"]
