"""Puts a clean dump's files in the load bucket: changed ones are uploaded, the rest is copied inside S3."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from etl_runtime.contract import DumpPrefix
from etl_runtime.manifest import ArchiveFile, Manifest, sha256
from etl_runtime.objects import Bucket
from etl_runtime.raw_dump import RawDump
from etl_runtime.table_release import ReleasedTable
from etl_runtime.toc import TOC_NAME

_AT_ONCE = 8


def large_objects(manifest: Manifest, dropped: Collection[str]) -> list[ArchiveFile]:
    """The files of large objects' contents that are released."""
    if "BLOBS" in dropped:
        return []
    return [file for file in manifest.files if file.name.startswith("blob_")]


class Publication:
    """The files of one clean dump.

    Args:
        dump: The raw dump.
        bucket: The load bucket.
        prefix: Of both dumps.
        dropped: Kinds of entries that are left out.
        toc: The clean table of contents.
    """

    def __init__(self, dump: RawDump, bucket: Bucket, prefix: DumpPrefix, dropped: Collection[str], toc: bytes) -> None:
        self._dump = dump
        self._bucket = bucket
        self._prefix = prefix
        self._toc = toc
        gone = {entry.filename for entry in dump.toc.entries if entry.description in dropped}
        self.files = [
            file
            for file in dump.manifest.files
            if not (file.name in gone or ("BLOBS" in dropped and file.name.startswith("blob")))
        ]

    @property
    def bytes(self) -> int:
        """Of all files, as the raw dump has them."""
        return sum(file.bytes for file in self.files)

    def publish(self, released: Sequence[ReleasedTable], directory: Path) -> list[ArchiveFile]:
        """Write every object but the manifest.

        Args:
            released: The tables that were written anew.
            directory: An existing one, for the table of contents.
        """
        changed = {table.path.name: table for table in released}
        (directory / TOC_NAME).write_bytes(self._toc)

        def one(file: ArchiveFile) -> ArchiveFile:
            key = self._prefix.key(file.name)
            if file.name == TOC_NAME and self._toc != self._dump.toc_bytes:
                digest = sha256(self._toc)
                version = self._bucket.upload(directory / TOC_NAME, key, digest)
                return ArchiveFile(TOC_NAME, len(self._toc), digest, version)
            if (table := changed.get(file.name)) is not None:
                facts = table.facts
                version = self._bucket.upload(table.path, key, facts.sha256)
                return ArchiveFile(file.name, facts.bytes, facts.sha256, version, file.table, facts.rows)
            version = self._bucket.copy_from(self._dump.bucket, key, file.version_id, key, file.bytes, file.sha256)
            return ArchiveFile(file.name, file.bytes, file.sha256, version, file.table, file.rows)

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="publish") as pool:
            return list(pool.map(one, self.files))
