from __future__ import annotations

import gzip
import hashlib
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from etl_runtime.contract import DumpPrefix, ExitCode
from etl_runtime.data_file import SUFFIXES
from etl_runtime.faults import Fault
from etl_runtime.manifest import ArchiveFile, Manifest
from etl_runtime.objects import Bucket
from etl_runtime.raw_dump import RawDump

from tests.containers.archive_bytes import COPY_END, ENCODING, Entry, packed, table, toc_bytes
from tests.containers.aws_account import ACCOUNT
from tests.containers.manifests import RAW

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = DumpPrefix("dev", "nightly-1", "etl-dump")
LISTED_BLOBS = Entry(dump_id=9, tag="BLOBS", description="BLOBS", schema="", filename="blobs_9.toc")
TOC = toc_bytes([ENCODING, *table(1, "users", "id integer\nemail text"), LISTED_BLOBS])
FILES = {
    "toc.dat": TOC,
    "1001.dat.gz": packed("gzip", b"1\ta@example.com\n" + COPY_END),
    "blobs_9.toc": b"16402 blob_16402.dat\n",
    "blob_16402.dat.gz": packed("gzip", b"a large object"),
}

Store = Callable[[dict[str, bytes]], Manifest]


@pytest.fixture
def bucket(s3: S3Client) -> Bucket:
    return Bucket(s3, "raw", ACCOUNT, "nightly-1")


@pytest.fixture
def store(s3: S3Client, bucket: Bucket) -> Store:
    """Puts files where extract would, and gives the manifest that lists them."""

    def put(files: dict[str, bytes]) -> Manifest:
        listed: list[ArchiveFile] = []
        for name, content in files.items():
            version = s3.put_object(Bucket="raw", Key=PREFIX.key(name), Body=content)["VersionId"]
            rows = 1 if name.startswith("1001") else None
            table_name = "public.users" if rows else None
            listed.append(
                ArchiveFile(name, len(content), hashlib.sha256(content).hexdigest(), version, table_name, rows)
            )
        manifest = replace(RAW, compression="gzip:1", files=tuple(listed))
        _publish(bucket, manifest)
        return manifest

    return put


def _publish(bucket: Bucket, manifest: Manifest) -> str:
    answer = bucket.client.put_object(Bucket="raw", Key=PREFIX.manifest_key, Body=manifest.text())
    return answer["VersionId"]


def _refusal(bucket: Bucket, version: str = "") -> Fault:
    with pytest.raises(Fault) as stopped:
        RawDump.open(bucket, PREFIX, version)
    return stopped.value


def test_a_dump_is_opened_by_its_manifest_and_table_of_contents_alone(bucket: Bucket, store: Store) -> None:
    manifest = store(FILES)
    dump = RawDump.open(bucket, PREFIX, "")
    (entry,) = dump.toc.table_data
    assert dump.manifest == replace(manifest, files=tuple(sorted(manifest.files, key=lambda file: file.name)))
    assert (dump.toc_bytes, dump.manifest_sha256) == (TOC, hashlib.sha256(manifest.text()).hexdigest())
    assert dump.file_of(entry).name == "1001.dat.gz"
    assert b"".join(dump.rows(dump.file_of(entry))) == b"1\ta@example.com\n"


def test_a_dump_without_a_manifest_does_not_exist(bucket: Bucket, s3: S3Client) -> None:
    s3.put_object(Bucket="raw", Key=PREFIX.key("toc.dat"), Body=TOC)
    fault = _refusal(bucket)
    assert (fault.code, fault.message) == (
        ExitCode.NO_INPUT,
        "there is no dump dev/nightly-1/etl-dump in raw: it has no manifest",
    )


def test_the_manifest_is_read_in_the_very_version_that_the_job_was_made_for(bucket: Bucket, store: Store) -> None:
    manifest = store(FILES)
    first = RawDump.open(bucket, PREFIX, "").bucket.read(PREFIX.manifest_key)
    assert first is not None
    _publish(bucket, replace(manifest, database="another"))
    assert RawDump.open(bucket, PREFIX, first[1]).manifest.database == "marketplace"
    assert RawDump.open(bucket, PREFIX, "").manifest.database == "another"
    assert _refusal(bucket, "no-such-version").code == ExitCode.NO_INPUT


