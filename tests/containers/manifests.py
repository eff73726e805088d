"""A manifest of a raw dump that holds nothing but a table of contents, for tests to change."""

from __future__ import annotations

from etl_runtime.manifest import ArchiveFile, Manifest

RAW = Manifest(
    stage="raw",
    execution_id="nightly-1",
    environment="dev",
    dump_filename="etl-dump",
    database="marketplace",
    server_version="17.11",
    client_version="18.6",
    archive_version="1.16.0",
    compression="zstd:1",
    snapshot={"lsn": "0/1", "taken_at": "2026-01-01T02:00:00.000+00:00"},
    database_bytes=1,
    started_at="2026-01-01T02:00:00.000+00:00",
    finished_at="2026-01-01T02:05:00.000+00:00",
    files=(ArchiveFile("toc.dat", 50, "ab" * 32, "v"),),
)
