"""The dumps of one stage: a bucket, and the manifests in it that make dumps exist."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError
from etl_runtime.contract import DumpPrefix, LoadBucket
from etl_runtime.faults import Fault
from etl_runtime.manifest import Manifest, read_manifest
from etl_runtime.manifest import Stage as DumpStage

from etl_cli.aws import Account, error_code
from etl_cli.ending import CommandError
from etl_cli.events import Totals

_ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})
_HIDDEN = frozenset({"AccessDenied", "403", "Forbidden"})


def totals_of(manifest: Manifest) -> Totals:
    """What a dump holds: bytes as stored, rows, tables that have rows."""
    return Totals(manifest.bytes, manifest.rows, sum(file.table is not None for file in manifest.files))


@dataclass(slots=True)
class Dumps:
    """The raw dumps of the extract bucket, or the clean ones of a load bucket.

    Attributes:
        account: who reads.
        bucket: where they are; an owner of "" is not checked.
        stage: which they are.
    """

    account: Account
    bucket: LoadBucket
    stage: DumpStage
    _hidden: bool = field(default=False, init=False)

    def find(self, prefix: DumpPrefix) -> Manifest | None:
        """The manifest of a dump, or None where there is none to be seen.

        Raises:
            CommandError: what is there is no manifest of this dump at this stage.
            botocore.exceptions.ClientError: AWS refused for another reason than absence.
            botocore.exceptions.BotoCoreError: AWS could not be asked.
        """
        owner: Any = {"ExpectedBucketOwner": self.bucket.owner} if self.bucket.owner else {}
        try:
            answer = self.account.s3.get_object(Bucket=self.bucket.name, Key=prefix.manifest_key, **owner)
            content = answer["Body"].read()
        except ClientError as error:
            # S3 answers 403 for an absent key to a caller that may not list the bucket.
            self._hidden = error_code(error) in _HIDDEN
            if self._hidden or error_code(error) in _ABSENT:
                return None
            raise
        try:
            return read_manifest(content, prefix, self.stage)
        except Fault as fault:
            raise CommandError(f"s3://{self.bucket.name}: {fault.message}") from None

    def absence(self, prefix: DumpPrefix) -> str:
        """How to say that `find` saw nothing."""
        place = f"s3://{self.bucket.name}/{prefix.manifest_key}"
        return f"{place} does not exist or may not be read (403)" if self._hidden else f"{place} does not exist"
