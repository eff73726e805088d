"""A dispatcher between a queue with its dead letters and buckets in memory, and a Kubernetes API over HTTP."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from etl_runtime.contract import CreatedObject, LoadBucket
from etl_runtime.dispatch_metrics import DispatchMetrics
from etl_runtime.dispatcher import Dispatcher
from etl_runtime.jobs import Jobs, batch_api
from etl_runtime.manifest import Manifest
from etl_runtime.settings.dispatcher import DispatcherSettings

from tests.containers.aws_account import ACCOUNT, REGION
from tests.containers.dispatch_cluster import DispatchCluster
from tests.containers.manifests import RAW

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


MOST_RECEIVES = 3


def manifest_of(name: str, environment: str = "dev") -> Manifest:
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:postgres-etl-rds-to-s3:{name}"
    return replace(RAW, execution_id=arn, environment=environment)


class Bench:
    """A dispatcher that is stepped through, round by round."""

    def __init__(self, s3: S3Client, sqs: SQSClient, cluster: DispatchCluster) -> None:
        self.s3 = s3
        self.sqs = sqs
        self.dead_letters = self.sqs.create_queue(QueueName="postgres-etl-s3-dlq")["QueueUrl"]
        policy = {
            "deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:postgres-etl-s3-dlq",
            "maxReceiveCount": MOST_RECEIVES,
        }
        self.queue = self.sqs.create_queue(
            QueueName="postgres-etl-s3", Attributes={"RedrivePolicy": json.dumps(policy)}
        )["QueueUrl"]
        self.cluster = cluster
        self.metrics = DispatchMetrics()
        self.settings = DispatcherSettings(
            environment="prod",
            region=REGION,
            queue_url=self.queue,
            dead_letter_queue_url=self.dead_letters,
            extract_bucket="raw",
            extract_bucket_owner=ACCOUNT,
            load_buckets={"dev": LoadBucket("clean", ACCOUNT)},
            namespace=cluster.namespace,
            job_template=cluster.template,
            max_active=3,
            metrics_port=1,
            metrics_address="127.0.0.1",
        )
        self.dispatcher = self.another()

    def another(self) -> Dispatcher:
        """One more dispatcher of the same settings; its passes come when they are asked for."""
        dispatcher = Dispatcher(self.settings, self.open_jobs(), self.metrics, threading.Event())
        dispatcher._reconcile_at = math.inf
        return dispatcher

    def open_jobs(self) -> Jobs:
        """The real client, on its way through the cluster's door."""
        api = batch_api(self.cluster.kubeconfig)
        return Jobs(self.settings.namespace, self.settings.job_template, api, wait=lambda _seconds: None)

    def dump(self, name: str, environment: str = "dev") -> tuple[str, str]:
        """Put a raw dump's manifest where extract would, and give its key and version."""
        key = f"{environment}/{name}/etl-dump/manifest.json"
        put = self.s3.put_object(Bucket="raw", Key=key, Body=manifest_of(name, environment).text())
        return key, put["VersionId"]

    @staticmethod
    def record(key: str, version_id: str, **changes: Any) -> dict[str, Any]:
        return {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": REGION,
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "raw"}, "object": {"key": key, "versionId": version_id}},
            **changes,
        }

    @staticmethod
    def created(key: str, version_id: str) -> CreatedObject:
        return CreatedObject("raw", key, version_id, REGION)

    def send(self, *records: Any) -> None:
        self.send_body(json.dumps({"Records": records}))

    def send_body(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=body)

    def send_each(self, records: Sequence[Any]) -> None:
        """A message for each record, ten a call."""
        for first in range(0, len(records), 10):
            bodies = [json.dumps({"Records": [record]}) for record in records[first : first + 10]]
            entries: Any = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
            self.sqs.send_message_batch(QueueUrl=self.queue, Entries=entries)

    def rounds(self, number: int = 1, *, hidden_come_back: bool = False) -> None:
        """Let the dispatcher go round so many times; messages that it hid come back between two rounds if asked."""
        for _ in range(number):
            self.dispatcher.stopping.clear()
            self._one_round()
            if hidden_come_back:
                self._show_all()

    def reconcile(self, free: int) -> None:
        """Let the dispatcher make its pass."""
        self.dispatcher.stopping.clear()
        self.dispatcher.reconcile(free)

    def _one_round(self) -> None:
        inner = self.dispatcher._round

        def one(most: int) -> None:
            inner(most)
            self.dispatcher.stopping.set()

        self.dispatcher._round = one  # type: ignore[method-assign]
        try:
            self.dispatcher.serve()
        finally:
            self.dispatcher._round = inner  # type: ignore[method-assign]

    def _show_all(self) -> None:
        from moto.sqs.models import sqs_backends  # noqa: PLC0415 - only while AWS is mocked

        for message in sqs_backends[ACCOUNT][REGION].queues["postgres-etl-s3"]._messages:
            message.visible_at = 0

    def receives(self) -> int:
        """How often the message was received that was received the oftenest."""
        from moto.sqs.models import sqs_backends  # noqa: PLC0415 - only while AWS is mocked

        messages = sqs_backends[ACCOUNT][REGION].queues["postgres-etl-s3"]._messages
        return max(message.approximate_receive_count for message in messages)

    def letters(self) -> list[tuple[str, str]]:
        """Body and reason of each dead letter, as they were buried."""
        found: list[tuple[str, str]] = []
        for _ in range(100):
            answer = self.sqs.receive_message(
                QueueUrl=self.dead_letters, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            )
            for message in answer.get("Messages", []):
                attributes = message.get("MessageAttributes", {})
                found.append((message["Body"], attributes.get("Reason", {}).get("StringValue", "")))  # type: ignore[typeddict-item]
            if not answer.get("Messages"):
                break
        return found

    def waiting(self, queue: str | None = None) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=queue or self.queue, AttributeNames=names)["Attributes"]  # type: ignore[arg-type]
        return sum(int(attributes[name]) for name in names)  # type: ignore[index]

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"postgres_etl_dispatcher_{name}_total", labels) or 0.0
