"""Dump files in S3: written once with a digest and the execution's tag, read back by version, copied inside S3."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from botocore.exceptions import BotoCoreError, ClientError

from etl_runtime.contract import EXECUTION_ID_TAG, ExitCode
from etl_runtime.faults import Fault, check_stopping, releasing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PART_BYTES = 16 << 20
"""What one upload holds in memory. S3 takes 10,000 parts at most, so that of a file above 156 GiB parts are larger."""
_COPY_PART_BYTES = 512 << 20
_MOST_COPIED_AT_ONCE = 5 << 30
"""CopyObject takes no more: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""
_READ_BYTES = 1 << 20


def _base64_of(sha256: str) -> str:
    return base64.b64encode(bytes.fromhex(sha256)).decode()


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket, and the account that must own it: every call says so, and S3 refuses where it is another's."""

    client: S3Client
    name: str
    owner: str
    execution_id: str

    @property
    def _tagging(self) -> str:
        return urlencode({EXECUTION_ID_TAG: self.execution_id})

    def read(self, key: str, version_id: str = "") -> tuple[bytes, str] | None:
        """A small object's bytes and version id, or None where there is none of that key (and version)."""
        version: Any = {"VersionId": version_id} if version_id else {}
        try:
            answer = self.client.get_object(Bucket=self.name, Key=key, ExpectedBucketOwner=self.owner, **version)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "NoSuchVersion", "404"):
                return None
            raise
        return answer["Body"].read(), answer.get("VersionId", "")

    def chunks(self, key: str, version_id: str, sha256: str) -> Iterator[bytes]:
        """An object's bytes as they arrive.

        Raises:
            Fault: DATA after the last byte when their SHA-256 is not the one expected; what came must not be used.
        """
        version: Any = {"VersionId": version_id} if version_id else {}
        body = self.client.get_object(Bucket=self.name, Key=key, ExpectedBucketOwner=self.owner, **version)["Body"]
        digest = hashlib.sha256()
        for chunk in body.iter_chunks(_READ_BYTES):
            check_stopping()
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != sha256:
            raise Fault(ExitCode.DATA, f"{key} is not what its manifest says: its SHA-256 differs")

    def download(self, key: str, version_id: str, sha256: str, path: Path) -> None:
        """Fetch an object into a file.

        Raises:
            Fault: DATA when its SHA-256 is not the one expected.
        """
        with path.open("wb") as file:
            for chunk in self.chunks(key, version_id, sha256):
                file.write(chunk)

    def upload(self, path: Path, key: str, sha256: str) -> str:
        """Store a file and give the version id of the object it became.

        S3 itself compares the digest for a file sent at once, and each part's for a larger one.
        """
        size = path.stat().st_size
        if size > _PART_BYTES:
            return self._upload_parts(path, key, size)
        with path.open("rb") as file:
            answer = self.client.put_object(
                Bucket=self.name,
                Key=key,
                Body=file,
                ChecksumSHA256=_base64_of(sha256),
                Tagging=self._tagging,
                ExpectedBucketOwner=self.owner,
            )
        return answer.get("VersionId", "")

    def _upload_parts(self, path: Path, key: str, size: int) -> str:
        target: Any = {"Bucket": self.name, "Key": key, "ExpectedBucketOwner": self.owner}
        upload = self.client.create_multipart_upload(**target, Tagging=self._tagging, ChecksumAlgorithm="SHA256")
        target["UploadId"] = upload["UploadId"]
        try:
            parts: list[Any] = []
            with path.open("rb") as file:
                part_bytes = max(_PART_BYTES, -(-size // 10_000))
                while part := file.read(part_bytes):
                    check_stopping()
                    checksum = base64.b64encode(hashlib.sha256(part).digest()).decode()
                    number = len(parts) + 1
                    sent = self.client.upload_part(**target, PartNumber=number, Body=part, ChecksumSHA256=checksum)
                    parts.append({"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": checksum})
            answer = self.client.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
        except BaseException:
            self._abort(target)
            raise
        return answer.get("VersionId", "")

    def _abort(self, target: Any) -> None:
        """Abort an upload in parts; what stopped it is told, not that S3 is not there for this either.

        A lifecycle rule aborts it then.
        """
        with suppress(ClientError, BotoCoreError):
            self.client.abort_multipart_upload(**target)

    def write_manifest(self, key: str, content: bytes) -> str | None:
        """Store a manifest unless one is there; its version id, or None where there was one already."""
        releasing.set()
        try:
            answer = self.client.put_object(
                Bucket=self.name,
                Key=key,
                Body=content,
                ContentType="application/json",
                IfNoneMatch="*",
                ChecksumSHA256=base64.b64encode(hashlib.sha256(content).digest()).decode(),
                Tagging=self._tagging,
                ExpectedBucketOwner=self.owner,
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in (
                "PreconditionFailed",
                "ConditionalRequestConflict",
                "412",
            ):
                return None
            raise
        return answer.get("VersionId", "")

    def copy_from(self, source: Bucket, source_key: str, version_id: str, key: str, size: int, sha256: str) -> str:
        """Copy an object inside S3, unseen by this program, and give the new one's version id.

        Raises:
            Fault: DATA when S3 reports a SHA-256 of the copy that is not the one expected.
        """
        origin: Any = {"Bucket": source.name, "Key": source_key}
        if version_id:
            origin["VersionId"] = version_id
        if size > _MOST_COPIED_AT_ONCE:
            return self._copy_parts(source, origin, key, size)
        answer = self.client.copy_object(
            Bucket=self.name,
            Key=key,
            CopySource=origin,
            ChecksumAlgorithm="SHA256",
            TaggingDirective="REPLACE",
            Tagging=self._tagging,
            ExpectedBucketOwner=self.owner,
            ExpectedSourceBucketOwner=source.owner,
        )
        reported = answer["CopyObjectResult"].get("ChecksumSHA256", "")
        if reported and "-" not in reported and reported != _base64_of(sha256):
            raise Fault(ExitCode.DATA, f"{source_key} is not what its manifest says: S3 copied another SHA-256")
        return answer.get("VersionId", "")

    def _copy_parts(self, source: Bucket, origin: Any, key: str, size: int) -> str:
        target: Any = {"Bucket": self.name, "Key": key, "ExpectedBucketOwner": self.owner}
        upload = self.client.create_multipart_upload(**target, Tagging=self._tagging)
        target["UploadId"] = upload["UploadId"]
        try:
            parts: list[Any] = []
            for number, start in enumerate(range(0, size, _COPY_PART_BYTES), 1):
                check_stopping()
                copied = self.client.upload_part_copy(
                    **target,
                    PartNumber=number,
                    CopySource=origin,
                    CopySourceRange=f"bytes={start}-{min(start + _COPY_PART_BYTES, size) - 1}",
                    ExpectedSourceBucketOwner=source.owner,
                )
                parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"].get("ETag", "")})
            answer = self.client.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
        except BaseException:
            self._abort(target)
            raise
        return answer.get("VersionId", "")
