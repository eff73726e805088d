from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from etl_runtime.contract import DumpPrefix, ExitCode
from etl_runtime.faults import Fault
from etl_runtime.manifest import ArchiveFile, Cleaning, Manifest, read_manifest, sha256

from tests.containers import manifests

PREFIX = DumpPrefix("dev", "nightly-1", "etl-dump")
ARN = "arn:aws:states:eu-west-2:123456789012:execution:postgres-etl-rds-to-s3:nightly-1"
DIGEST = "ab" * 32
RAW = replace(
    manifests.RAW,
    execution_id=ARN,
    snapshot={"lsn": "0/1A2B3C", "taken_at": "2026-01-01T02:00:00.000+00:00"},
    database_bytes=123456,
    files=(
        ArchiveFile("3341.dat.zst", 100, DIGEST, "v1", "public.users", 7),
        ArchiveFile("3342.dat.zst", 200, DIGEST, "v2", 'public."Orders"', 0),
        ArchiveFile("blob_16402.dat.zst", 5, DIGEST, "v3"),
        ArchiveFile("toc.dat", 50, DIGEST, ""),
    ),
)
CLEAN = replace(
    RAW,
    stage="clean",
    cleaning=Cleaning(
        raw_manifest_sha256="cd" * 32,
        rules_sha256="ef" * 32,
        image="transform@sha256:00",
        plan=[{"table": "public.users", "path": "expressions", "reason": "expressions for email"}],
        proof={"result": "passed", "columns": []},
        started_at="2026-01-01T03:00:00.000+00:00",
        finished_at="2026-01-01T03:01:00.000+00:00",
    ),
)
RAW_DOCUMENT = {
    "schema": 1,
    "stage": "raw",
    "execution_id": ARN,
    "environment": "dev",
    "dump_filename": "etl-dump",
    "database": "marketplace",
    "server_version": "17.11",
    "client_version": "18.6",
    "archive_version": "1.16.0",
    "compression": "zstd:1",
    "snapshot": {"lsn": "0/1A2B3C", "taken_at": "2026-01-01T02:00:00.000+00:00"},
    "database_bytes": 123456,
    "started_at": "2026-01-01T02:00:00.000+00:00",
    "finished_at": "2026-01-01T02:05:00.000+00:00",
    "files": [
        {
            "name": "3341.dat.zst", "bytes": 100, "sha256": DIGEST, "version_id": "v1",
            "table": "public.users", "rows": 7,
        },
        {
            "name": "3342.dat.zst", "bytes": 200, "sha256": DIGEST, "version_id": "v2",
            "table": 'public."Orders"', "rows": 0,
        },
        {"name": "blob_16402.dat.zst", "bytes": 5, "sha256": DIGEST, "version_id": "v3", "table": None, "rows": None},
        {"name": "toc.dat", "bytes": 50, "sha256": DIGEST, "version_id": "", "table": None, "rows": None},
    ],
}  # fmt: skip
CLEAN_DOCUMENT = {
    **RAW_DOCUMENT,
    "stage": "clean",
    "raw_manifest_sha256": "cd" * 32,
    "rules_sha256": "ef" * 32,
    "image": "transform@sha256:00",
    "plan": [{"table": "public.users", "path": "expressions", "reason": "expressions for email"}],
    "proof": {"result": "passed", "columns": []},
    "cleaning_started_at": "2026-01-01T03:00:00.000+00:00",
    "cleaning_finished_at": "2026-01-01T03:01:00.000+00:00",
}


@pytest.mark.parametrize(("manifest", "document"), [(RAW, RAW_DOCUMENT), (CLEAN, CLEAN_DOCUMENT)], ids=["raw", "clean"])
def test_a_manifest_is_this_very_document(manifest: Manifest, document: dict[str, Any]) -> None:
    assert json.loads(manifest.text()) == document


@pytest.mark.parametrize("manifest", [RAW, CLEAN], ids=["raw", "clean"])
def test_a_manifest_survives_its_text_form(manifest: Manifest) -> None:
    assert read_manifest(manifest.text(), PREFIX, manifest.stage) == manifest


def test_equal_manifests_are_equal_bytes_whatever_the_order_of_their_files() -> None:
    assert replace(RAW, files=tuple(reversed(RAW.files))).text() == RAW.text()
    assert sha256(RAW.text()) != sha256(CLEAN.text())


def test_a_manifest_adds_up_its_files() -> None:
    assert (RAW.bytes, RAW.rows) == (355, 7)
    assert RAW.file("toc.dat").bytes == 50
    with pytest.raises(Fault, match=r"^manifest does not list 1\.dat$"):
        RAW.file("1.dat")


def _message(content: bytes, code: ExitCode, stage: Any = "raw", prefix: DumpPrefix = PREFIX) -> str:
    with pytest.raises(Fault) as stopped:
        read_manifest(content, prefix, stage)
    assert stopped.value.code == code
    return stopped.value.message


