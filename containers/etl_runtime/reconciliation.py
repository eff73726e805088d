"""Reconciliation: the raw dumps that no message named in time get their Jobs all the same.

Level-triggered, after the manner of https://kopf.readthedocs.io/en/stable/continuity/: what there is decides, whatever
events were lost. A Job made here has the name that a message's would have, so the two meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from etl_runtime.contract import ContractError, CreatedObject, DumpPrefix, created_object, event_records
from etl_runtime.dump_queue import DumpQueue
from etl_runtime.dump_source import DumpSource, DumpSources, Rejected
from etl_runtime.jobs import Jobs
from etl_runtime.program import logger
from etl_runtime.settings.dispatcher import DispatcherSettings

_YOUNG = timedelta(minutes=15)
"""Younger ones have a message on its way: S3 tells in seconds, at times in minutes."""


class Reconciliation:
    """Finds raw dumps that have no clean dump, no Job and no dead letter.

    A dump whose Job failed has that Job for a day; then it is found and tried again, while the raw dump lives. So rules
    that were put right clean what they refused before.
    """

    def __init__(self, settings: DispatcherSettings, sources: DumpSources, jobs: Jobs, queue: DumpQueue) -> None:
        self._settings = settings
        self._sources = sources
        self._jobs = jobs
        self._queue = queue
        self._cleaned: set[DumpPrefix] = set()

    def missing(self) -> Iterator[DumpSource]:
        """Those dumps, the oldest first.

        Raises:
            LettersHidden: somebody looks at the dead letters just now.
            ClientError, BotoCoreError: S3 or SQS refused or could not be asked.
            ApiException, HTTPError: Kubernetes did not list its Jobs.
        """
        before = datetime.now(UTC) - _YOUNG
        raw = sorted((at, str(prefix), prefix) for at, prefix in self._sources.raw_manifests())
        # What has expired is forgotten; what was cleaned once is not asked for again.
        self._cleaned &= {prefix for _, _, prefix in raw}
        candidates = [
            prefix
            for at, _, prefix in raw
            if at < before and prefix not in self._cleaned and not self._is_clean(prefix)
        ]
        if not candidates:
            return
        dispatched = self._jobs.sources()
        buried = self._buried()
        for prefix in candidates:
            record = CreatedObject(self._settings.extract_bucket, prefix.manifest_key, "", self._settings.region)
            if (record.bucket, record.key) in buried:
                continue
            try:
                source = self._sources.find(record)
            except Rejected as rejected:
                logger().warning("rejected", reason=rejected.reason, error=rejected.detail, prefix=str(prefix))
                continue
            if source is not None and str(source) not in dispatched:
                yield source

    def _is_clean(self, prefix: DumpPrefix) -> bool:
        if self._sources.is_clean(prefix):
            self._cleaned.add(prefix)
            return True
        return False

    def _buried(self) -> set[tuple[str, str]]:
        """Bucket and key of what the dead letters name: an operator decides about these."""
        named: set[tuple[str, str]] = set()
        for body in self._queue.dead_letters():
            try:
                for record in event_records(body) or []:
                    created = created_object(record)
                    named.add((created.bucket, created.key))
            except ContractError:
                continue
        return named
