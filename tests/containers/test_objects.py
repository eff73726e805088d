from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from etl_runtime import faults, objects
from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault, Terminated
from etl_runtime.objects import Bucket

from tests.containers.aws_account import ACCOUNT

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ARN = "arn:aws:states:eu-west-2:123456789012:execution:postgres-etl-rds-to-s3:nightly-1"
KEY = "dev/nightly-1/etl-dump/3341.dat.gz"


class Watched:
    """An S3 client that remembers its calls, and meets what a test wants of them."""

    def __init__(self, client: S3Client) -> None:
        self._client = client
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            self.calls.append((name, arguments))
            answer = self.answers.get(name)
            if isinstance(answer, BaseException):
                raise answer
            if callable(answer):
                return answer(**arguments)
            return getattr(self._client, name)(**arguments)

        return call


@pytest.fixture
def client(s3: S3Client) -> Watched:
    return Watched(s3)


def _bucket(client: Any, name: str = "raw") -> Bucket:
    return Bucket(client, name, ACCOUNT, ARN)


def _file(directory: Path, content: bytes) -> tuple[Path, str]:
    path = directory / "3341.dat.gz"
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


def _tags(s3: S3Client, bucket: str, key: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}


def _uploads(s3: S3Client, bucket: str) -> list[str]:
    return [upload["Key"] for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """What is larger than 5 MiB goes in parts, as S3 takes none that is smaller."""
    monkeypatch.setattr(objects, "_PART_BYTES", 5 << 20)
    return 5 << 20


def test_a_file_is_stored_with_its_digest_and_its_execution(s3: S3Client, client: Watched, tmp_path: Path) -> None:
    path, digest = _file(tmp_path, b"rows")
    bucket = _bucket(client)
    version = bucket.upload(path, KEY, digest)
    assert bucket.read(KEY) == (b"rows", version)
    assert bucket.read(KEY, version) == (b"rows", version)
    assert _tags(s3, "raw", KEY) == {"ExecutionID": ARN}
    (_, arguments) = client.calls[0]
    assert arguments["ChecksumSHA256"] == "vFHp5l154ckLpUSrLq4QRMzfjBr3pVm6N1y6Qnb32Z4="


def test_a_large_file_is_stored_in_parts(s3: S3Client, client: Watched, tmp_path: Path, small_parts: int) -> None:
    content = bytes(range(256)) * (small_parts // 256) * 2 + b"the end"
    path, digest = _file(tmp_path, content)
    version = _bucket(client).upload(path, KEY, digest)
    assert _bucket(client).read(KEY) == (content, version)
    assert _tags(s3, "raw", KEY) == {"ExecutionID": ARN}
    assert [name for name, _ in client.calls[:5]] == [
        "create_multipart_upload", "upload_part", "upload_part", "upload_part", "complete_multipart_upload",
    ]  # fmt: skip
    assert [bool(arguments.get("ChecksumSHA256")) for name, arguments in client.calls if name == "upload_part"] == [
        True
    ] * 3


@pytest.mark.parametrize("broken", ["upload_part", "complete_multipart_upload"])
def test_an_upload_in_parts_that_fails_leaves_nothing(
    s3: S3Client, client: Watched, tmp_path: Path, small_parts: int, broken: str
) -> None:
    path, digest = _file(tmp_path, bytes(small_parts * 2))
    client.answers[broken] = ClientError({"Error": {"Code": "KMS.AccessDenied"}}, broken)
    with pytest.raises(ClientError):
        _bucket(client).upload(path, KEY, digest)
    assert (_uploads(s3, "raw"), _bucket(client).read(KEY)) == ([], None)


def test_what_stopped_an_upload_is_told_even_where_it_cannot_be_aborted(
    client: Watched, tmp_path: Path, small_parts: int
) -> None:
    path, digest = _file(tmp_path, bytes(small_parts * 2))
    client.answers["upload_part"] = Terminated()
    client.answers["abort_multipart_upload"] = EndpointConnectionError(endpoint_url="https://s3.example.com")
    with pytest.raises(Terminated):
        _bucket(client).upload(path, KEY, digest)


def test_an_upload_in_parts_ends_at_sigterm(s3: S3Client, client: Watched, tmp_path: Path, small_parts: int) -> None:
    path, digest = _file(tmp_path, bytes(small_parts * 4))

    def stopped(**arguments: Any) -> Any:
        faults.stopping.set()
        return s3.upload_part(**arguments)

    client.answers["upload_part"] = stopped
    try:
        with pytest.raises(Terminated):
            _bucket(client).upload(path, KEY, digest)
    finally:
        faults.stopping.clear()
    assert [name for name, _ in client.calls] == ["create_multipart_upload", "upload_part", "abort_multipart_upload"]
    assert (_uploads(s3, "raw"), _bucket(client).read(KEY)) == ([], None)


def test_a_download_ends_at_sigterm(client: Watched, tmp_path: Path) -> None:
    path, digest = _file(tmp_path, bytes(3 << 20))
    version = _bucket(client).upload(path, KEY, digest)
    chunks = _bucket(client).chunks(KEY, version, digest)
    next(chunks)
    faults.stopping.set()
    try:
        with pytest.raises(Terminated):
            list(chunks)
    finally:
        faults.stopping.clear()


@pytest.mark.parametrize(("key", "version"), [("dev/x/etl-dump/none", ""), (KEY, "no-such-version")])
def test_what_is_not_there_reads_as_nothing(client: Watched, tmp_path: Path, key: str, version: str) -> None:
    _bucket(client).upload(*_upload_arguments(tmp_path))
    assert _bucket(client).read(key, version) is None


def _upload_arguments(directory: Path) -> tuple[Path, str, str]:
    path, digest = _file(directory, b"rows")
    return path, KEY, digest


def test_what_may_not_be_read_is_no_nothing(client: Watched) -> None:
    client.answers["get_object"] = ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")
    with pytest.raises(ClientError):
        _bucket(client).read(KEY)


def test_a_later_object_under_the_same_key_is_not_taken_for_the_one_that_was_written(
    client: Watched, tmp_path: Path
) -> None:
    bucket = _bucket(client)
    path, key, digest = _upload_arguments(tmp_path)
    version = bucket.upload(path, key, digest)
    other, other_digest = _file(tmp_path, b"others")
    bucket.upload(other, key, other_digest)
    assert b"".join(bucket.chunks(key, version, digest)) == b"rows"
    assert b"".join(bucket.chunks(key, "", other_digest)) == b"others"


def test_a_download_of_another_digest_is_refused(client: Watched, tmp_path: Path) -> None:
    bucket = _bucket(client)
    version = bucket.upload(*_upload_arguments(tmp_path))
    with pytest.raises(Fault) as stopped:
        bucket.download(KEY, version, "00" * 32, tmp_path / "fetched")
    assert (stopped.value.code, stopped.value.message) == (
        ExitCode.DATA,
        f"{KEY} is not what its manifest says: its SHA-256 differs",
    )


def test_a_manifest_is_written_once(s3: S3Client, client: Watched) -> None:
    bucket = _bucket(client)
    version = bucket.write_manifest("dev/x/etl-dump/manifest.json", b"{}\n")
    assert version
    assert bucket.write_manifest("dev/x/etl-dump/manifest.json", b"{ }\n") is None
    assert bucket.read("dev/x/etl-dump/manifest.json") == (b"{}\n", version)
    assert _tags(s3, "raw", "dev/x/etl-dump/manifest.json") == {"ExecutionID": ARN}
    assert s3.head_object(Bucket="raw", Key="dev/x/etl-dump/manifest.json")["ContentType"] == "application/json"


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict", "412"])
def test_a_manifest_that_another_wrote_meanwhile_is_not_overwritten(client: Watched, code: str) -> None:
    client.answers["put_object"] = ClientError({"Error": {"Code": code}}, "PutObject")
    assert _bucket(client).write_manifest("dev/x/etl-dump/manifest.json", b"{}") is None


def test_a_manifest_that_may_not_be_written_is_an_error(client: Watched) -> None:
    client.answers["put_object"] = ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")
    with pytest.raises(ClientError):
        _bucket(client).write_manifest("dev/x/etl-dump/manifest.json", b"{}")


def test_a_copy_stays_inside_s3_and_is_of_the_very_version(s3: S3Client, client: Watched, tmp_path: Path) -> None:
    raw, clean = _bucket(client), Bucket(client, "clean", ACCOUNT, "nightly-2")  # type: ignore[arg-type]
    path, key, digest = _upload_arguments(tmp_path)
    version = raw.upload(path, key, digest)
    s3.put_object(Bucket="raw", Key=key, Body=b"something later")
    client.calls.clear()
    copied = clean.copy_from(raw, key, version, key, 4, digest)
    assert [name for name, _ in client.calls] == ["copy_object"]
    assert clean.read(key) == (b"rows", copied)
    assert _tags(s3, "clean", key) == {"ExecutionID": "nightly-2"}


def test_a_copy_of_another_digest_is_refused(client: Watched, tmp_path: Path) -> None:
    raw = _bucket(client)
    path, key, digest = _upload_arguments(tmp_path)
    version = raw.upload(path, key, digest)
    client.answers["copy_object"] = lambda **_: {"CopyObjectResult": {"ChecksumSHA256": "AAAA"}}
    with pytest.raises(Fault) as stopped:
        _bucket(client, "clean").copy_from(raw, key, version, key, 4, digest)
    assert stopped.value.code == ExitCode.DATA
    assert "S3 copied another SHA-256" in stopped.value.message


def test_a_very_large_object_is_copied_in_parts(
    s3: S3Client, client: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_MOST_COPIED_AT_ONCE", 6 << 20)
    monkeypatch.setattr(objects, "_COPY_PART_BYTES", 5 << 20)
    content = bytes(range(256)) * (7 << 12)
    path, digest = _file(tmp_path, content)
    raw, clean = _bucket(client), _bucket(client, "clean")
    version = raw.upload(path, KEY, digest)
    client.calls.clear()
    copied = clean.copy_from(raw, KEY, version, KEY, len(content), digest)
    assert [name for name, _ in client.calls] == [
        "create_multipart_upload", "upload_part_copy", "upload_part_copy", "complete_multipart_upload",
    ]  # fmt: skip
    assert clean.read(KEY) == (content, copied)
    assert _tags(s3, "clean", KEY) == {"ExecutionID": ARN}


def test_every_call_says_who_must_own_the_bucket(
    client: Watched, tmp_path: Path, small_parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_MOST_COPIED_AT_ONCE", 6 << 20)
    raw, clean = _bucket(client), _bucket(client, "clean")
    for content in (b"rows", bytes(small_parts * 2)):
        path, digest = _file(tmp_path, content)
        version = raw.upload(path, KEY, digest)
        clean.copy_from(raw, KEY, version, KEY, len(content), digest)
        raw.download(KEY, version, digest, tmp_path / "fetched")
    raw.read(KEY)
    raw.write_manifest("dev/x/etl-dump/manifest.json", b"{}")
    client.answers["upload_part"] = ClientError({"Error": {"Code": "SlowDown"}}, "UploadPart")
    with pytest.raises(ClientError):
        raw.upload(path, KEY, digest)
    assert {name for name, _ in client.calls} == {
        "put_object", "create_multipart_upload", "upload_part", "complete_multipart_upload", "abort_multipart_upload",
        "copy_object", "upload_part_copy", "get_object",
    }  # fmt: skip
    assert [name for name, arguments in client.calls if arguments.get("ExpectedBucketOwner") != ACCOUNT] == []
    copies = [arguments for name, arguments in client.calls if "copy" in name]
    assert [arguments["ExpectedSourceBucketOwner"] for arguments in copies] == [ACCOUNT] * len(copies)