def test_a_table_of_contents_that_was_changed_is_refused(bucket: Bucket, store: Store) -> None:
    manifest = store(FILES)
    changed = [replace(file, sha256="00" * 32) if file.name == "toc.dat" else file for file in manifest.files]
    _publish(bucket, replace(manifest, files=tuple(changed)))
    fault = _refusal(bucket)
    assert (fault.code, fault.message) == (
        ExitCode.DATA,
        "dev/nightly-1/etl-dump/toc.dat is not what its manifest says: its SHA-256 differs",
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {name: FILES[name] for name in ("toc.dat", "blobs_9.toc")},
            "manifest of dev/nightly-1/etl-dump lacks 1001.dat, which toc.dat names",
        ),
        (
            {name: FILES[name] for name in ("toc.dat", "1001.dat.gz")},
            "manifest of dev/nightly-1/etl-dump lacks blobs_9.toc, which toc.dat names",
        ),
        (
            {**FILES, "1002.dat.gz": b"x"},
            "manifest of dev/nightly-1/etl-dump lists 1002.dat.gz, which toc.dat does not name",
        ),
        (
            {**FILES, "1001.dat": b"x"},
            "manifest of dev/nightly-1/etl-dump lists a file twice, in two compressions",
        ),
        ({"1001.dat.gz": b"x"}, "manifest does not list toc.dat"),
    ],
)
def test_files_that_the_table_of_contents_does_not_agree_with_are_refused(
    bucket: Bucket, store: Store, files: dict[str, bytes], message: str
) -> None:
    store(files)
    fault = _refusal(bucket)
    assert (fault.code, fault.message) == (ExitCode.DATA, message)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (b"1\ta\n2\tb\n", "1001.dat.gz has more rows than its manifest says, 1"),
        (b"", "1001.dat.gz has 0 rows and its manifest says 1"),
    ],
)
def test_a_file_of_another_number_of_rows_is_refused(bucket: Bucket, store: Store, rows: bytes, message: str) -> None:
    store({**FILES, "1001.dat.gz": packed("gzip", rows + COPY_END)})
    dump = RawDump.open(bucket, PREFIX, "")
    with pytest.raises(Fault) as stopped:
        list(dump.rows(dump.manifest.file("1001.dat.gz")))
    assert (stopped.value.code, stopped.value.message) == (ExitCode.DATA, message)


def test_a_small_file_of_very_many_rows_is_refused_before_they_are_made(bucket: Bucket, store: Store) -> None:
    """A MiB of gzip can be a GiB: what comes of it is refused, and it is not made."""
    bomb = gzip.compress(b"1\ta\n" * (64 << 18), compresslevel=9) * 16
    assert len(bomb) < 2 << 20
    store({**FILES, "1001.dat.gz": bomb})
    dump = RawDump.open(bucket, PREFIX, "")
    passed: list[bytes] = []
    tracemalloc.start()
    try:
        with pytest.raises(Fault) as stopped:
            passed.extend(dump.rows(dump.manifest.file("1001.dat.gz")))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (stopped.value.code, stopped.value.message, passed) == (
        ExitCode.DATA,
        "1001.dat.gz has more rows than its manifest says, 1",
        [],
    )
    assert peak < 160 << 20


def test_a_small_file_of_one_endless_row_is_refused_before_it_is_made(bucket: Bucket, store: Store) -> None:
    bomb = gzip.compress(b"x" * (64 << 20), compresslevel=9) * 16
    assert len(bomb) < 2 << 20
    store({**FILES, "1001.dat.gz": bomb})
    dump = RawDump.open(bucket, PREFIX, "")
    with pytest.raises(Fault) as stopped:
        sum(map(len, dump.rows(dump.manifest.file("1001.dat.gz"))))
    assert (stopped.value.code, stopped.value.message) == (
        ExitCode.DATA,
        "public.users: 1001.dat.gz has a row of more than 512 MiB, and a row is held in memory: "
        "make it smaller at its source, or truncate the table",
    )


DAMAGE: dict[str, Callable[[str, bytes], bytes]] = {
    "cut": lambda _codec, body: body[:-3],
    "emptied": lambda _codec, _body: b"",
    "flipped": lambda _codec, body: (
        body[: len(body) // 2] + bytes([body[len(body) // 2] ^ 1]) + body[len(body) // 2 + 1 :]
    ),
    "stale": lambda codec, _body: packed(codec, b"1\tb@example.com\n" + COPY_END),
}


@pytest.mark.parametrize("codec", SUFFIXES)
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_file_that_is_not_the_one_of_the_manifest_is_refused_in_every_codec(
    bucket: Bucket, store: Store, s3: S3Client, codec: str, damage: Callable[[str, bytes], bytes]
) -> None:
    name, whole = f"1001.dat{SUFFIXES[codec]}", packed(codec, b"1\ta@example.com\n" + COPY_END)
    files = {key: content for key, content in FILES.items() if key != "1001.dat.gz"}
    manifest = store({**files, name: whole})
    dump = RawDump.open(bucket, PREFIX, "")
    assert b"".join(dump.rows(dump.manifest.file(name))) == b"1\ta@example.com\n"
    version = s3.put_object(Bucket="raw", Key=PREFIX.key(name), Body=damage(codec, whole))["VersionId"]
    named = [replace(file, version_id=version) if file.name == name else file for file in manifest.files]
    _publish(bucket, replace(manifest, files=tuple(named)))
    dump = RawDump.open(bucket, PREFIX, "")
    with pytest.raises(Fault) as stopped:
        list(dump.rows(dump.manifest.file(name)))
    assert stopped.value.code == ExitCode.DATA
    assert name in stopped.value.message
