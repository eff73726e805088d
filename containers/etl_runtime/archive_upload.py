"""Sends an archive's files to S3 while pg_dump is still writing others: each the moment its writer closes it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from watchdog.events import FileClosedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from etl_runtime.contract import DumpPrefix
from etl_runtime.data_file import CHUNK, DataFileReader, stem
from etl_runtime.faults import Fault, check_stopping
from etl_runtime.manifest import ArchiveFile
from etl_runtime.objects import Bucket
from etl_runtime.toc import TOC_NAME, Toc, TocEntry, read_toc, relation


def file_chunks(path: Path) -> Iterator[bytes]:
    """A file's bytes, a piece at a time."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            check_stopping()
            yield chunk


class ArchiveUpload(FileSystemEventHandler):
    """Reads, checks, uploads and then deletes each file of a directory archive as it is closed.

    A file counts as closed when the kernel says that its writer closed it, or at the latest when pg_dump has ended
    (`finish`); a data file is opened for writing once. toc.dat is written before any data, so that the table a file
    belongs to is known by the time the file is whole.
    """

    def __init__(self, directory: Path, bucket: Bucket, prefix: DumpPrefix, workers: int) -> None:
        self._directory = directory
        self._bucket = bucket
        self._prefix = prefix
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="upload")
        self._lock = threading.Lock()
        self._toc_lock = threading.Lock()
        self._sent: dict[str, Future[ArchiveFile]] = {}
        self._toc: Toc | None = None
        self._entries: Mapping[str, TocEntry] = {}
        self._observer = Observer()

    def __enter__(self) -> ArchiveUpload:
        self._observer.schedule(self, str(self._directory), event_filter=[FileClosedEvent])
        self._observer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._observer.stop()
        self._observer.join()
        self._pool.shutdown(cancel_futures=True)

    def on_closed(self, event: FileSystemEvent) -> None:
        """A writer closed a file; toc.dat and the lists of large objects wait for the end, data files go now."""
        name = Path(str(event.src_path)).name
        if ".dat" in name and name != TOC_NAME:
            self._send(name)

    @property
    def toc(self) -> Toc | None:
        """The table of contents, once pg_dump has written it."""
        try:
            return self._read_toc()
        except (Fault, OSError, ValueError):
            # There is none yet, or not all of it.
            return None

    def _read_toc(self) -> Toc:
        with self._toc_lock:
            if self._toc is None:
                toc = read_toc((self._directory / TOC_NAME).read_bytes())
                self._entries = {entry.filename: entry for entry in toc.entries if entry.filename}
                self._toc = toc
            return self._toc

    @property
    def done(self) -> list[ArchiveFile]:
        """The files that are in S3 by now."""
        with self._lock:
            futures = list(self._sent.values())
        return [
            future.result() for future in futures if future.done() and not future.cancelled() and not future.exception()
        ]

    def check(self) -> None:
        """Raise the first fault of an upload that has failed, if one has, so that pg_dump is not waited for."""
        with self._lock:
            futures = list(self._sent.values())
        for future in futures:
            if future.done() and not future.cancelled():
                future.result()

    def _send(self, name: str) -> None:
        with self._lock:
            if name not in self._sent:
                self._sent[name] = self._pool.submit(self._upload, name)

    def _upload(self, name: str) -> ArchiveFile:
        path = self._directory / name
        entry = self._entry(name)
        copy_data = entry is not None and entry.description == "TABLE DATA"
        reader = DataFileReader(name, file_chunks(path), copy_data=copy_data)
        facts = reader.read_through()
        version_id = self._bucket.upload(path, self._prefix.key(name), facts.sha256)
        path.unlink()
        table = relation(entry.schema, entry.tag) if entry is not None and copy_data else None
        return ArchiveFile(name, facts.bytes, facts.sha256, version_id, table, facts.rows if copy_data else None)

    def _entry(self, name: str) -> TocEntry | None:
        self._read_toc()
        return self._entries.get(stem(name))

    def finish(self) -> tuple[Toc, list[ArchiveFile]]:
        """Send what is left once pg_dump has ended well, toc.dat last; wait for all of it.

        Returns:
            The table of contents, and every file of the archive as it is in S3.

        Raises:
            Fault: DATA when a file is not whole.
        """
        content = (self._directory / TOC_NAME).read_bytes()
        toc = read_toc(content)
        for path in sorted(self._directory.iterdir()):
            if path.name != TOC_NAME:
                self._send(path.name)
        files = [future.result() for future in self._sent.values()]
        digest = hashlib.sha256(content).hexdigest()
        version_id = self._bucket.upload(self._directory / TOC_NAME, self._prefix.key(TOC_NAME), digest)
        return toc, [*files, ArchiveFile(TOC_NAME, len(content), digest, version_id)]