def test_a_manifest_of_another_stage_is_refused() -> None:
    name = "manifest of dev/nightly-1/etl-dump"
    assert _message(RAW.text(), ExitCode.REFUSED, "clean") == f"{name} is 'raw', and only 'clean' is taken here"
    assert _message(CLEAN.text(), ExitCode.REFUSED, "raw") == f"{name} is 'clean', and only 'raw' is taken here"


@pytest.mark.parametrize("schema", [2, 0, "1", None])
def test_a_manifest_of_another_schema_is_refused(schema: object) -> None:
    content = json.dumps(RAW_DOCUMENT | {"schema": schema}).encode()
    assert _message(content, ExitCode.DATA) == (
        f"manifest of dev/nightly-1/etl-dump has schema {schema!r}; this program reads 1"
    )


@pytest.mark.parametrize(
    "prefix",
    [
        DumpPrefix("sbx", "nightly-1", "etl-dump"),
        DumpPrefix("dev", "nightly-2", "etl-dump"),
        DumpPrefix("dev", "nightly-1", "other"),
    ],
    ids=str,
)
def test_a_manifest_of_another_dump_is_refused(prefix: DumpPrefix) -> None:
    assert _message(RAW.text(), ExitCode.DATA, prefix=prefix) == f"manifest of {prefix} names another dump"


def _without(document: dict[str, Any], key: str) -> bytes:
    return json.dumps({name: value for name, value in document.items() if name != key}).encode()


@pytest.mark.parametrize("key", sorted(set(RAW_DOCUMENT) - {"files"}))
def test_a_manifest_that_lacks_a_part_is_refused(key: str) -> None:
    assert "is not of schema 1" in _message(_without(RAW_DOCUMENT, key), ExitCode.DATA)


@pytest.mark.parametrize("key", sorted(set(CLEAN_DOCUMENT) - set(RAW_DOCUMENT)))
def test_a_clean_manifest_that_lacks_a_part_of_its_cleaning_is_refused(key: str) -> None:
    assert "is not of schema 1" in _message(_without(CLEAN_DOCUMENT, key), ExitCode.DATA, "clean")


FILE = RAW_DOCUMENT["files"][0]
NO_MANIFEST = {
    "nothing": b"",
    "no JSON": b"not JSON",
    "cut": RAW.text()[:-20],
    "no UTF-8": b'{"schema": 1, "stage": "\xff"}',
    "a list": b"[]",
    "null": b"null",
    "too deep": b"[" * 100_000,
    "an execution id that is no text": json.dumps(RAW_DOCUMENT | {"execution_id": 7}).encode(),
    "no files": _without(RAW_DOCUMENT, "files"),
    "files that are no list": json.dumps(RAW_DOCUMENT | {"files": 3}).encode(),
    "a file that is no object": json.dumps(RAW_DOCUMENT | {"files": ["toc.dat"]}).encode(),
    "a file with another key": json.dumps(RAW_DOCUMENT | {"files": [FILE | {"mode": "0777"}]}).encode(),
    "a file without a digest": _without(RAW_DOCUMENT | {"files": [{**FILE, "sha256": None}]}, ""),
    "a digest of another length": json.dumps(RAW_DOCUMENT | {"files": [FILE | {"sha256": "ab"}]}).encode(),
    "a size that is text": json.dumps(RAW_DOCUMENT | {"files": [FILE | {"bytes": "5"}]}).encode(),
    "a negative size": json.dumps(RAW_DOCUMENT | {"files": [FILE | {"bytes": -5}]}).encode(),
    "a number of rows that is text": json.dumps(RAW_DOCUMENT | {"files": [FILE | {"rows": "5"}]}).encode(),
    "a table without a number of rows": json.dumps(RAW_DOCUMENT | {"files": [FILE | {"rows": None}]}).encode(),
    "a version that is no text": json.dumps(RAW_DOCUMENT | {"files": [FILE | {"version_id": 5}]}).encode(),
    "a file twice": json.dumps(RAW_DOCUMENT | {"files": [FILE, FILE]}).encode(),
}


@pytest.mark.parametrize("content", NO_MANIFEST.values(), ids=NO_MANIFEST.keys())
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    assert "manifest of dev/nightly-1/etl-dump is not of schema 1" in _message(content, ExitCode.DATA)


@pytest.mark.parametrize(
    "name", ["../toc.dat", "/etc/passwd", "a/b.dat", "blob_/../../x.dat", "", ".", "..", "-l", "1.dat\n", "x.sh"]
)  # fmt: skip
def test_a_file_s_name_can_lead_nowhere_else(name: str) -> None:
    """Load writes each file of a manifest into a directory by its name."""
    content = json.dumps(RAW_DOCUMENT | {"files": [FILE | {"name": name}]}).encode()
    assert "is not of schema 1" in _message(content, ExitCode.DATA)
