"""Dispatch: one transform Job for each raw dump that the queue names. Run by a Deployment of one replica.

Correct by names, not by being alone: a Job's name is made from the dump's identity, so a message that comes twice, or
to two dispatchers, meets a Job that exists already. A message is deleted only when its Job exists.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from etl_runtime.aws import s3_client, sqs_client
from etl_runtime.contract import (
    DISPATCHER_CONTAINER,
    ContractError,
    CreatedObject,
    DumpPrefix,
    ExitCode,
    created_objects,
    source_annotation,
)
from etl_runtime.dispatch_metrics import DispatchMetrics
from etl_runtime.faults import Fault, Terminated
from etl_runtime.jobs import JobRefused, Jobs, NoSlot
from etl_runtime.manifest import read_manifest
from etl_runtime.objects import Bucket
from etl_runtime.program import logger, run
from etl_runtime.settings import DispatcherSettings

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

WAIT_SECONDS = 20
VISIBILITY_SECONDS = 120
_LONGEST_BACKOFF_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Rejected(Exception):
    """A record that can never be dispatched; its message is left for the dead-letter queue."""

    reason: str


class Dispatcher:
    """The loop, and what it knows between rounds."""

    def __init__(self, settings: DispatcherSettings, jobs: Jobs, metrics: DispatchMetrics) -> None:
        self.settings = settings
        self.jobs = jobs
        self.metrics = metrics
        self.queue = sqs_client(settings.region)
        self._s3 = s3_client(settings.region)
        self.stopping = threading.Event()

    def serve(self) -> None:
        """Dispatch until stopped."""
        while not self.stopping.is_set():
            self.metrics.tick()
            try:
                free = self.settings.max_active - self.jobs.active()
                self.metrics.listed(active=self.settings.max_active - free, free=free)
            except Exception as error:
                self.metrics.api_error("list")
                logger().warning("jobs_not_listed", error=type(error).__name__)
                self._pause(5)
                continue
            if free <= 0:
                # What cannot run is not received: waiting in the queue costs a message nothing.
                self._pause(2)
                continue
            self._round(min(free, 10))

    def _pause(self, seconds: float) -> None:
        self.stopping.wait(seconds * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    def _round(self, most: int) -> None:
        try:
            answer = self.queue.receive_message(
                QueueUrl=self.settings.queue_url,
                MaxNumberOfMessages=most,
                WaitTimeSeconds=WAIT_SECONDS,
                VisibilityTimeout=VISIBILITY_SECONDS,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
        except (ClientError, BotoCoreError) as error:
            self.metrics.queue_error()
            logger().warning("queue_not_received", error=type(error).__name__)
            self._pause(5)
            return
        self.metrics.received_ok()
        messages = answer.get("Messages", [])
        deadline = time.monotonic() + VISIBILITY_SECONDS - 30
        for position, message in enumerate(messages):
            if self.stopping.is_set() or time.monotonic() > deadline:
                for left in messages[position:]:
                    self._show_again(left, 0)
                return
            if not self._message(message):
                for left in messages[position + 1 :]:
                    self._show_again(left, 60)
                # Each receive counts towards the dead letters, even of what only has to wait.
                self._pause(60)
                return

    def _message(self, message: MessageTypeDef) -> bool:
        """Dispatch one message; whether there may be a slot for another."""
        self.metrics.received.inc()
        body, receipt = message.get("Body", ""), message.get("ReceiptHandle", "")
        log = logger().bind(message_id=message.get("MessageId"))
        try:
            records = created_objects(body)
            if records is None:
                log.info("test_event")
            for record in records or []:
                self._record(record)
        except NoSlot:
            log.info("no_slot")
            self._show_again(message, 60)
            return False
        except (ContractError, Rejected, JobRefused) as error:
            reason = getattr(error, "reason", None) or "contract"
            self.metrics.rejected.labels(reason).inc()
            log.warning("rejected", reason=reason, error=str(error))
            self._back_off(message)
            return True
        except Exception as error:
            self.metrics.api_error("create")
            log.warning("not_dispatched", error=type(error).__name__)
            self._back_off(message)
            return True
        try:
            self.queue.delete_message(QueueUrl=self.settings.queue_url, ReceiptHandle=receipt)
        except (ClientError, BotoCoreError) as error:
            # It comes again and meets its Job.
            log.warning("message_not_deleted", error=type(error).__name__)
        return True

    def _record(self, record: CreatedObject) -> None:
        settings = self.settings
        if record.bucket != settings.extract_bucket:
            raise Rejected("another_bucket")
        if record.region and record.region != settings.region:
            raise Rejected("another_region")
        prefix = DumpPrefix.of_manifest(record.key)
        if prefix.load_environment not in settings.load_buckets:
            raise Rejected("unknown_environment")
        bucket = Bucket(self._s3, settings.extract_bucket, settings.extract_bucket_owner, "")
        found = bucket.read(record.key, record.version_id)
        if found is None:
            self.metrics.source_gone.inc()
            logger().info("source_gone", prefix=str(prefix))
            return
        content, version_id = found
        try:
            manifest = read_manifest(content, prefix, "raw")
        except Fault as fault:
            logger().warning("manifest_refused", error=fault.message)
            raise Rejected("manifest") from None
        # Without versioning in the event (or the bucket) the version that was read is the one to transform.
        version = record.version_id or version_id
        started = time.monotonic()
        created = self.jobs.create(
            bucket=record.bucket, key=record.key, version_id=version, prefix=prefix, execution_id=manifest.execution_id
        )
        (self.metrics.dispatched if created else self.metrics.duplicate).inc()
        self.metrics.create_seconds.observe(time.monotonic() - started)
        logger().info(
            "dispatched" if created else "already_dispatched",
            prefix=str(prefix),
            dump_execution_id=manifest.execution_id,
            source=source_annotation(record.bucket, record.key, version),
        )

    def _back_off(self, message: MessageTypeDef) -> None:
        count = int(message.get("Attributes", {}).get("ApproximateReceiveCount", "1"))
        self._show_again(message, min(_LONGEST_BACKOFF_SECONDS, 15 * 2 ** min(count, 8)))

    def _show_again(self, message: MessageTypeDef, seconds: int) -> None:
        try:
            self.queue.change_message_visibility(
                QueueUrl=self.settings.queue_url,
                ReceiptHandle=message.get("ReceiptHandle", ""),
                VisibilityTimeout=seconds,
            )
        except (ClientError, BotoCoreError) as error:
            logger().warning("visibility_not_changed", error=type(error).__name__)


def dispatch(environ: Mapping[str, str]) -> None:
    """Serve until SIGTERM; the message in hand is finished first."""
    settings = DispatcherSettings.from_env(environ)
    metrics = DispatchMetrics()
    dispatcher = Dispatcher(settings, Jobs(settings.namespace, settings.job_template), metrics)
    server = metrics.serve(settings.metrics_address, settings.metrics_port)
    broken: list[Exception] = []

    def serve() -> None:
        try:
            dispatcher.serve()
        except Exception as error:
            broken.append(error)

    worker = threading.Thread(target=serve, name="dispatch", daemon=True)
    logger().info("started", stage="dispatch", namespace=settings.namespace, max_active=settings.max_active)
    worker.start()
    try:
        while worker.is_alive():
            worker.join(1)
        if broken:
            raise Fault(ExitCode.SOFTWARE, f"the dispatcher's loop ended ({type(broken[0]).__name__})")
    except Terminated:
        dispatcher.stopping.set()
        worker.join(WAIT_SECONDS + 5)
        logger().info("stopped")
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    sys.exit(run(DISPATCHER_CONTAINER, dispatch))
