from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from etl_runtime import faults
from etl_runtime.archive_upload import ArchiveUpload, file_chunks
from etl_runtime.contract import DumpPrefix, ExitCode
from etl_runtime.data_file import CHUNK
from etl_runtime.faults import Fault, Terminated
from etl_runtime.manifest import ArchiveFile
from etl_runtime.objects import Bucket

from tests.containers.archive_bytes import COPY_END, ENCODING, Entry, packed, table, toc_bytes
from tests.containers.aws_account import ACCOUNT

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = DumpPrefix("dev", "nightly-1", "etl-dump")
TOC = toc_bytes(
    [
        ENCODING,
        *table(1, "users", "id integer"),
        *table(2, "orders", "id integer"),
        Entry(dump_id=9, tag="BLOBS", description="BLOBS", schema="", filename="blobs_9.toc"),
    ]
)
USERS = packed("gzip", b"1\n2\n" + COPY_END)
ORDERS = packed("gzip", COPY_END)
BLOB = packed("gzip", b"a large object")
BLOBS = b"16402 blob_16402.dat\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "etl-dump"
    path.mkdir()
    return path


@pytest.fixture
def upload(s3: S3Client, directory: Path) -> Iterator[ArchiveUpload]:
    with ArchiveUpload(directory, Bucket(s3, "raw", ACCOUNT, "nightly-1"), PREFIX, workers=2) as upload:
        yield upload


def _listed(s3: S3Client) -> list[str]:
    contents = s3.list_objects_v2(Bucket="raw").get("Contents", [])
    return [entry["Key"].removeprefix(f"{PREFIX}/") for entry in contents]


def _wait(upload: ArchiveUpload, number: int) -> None:
    deadline = time.monotonic() + 10
    while len(upload.done) < number and time.monotonic() < deadline:
        time.sleep(0.005)


def _facts(name: str, content: bytes, version: str, table: str | None = None, rows: int | None = None) -> ArchiveFile:
    return ArchiveFile(name, len(content), hashlib.sha256(content).hexdigest(), version, table, rows)


def test_files_leave_as_they_are_closed_and_the_table_of_contents_last(
    s3: S3Client, upload: ArchiveUpload, directory: Path
) -> None:
    assert upload.toc is None
    (directory / "toc.dat").write_bytes(TOC)
    (directory / "1001.dat.gz").write_bytes(USERS)
    _wait(upload, 1)
    assert _listed(s3) == ["1001.dat.gz"]
    assert [path.name for path in directory.iterdir()] == ["toc.dat"]
    for name, content in {"1002.dat.gz": ORDERS, "blob_16402.dat.gz": BLOB, "blobs_9.toc": BLOBS}.items():
        (directory / name).write_bytes(content)
    _wait(upload, 3)
    assert _listed(s3) == ["1001.dat.gz", "1002.dat.gz", "blob_16402.dat.gz"]
    toc, files = upload.finish()
    versions = {file.name: s3.head_object(Bucket="raw", Key=PREFIX.key(file.name))["VersionId"] for file in files}
    assert [entry.tag for entry in toc.table_data] == ["users", "orders"]
    assert sorted(files, key=lambda file: file.name) == [
        _facts("1001.dat.gz", USERS, versions["1001.dat.gz"], "public.users", 2),
        _facts("1002.dat.gz", ORDERS, versions["1002.dat.gz"], "public.orders", 0),
        _facts("blob_16402.dat.gz", BLOB, versions["blob_16402.dat.gz"]),
        _facts("blobs_9.toc", BLOBS, versions["blobs_9.toc"]),
        _facts("toc.dat", TOC, versions["toc.dat"]),
    ]
    assert files[-1].name == "toc.dat"


def test_a_file_that_is_still_being_written_stays(s3: S3Client, upload: ArchiveUpload, directory: Path) -> None:
    (directory / "toc.dat").write_bytes(TOC)
    with (directory / "1001.dat.gz").open("wb") as file:
        file.write(USERS[:10])
        file.flush()
        (directory / "1002.dat.gz").write_bytes(ORDERS)
        _wait(upload, 1)
        assert _listed(s3) == ["1002.dat.gz"]
        file.write(USERS[10:])
    _wait(upload, 2)
    assert _listed(s3) == ["1001.dat.gz", "1002.dat.gz"]


def test_a_file_that_was_cut_stops_the_dump_before_its_end(
    s3: S3Client, upload: ArchiveUpload, directory: Path
) -> None:
    (directory / "toc.dat").write_bytes(TOC)
    (directory / "1001.dat.gz").write_bytes(USERS[:-3])

    def checked() -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            upload.check()
            time.sleep(0.005)

    with pytest.raises(Fault) as stopped:
        checked()
    assert stopped.value.code == ExitCode.DATA
    with pytest.raises(Fault, match=r"1001\.dat\.gz is cut"):
        upload.finish()
    assert _listed(s3) == []


def test_a_dump_without_tables_is_its_table_of_contents(s3: S3Client, upload: ArchiveUpload, directory: Path) -> None:
    content = toc_bytes([ENCODING])
    (directory / "toc.dat").write_bytes(content)
    toc, files = upload.finish()
    assert (toc.table_data, [file.name for file in files], _listed(s3)) == ((), ["toc.dat"], ["toc.dat"])


def test_reading_a_file_ends_at_sigterm(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(CHUNK + 1))
    chunks = file_chunks(tmp_path / "x")
    assert len(next(chunks)) == CHUNK
    faults.stopping.set()
    try:
        with pytest.raises(Terminated):
            next(chunks)
    finally:
        faults.stopping.clear()
