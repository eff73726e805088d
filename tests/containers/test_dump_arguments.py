from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from etl_runtime import pg_dump
from etl_runtime.contract import DumpPrefix, ExitCode
from etl_runtime.faults import Fault
from etl_runtime.pg_dump import arguments, check_space, compression
from etl_runtime.settings.database import Database
from etl_runtime.settings.extract import ExtractSettings
from etl_runtime.snapshot import Snapshot

SETTINGS = ExtractSettings(
    environment="prod",
    region="eu-west-2",
    mount_point=Path("/scratch"),
    execution_id="nightly-1",
    prefix=DumpPrefix("dev", "nightly-1", "etl-dump"),
    bucket="raw",
    bucket_owner="123456789012",
    database=Database(
        host="source.example.com",
        port=5432,
        name="marketplace",
        user="etl_dump",
        password="correct-horse-4711",
        authentication="secret",
        sslmode="verify-full",
        sslrootcert="/etc/postgres-etl/rds-ca.pem",
    ),
    jobs=4,
    compression="auto",
    lock_wait_seconds=7,
)


@pytest.fixture(autouse=True)
def _on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pg_dump, "tool", lambda name: f"/usr/bin/{name}")


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Callable[[set[str]], None]:
    """Plays a pg_dump that was built with these codecs."""

    def play(codecs: set[str]) -> None:
        monkeypatch.setattr(pg_dump, "_has_codec", lambda codec: codec in codecs | {"gzip", "none"})

    return play


def test_a_dump_s_argv_is_this_one() -> None:
    assert arguments(SETTINGS, Path("/scratch/d/etl-dump"), "zstd:1", "00000003-1", 18) == [
        "/usr/bin/pg_dump",
        "--format=directory",
        "--file=/scratch/d/etl-dump",
        "--jobs=4",
        "--compress=zstd:1",
        "--snapshot=00000003-1",
        "--lock-wait-timeout=7000",
        "--no-owner",
        "--no-privileges",
        "--no-publications",
        "--no-subscriptions",
        "--no-security-labels",
        "--no-sync",
        "--no-statistics",
    ]


def test_a_client_that_knows_no_statistics_is_not_told_of_them() -> None:
    assert "--no-statistics" not in arguments(SETTINGS, Path("/scratch/d"), "zstd:1", "00000003-1", 17)


@pytest.mark.parametrize(
    ("wanted", "major", "codecs", "value"),
    [
        ("auto", 18, {"zstd", "lz4"}, "zstd:1"),
        ("auto", 16, {"lz4"}, "lz4"),
        ("auto", 16, set[str](), "gzip:1"),
        ("auto", 15, {"zstd"}, "1"),
        ("zstd", 17, {"zstd"}, "zstd:1"),
        ("lz4", 17, {"lz4"}, "lz4"),
        ("gzip", 17, set[str](), "gzip:1"),
        ("none", 17, set[str](), "none"),
        ("gzip", 15, set[str](), "1"),
        ("none", 15, set[str](), "0"),
    ],
)
def test_a_dump_is_compressed_as_asked_or_as_well_as_the_client_can(
    builds: Callable[[set[str]], None], wanted: str, major: int, codecs: set[str], value: str
) -> None:
    builds(codecs)
    assert compression(wanted, major) == value


@pytest.mark.parametrize(
    ("wanted", "major", "message"),
    [
        ("zstd", 18, "DUMP_COMPRESSION is zstd, which this pg_dump was built without"),
        ("lz4", 16, "DUMP_COMPRESSION is lz4, which this pg_dump was built without"),
        ("zstd", 15, "DUMP_COMPRESSION is zstd, which pg_dump 15 has not"),
    ],
)
def test_a_codec_that_the_client_lacks_is_refused(
    builds: Callable[[set[str]], None], wanted: str, major: int, message: str
) -> None:
    builds(set())
    with pytest.raises(Fault) as stopped:
        compression(wanted, major)
    assert (stopped.value.code, stopped.value.message) == (ExitCode.CONFIG, message)


class Tables:
    """Plays a snapshot of a database with tables of these bytes."""

    def __init__(self, *sizes: int) -> None:
        self._sizes = sorted(sizes, reverse=True)

    def largest_tables(self, number: int) -> int:
        return sum(self._sizes[:number])


MIB = 1 << 20


@pytest.mark.parametrize(
    ("sizes", "codec"),
    [
        ([50 * MIB] * 4, "zstd:1"),
        # However many there are: of a table that is sent nothing stays.
        ([50 * MIB] * 400, "gzip:1"),
        ([25 * MIB] * 4, "none"),
        ([], "1"),
    ],
)
def test_a_dump_whose_largest_tables_fit_is_begun(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], codec: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _directory: SimpleNamespace(free=100 * MIB))
    check_space(Path("/scratch"), cast(Snapshot, Tables(*sizes)), 2, codec)


@pytest.mark.parametrize(
    ("sizes", "codec", "wanted"),
    [([150 * MIB, 50 * MIB, 1 * MIB, 1 * MIB], "zstd:1", 101), ([101 * MIB], "none", 101), ([101 * MIB], "0", 101)],
)
def test_a_dump_that_cannot_fit_is_not_begun(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], codec: str, wanted: int
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _directory: SimpleNamespace(free=100 * MIB))
    with pytest.raises(Fault) as stopped:
        check_space(Path("/scratch"), cast(Snapshot, Tables(*sizes)), 2, codec)
    assert (stopped.value.code, stopped.value.message) == (
        ExitCode.NO_SPACE,
        f"no space: /scratch has 100 MiB free, and 4 files are on it at once, which want {wanted} MiB where the tables "
        "are the largest: give the task more ephemeral storage, or fewer jobs",
    )
