"""What a Job is made from: a version of a raw dump's manifest that is there, and is what it should be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from etl_runtime.contract import MANIFEST_NAME, ContractError, CreatedObject, DumpPrefix, source_annotation
from etl_runtime.faults import Fault
from etl_runtime.manifest import Manifest, read_manifest
from etl_runtime.objects import Bucket
from etl_runtime.settings.dispatcher import DispatcherSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Rejected(Exception):
    """A record of which no Job will ever come.

    Attributes:
        reason: One word for the metric.
        detail: The rest of the sentence, for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class DumpSource:
    """One version of one raw dump, its manifest read and checked."""

    bucket: str
    key: str
    version_id: str
    prefix: DumpPrefix
    manifest: Manifest

    def __str__(self) -> str:
        return source_annotation(self.bucket, self.key, self.version_id)


class DumpSources:
    """The raw dumps of the extract bucket, and which of them have a clean one."""

    def __init__(self, client: S3Client, settings: DispatcherSettings) -> None:
        self._settings = settings
        self._raw = Bucket(client, settings.extract_bucket, settings.extract_bucket_owner, "")
        self._clean: Mapping[str, Bucket] = {
            environment: Bucket(client, bucket.name, bucket.owner, "")
            for environment, bucket in settings.load_buckets.items()
        }

    def find(self, record: CreatedObject) -> DumpSource | None:
        """The dump that a record names, or None where it is gone.

        Raises:
            Rejected: it is none of ours, or no dump.
            ClientError, BotoCoreError: S3 refused or could not be asked.
        """
        settings = self._settings
        if record.bucket != settings.extract_bucket:
            raise Rejected("another_bucket", "the event is not of the extract bucket")
        if record.region and record.region != settings.region:
            raise Rejected("another_region", f"the event is not of {settings.region}")
        try:
            prefix = DumpPrefix.of_manifest(record.key)
        except ContractError as error:
            raise Rejected("key", str(error)) from None
        if prefix.load_environment not in settings.load_buckets:
            raise Rejected("unknown_environment", f"{prefix.load_environment} has no load bucket")
        try:
            found = self._raw.read(record.key, record.version_id)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code == "MethodNotAllowed":  # a delete marker has a version id, too
                return None
            if code == "InvalidArgument":
                raise Rejected("version", "S3 knows no such versionId") from None
            raise
        if found is None:
            return None
        content, version_id = found
        try:
            manifest = read_manifest(content, prefix, "raw")
        except Fault as fault:
            raise Rejected("manifest", fault.message) from None
        # Without versioning in the event (or the bucket) the version that was read is the one to transform.
        return DumpSource(record.bucket, record.key, record.version_id or version_id, prefix, manifest)

    def raw_manifests(self) -> Iterator[tuple[datetime, DumpPrefix]]:
        """When each raw dump of an environment with a load bucket was finished, and its prefix.

        Raises:
            ClientError, BotoCoreError: S3 refused or could not be asked.
        """
        for environment in self._settings.load_buckets:
            pages = self._raw.client.get_paginator("list_objects_v2").paginate(
                Bucket=self._raw.name, Prefix=f"{environment}/", ExpectedBucketOwner=self._raw.owner
            )
            for page in pages:
                for found in page.get("Contents", []):
                    key, finished_at = found.get("Key", ""), found.get("LastModified")
                    if finished_at is not None and key.endswith(f"/{MANIFEST_NAME}"):
                        with contextlib.suppress(ContractError):
                            yield finished_at, DumpPrefix.of_manifest(key)

    def is_clean(self, prefix: DumpPrefix) -> bool:
        """Whether there is a clean dump of this prefix.

        Raises:
            ClientError, BotoCoreError: S3 refused or could not be asked.
        """
        return self._clean[prefix.load_environment].read(prefix.manifest_key) is not None
