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
from typing import Any

from etl_runtime.aws import s3_client, sqs_client
from etl_runtime.contract import DISPATCHER_CONTAINER, ContractError, ExitCode, created_object, event_records
from etl_runtime.dead_letters import QUEUE_ERRORS
from etl_runtime.dispatch_metrics import DispatchMetrics
from etl_runtime.dump_queue import VISIBILITY_SECONDS, DumpQueue, Message
from etl_runtime.dump_source import DumpSource, DumpSources, Rejected
from etl_runtime.faults import Fault, Terminated
from etl_runtime.jobs import KUBERNETES_ERRORS, BeingDeleted, JobRefused, Jobs, NoAnswer, NoSlot, error_word
from etl_runtime.program import logger, run
from etl_runtime.reconciliation import Reconciliation
from etl_runtime.settings.dispatcher import DispatcherSettings

WAIT_SECONDS = 20
RECONCILE_SECONDS = 900
_MOST_MESSAGES = 10
_HOLD_SECONDS = 15
# SQS hides a message for 12 hours in all: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
_LONGEST_HOLD_SECONDS: Mapping[type[Exception], int] = {NoSlot: 11 * 3600, NoAnswer: 900}


class Dispatcher:
    """The loop, and what it knows between rounds."""

    def __init__(
        self, settings: DispatcherSettings, jobs: Jobs, metrics: DispatchMetrics, stopping: threading.Event
    ) -> None:
        self.settings = settings
        self.jobs = jobs
        self.metrics = metrics
        self.queue = DumpQueue(
            sqs_client(settings.region, patient=False), settings.queue_url, settings.dead_letter_queue_url
        )
        self.sources = DumpSources(s3_client(settings.region, patient=False), settings)
        self.stopping = stopping
        self._reconciliation = Reconciliation(settings, self.sources, jobs, self.queue)
        self._reconcile_at = time.monotonic() + random.uniform(0, 60)  # noqa: S311 - jitter
        self._failures = 0
        self._most = _MOST_MESSAGES

    def serve(self) -> None:
        """Dispatch until stopped."""
        while not self.stopping.is_set():
            self.metrics.tick()
            free = self._free()
            if free is None:
                self._pause_after_failure()
            elif free == 0:
                # What cannot run is not received: waiting in the queue costs a message nothing.
                self._pause(5)
            elif time.monotonic() >= self._reconcile_at:
                self._reconcile_at = time.monotonic() + RECONCILE_SECONDS
                self.reconcile(free)
            else:
                self._round(min(free, self._most))

    def _free(self) -> int | None:
        """How many Jobs may still start; None when nobody can say, and then none may."""
        try:
            active = self.jobs.active()
        except KUBERNETES_ERRORS as error:
            self.metrics.api_error("list", error_word(error))
            logger().warning("jobs_not_listed", error=error_word(error))
            return None
        free = max(self.settings.max_active - active, 0)
        self.metrics.listed(active, free)
        return free

    def _pause(self, seconds: float) -> None:
        self.stopping.wait(seconds * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    def _pause_after_failure(self) -> None:
        self._failures = min(self._failures + 1, 5)
        self._pause(2**self._failures)

    def _round(self, most: int) -> None:
        try:
            messages = self.queue.receive(most, WAIT_SECONDS)
        except QUEUE_ERRORS as error:
            self.metrics.queue_error()
            logger().warning("queue_not_received", error=type(error).__name__)
            self._pause_after_failure()
            return
        self._failures = 0
        self.metrics.received_ok(max((time.time() - message.sent_at for message in messages), default=0.0))
        deadline = time.monotonic() + VISIBILITY_SECONDS * 0.75
        for position, message in enumerate(messages):
            self.metrics.tick()
            if self.stopping.is_set() or time.monotonic() > deadline:
                self._show_all_again(messages[position:])
                return
            if not self._message(message, messages[position + 1 :]):
                return

    def _show_all_again(self, messages: list[Message]) -> None:
        for message in messages:
            self.queue.show_again(message, 0)

    def _message(self, message: Message, others: list[Message]) -> bool:
        """Settle one message: deleted, buried with its reason, or hidden for a while.

        Returns:
            Whether the others are still in hand.
        """
        self.metrics.received.inc()
        log = logger().bind(message_id=message.id)
        began, has_others = time.monotonic(), True
        while True:
            try:
                refusals = self._records(message)
            except (NoSlot, NoAnswer) as error:
                # It is everybody's trouble and no message's. Each receive counts towards the dead letters, so the one
                # in hand is kept in hand, the others go back, and the next are received one by one.
                log.info("held", why=type(error).__name__, error=str(error))
                if isinstance(error, NoAnswer):
                    self.metrics.api_error("create", str(error))
                if has_others:
                    self._show_all_again(others)
                has_others, self._most = False, 1
                if self._hold(message, time.monotonic() - began, _LONGEST_HOLD_SECONDS[type(error)]):
                    continue
                self.queue.show_again(message, 0 if self.stopping.is_set() else _HOLD_SECONDS)
            except Exception as error:
                self.metrics.postponed.inc()
                log.warning("postponed", error=error_word(error))
                self.queue.back_off(message)
            else:
                self._most = min(2 * self._most, _MOST_MESSAGES)
                self._settle(message, refusals)
            return has_others

    def _settle(self, message: Message, refusals: list[Rejected]) -> None:
        if not refusals:
            self.queue.delete(message)
            return
        for refusal in refusals:
            self.metrics.reject(refusal.reason)
        reasons = "; ".join(map(str, refusals))
        logger().warning("buried", message_id=message.id, reasons=reasons)
        self.queue.bury(message, reasons)

    def _hold(self, message: Message, held_seconds: float, most_seconds: float) -> bool:
        """Wait with a message in hand; False when it must be let go."""
        self.metrics.tick()
        self._pause(_HOLD_SECONDS)
        if self.stopping.is_set() or held_seconds > most_seconds:
            return False
        return self.queue.show_again(message, VISIBILITY_SECONDS)

    def _records(self, message: Message) -> list[Rejected]:
        """Dispatch every record that can be, and say why the others never can.

        Raises:
            NoSlot, NoAnswer: Kubernetes takes no Job now.
            BeingDeleted, ClientError, BotoCoreError: a record has to wait; the others have had their turn.
        """
        refusals: list[Rejected] = []
        waits: Exception | None = None
        try:
            records = event_records(message.body)
        except ContractError as error:
            return [Rejected("contract", str(error))]
        if records is None:
            self.metrics.test_events.inc()
            logger().info("test_event")
        for record in records or []:
            try:
                self._record(record, message)
            except ContractError as error:
                refusals.append(Rejected("contract", str(error)))
            except Rejected as rejected:
                refusals.append(rejected)
            except JobRefused as refused:
                refusals.append(Rejected(refused.reason, "Kubernetes does not take the Job"))
            except (NoSlot, NoAnswer):
                raise
            except Exception as error:
                waits = error
        if waits is not None:
            raise waits
        return refusals

    def _record(self, record: Any, message: Message) -> None:
        source = self.sources.find(created_object(record))
        if source is None:
            self.metrics.source_gone.inc()
            logger().info("source_gone", message_id=message.id)
        else:
            self._dispatch(source, message.sent_at)

    def _dispatch(self, source: DumpSource, sent_at: float | None) -> None:
        with self.metrics.create_seconds.time():
            created = self.jobs.create(source)
        (self.metrics.dispatched if created else self.metrics.duplicate).inc()
        if created and sent_at is not None:
            self.metrics.latency_seconds.observe(max(time.time() - sent_at, 0))
        logger().info(
            "dispatched" if created else "already_dispatched",
            prefix=str(source.prefix),
            dump_execution_id=source.manifest.execution_id,
            source=str(source),
            by="reconciliation" if sent_at is None else "message",
        )

    def reconcile(self, free: int) -> None:
        """Dispatch raw dumps that no message named, as many as there are free slots; the rest at the next pass."""
        try:
            for source in self._reconciliation.missing():
                if free <= 0 or self.stopping.is_set():
                    break
                self.metrics.tick()
                try:
                    self._dispatch(source, None)
                    self.metrics.reconciled.inc()
                    free -= 1
                except BeingDeleted:
                    continue
                except JobRefused as refused:
                    self.metrics.reject(refused.reason)
                    logger().warning("not_reconciled", source=str(source), error=refused.reason)
        except Exception as error:
            # Nothing is lost by it: the next pass finds the same.
            self.metrics.reconcile_errors.inc()
            logger().warning("not_reconciled", error=error_word(error))
        else:
            self.metrics.last_reconcile.set_to_current_time()


def dispatch(environ: Mapping[str, str]) -> None:
    """Serve until SIGTERM; the message in hand is finished first."""
    settings = DispatcherSettings.from_env(environ)
    metrics = DispatchMetrics()
    stopping = threading.Event()
    jobs = Jobs(settings.namespace, settings.job_template, wait=stopping.wait)
    dispatcher = Dispatcher(settings, jobs, metrics, stopping)
    server = metrics.serve(settings.metrics_address, settings.metrics_port)
    broken: list[Exception] = []
    ended = threading.Event()

    def serve() -> None:
        try:
            dispatcher.serve()
        except Exception as error:
            broken.append(error)
        finally:
            ended.set()

    worker = threading.Thread(target=serve, name="dispatch", daemon=True)
    logger().info("started", stage="dispatch", namespace=settings.namespace, max_active=settings.max_active)
    worker.start()
    try:
        # Not `join`: up to Python 3.12 one that a signal's exception interrupts takes the thread for ended.
        while not ended.wait(1):
            pass
        if broken:
            raise Fault(ExitCode.SOFTWARE, f"the dispatcher's loop ended ({type(broken[0]).__name__})")
    except Terminated:
        stopping.set()
        # The longest that it may be in the middle of: a receive that waits for messages.
        ended.wait(WAIT_SECONDS + 5)
        logger().info("stopped")
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    sys.exit(run(DISPATCHER_CONTAINER, dispatch))
