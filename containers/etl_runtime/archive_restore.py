"""Restores a clean dump into an empty database: rows go from S3 straight into their tables, verified on the way.

pg_restore makes the definitions before and the indexes and constraints after; between them each table's file is
downloaded, digested, decompressed, counted and copied in one pass, several at once. No row touches this program's disk.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory

import psycopg
from psycopg import sql

from etl_runtime.contract import DumpPrefix, ExitCode
from etl_runtime.data_file import DataFileReader, stem
from etl_runtime.faults import Fault
from etl_runtime.manifest import ArchiveFile, Manifest
from etl_runtime.objects import Bucket
from etl_runtime.postgres import Connection, run_tool, tool, tool_fault
from etl_runtime.postgres_errors import error_text
from etl_runtime.toc import TOC_NAME, Toc, TocEntry, read_toc, relation
from etl_runtime.trusted_sql import trusted

PG_RESTORE_OPTIONS = (
    "--no-owner",
    "--no-privileges",
    "--no-publications",
    "--no-subscriptions",
    "--no-security-labels",
)


class _Abandoned(Exception):
    """Another file has failed, and this one is not wanted any more."""


def copy_rows(connection: Connection, entry: TocEntry, file: ArchiveFile, chunks: DataFileReader, *, new: bool) -> None:
    """Fill one table from its file, in the connection's transaction; all of it is undone when this raises.

    Args:
        connection: In a transaction, with the settings of `prepare`.
        entry: The table's TABLE DATA.
        file: What the manifest says of the file.
        chunks: Its rows; they are read to the end, so the digest is compared before the transaction can commit.
        new: The table has been made in an earlier transaction, and nobody else sees it. Its rows are then written as
            frozen, which spares the first scan and the first vacuum a rewrite of every page.

    Raises:
        Fault: DATA when file, manifest and what the server took do not agree.
    """
    schema, name = entry.copied_table
    table = sql.SQL(".").join(map(sql.Identifier, filter(None, (schema, name))))
    columns = sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, entry.columns)))
    # Rows that go in by the root of a partitioned table find their place there, and share it with other files'.
    frozen = new and name == entry.tag and _is_plain_table(connection, schema, name)
    try:
        if frozen:
            # FREEZE is for a table that was made or emptied in the same transaction.
            connection.execute(sql.SQL("TRUNCATE ONLY {}").format(table))
        statement = sql.SQL("COPY {} {} FROM STDIN").format(table, columns if entry.columns else trusted(""))
        cursor = connection.cursor()
        with cursor.copy(statement + trusted(" WITH (FREEZE)" if frozen else "")) as copy:
            for chunk in chunks:
                copy.write(chunk)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise Fault(ExitCode.DATA, f"table {relation(entry.schema, entry.tag)}: {error_text(error)}") from None
    if not chunks.facts.rows == cursor.rowcount == file.rows:
        raise Fault(
            ExitCode.DATA,
            f"table {relation(entry.schema, entry.tag)}: {file.name} has {chunks.facts.rows} rows, the target took "
            f"{cursor.rowcount}, and the manifest says {file.rows}",
        )


def _is_plain_table(connection: Connection, schema: str, name: str) -> bool:
    row = connection.execute(
        "SELECT relkind = 'r' FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = relnamespace"
        " WHERE nspname = %s AND relname = %s",
        [schema, name],
    ).fetchone()
    return row is not None and bool(row[0])


def prepare(connection: Connection, encoding: str) -> None:
    """Give a session the settings that pg_restore gives its own: `_doSetFixedOutputState` in pg_backup_archiver.c.

    What is not on disk yet when the work is committed is there before the swap is: that commit waits for all.
    """
    connection.execute(
        "SELECT pg_catalog.set_config(name, value, false) FROM (VALUES ('client_encoding', %s), ('search_path', ''),"
        " ('standard_conforming_strings', 'on'), ('check_function_bodies', 'off'), ('xmloption', 'content'),"
        " ('client_min_messages', 'warning'), ('row_security', 'off'), ('synchronous_commit', 'off'))"
        " AS s (name, value)",
        [encoding],
    )


class ArchiveRestore:
    """One clean dump on its way into a database.

    Args:
        bucket: Where the dump is.
        prefix: Which it is.
        manifest: What it must be.
        mount_point: A directory for the few files that pg_restore reads itself; nothing is left in it.
        jobs: Files restored, and indexes made, at the same time.
        progress: Told the bytes that have been restored.
    """

    def __init__(
        self,
        bucket: Bucket,
        prefix: DumpPrefix,
        manifest: Manifest,
        mount_point: Path,
        jobs: int,
        progress: Callable[[int], None],
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._manifest = manifest
        self._jobs = jobs
        self.progress = progress
        self._failed = threading.Event()
        self._temporary = TemporaryDirectory(prefix="load-", dir=mount_point)
        self._directory = Path(self._temporary.name) / prefix.dump_filename
        self._toc: Toc | None = None

    def __enter__(self) -> ArchiveRestore:
        self._directory.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()

    @property
    def toc(self) -> Toc:
        """The table of contents; the first use downloads and verifies it, and holds it against the manifest.

        Raises:
            Fault: DATA when a table has no file, or a file no table.
        """
        if self._toc is None:
            self._download(self._manifest.file(TOC_NAME))
            toc = read_toc((self._directory / TOC_NAME).read_bytes())
            tables = {stem(entry.filename or "") for entry in toc.table_data}
            files = [stem(file.name) for file in self._manifest.files if file.table is not None]
            if sorted(tables) != sorted(files):
                raise Fault(ExitCode.DATA, f"{self._prefix} is not whole: {TOC_NAME} and manifest name other tables")
            self._toc = toc
        return self._toc

    @property
    def tables(self) -> list[tuple[ArchiveFile, TocEntry]]:
        """Each table's file and entry, the largest first."""
        entries = {stem(entry.filename or ""): entry for entry in self.toc.table_data}
        files = [(file, entries[stem(file.name)]) for file in self._manifest.files if file.table is not None]
        return sorted(files, key=lambda pair: -pair[0].bytes)

    def definitions(self, environment: Mapping[str, str]) -> None:
        """Make types, functions and tables.

        Args:
            environment: The `PG*` variables of the database.

        Raises:
            Fault: pg_restore's failure.
        """
        self._pg_restore(environment, "--section=pre-data")

    def rows(self, connect: Callable[[], Connection]) -> None:
        """Copy the rows of all tables, each in its own transaction.

        Args:
            connect: Opens a connection to the database, in autocommit.

        Raises:
            Fault: the first one of a file or a table.
        """
        waiting: SimpleQueue[tuple[ArchiveFile, TocEntry]] = SimpleQueue()
        for pair in self.tables:
            waiting.put(pair)
        done = [0] * self._jobs

        def work(worker: int) -> None:
            with connect() as connection:
                prepare(connection, self.toc.encoding)
                while not self._failed.is_set():
                    try:
                        file, entry = waiting.get_nowait()
                    except Empty:
                        return
                    with connection.transaction():
                        copy_rows(connection, entry, file, self.reader(file), new=True)
                    done[worker] += file.bytes
                    self.progress(sum(done))

        with ThreadPoolExecutor(self._jobs, thread_name_prefix="restore") as pool:
            workers = [pool.submit(self._until_failure, work, worker) for worker in range(self._jobs)]
            try:
                wait(workers)
            finally:
                self._failed.set()
        for worker in workers:
            worker.result()

    def _until_failure(self, work: Callable[[int], None], worker: int) -> None:
        try:
            work(worker)
        except _Abandoned:
            return
        except BaseException:
            self._failed.set()
            raise

    def reader(self, file: ArchiveFile) -> DataFileReader:
        """A table's rows as they arrive from S3, given up when another file has failed."""

        def chunks() -> Iterator[bytes]:
            for chunk in self._bucket.chunks(self._prefix.key(file.name), file.version_id, file.sha256):
                if self._failed.is_set():
                    raise _Abandoned
                yield chunk

        return DataFileReader(file.name, chunks())

    def rest(self, environment: Mapping[str, str]) -> None:
        """Restore what follows the rows: large objects, where sequences stand, indexes, constraints, triggers.

        Raises:
            Fault: a file is not what its manifest says, or pg_restore's failure.
        """
        self._pg_restore(environment, f"--jobs={self._jobs}", *self._rest_options())

    def definitions_text(self) -> bytes:
        """What `definitions` runs, as SQL in the archive's encoding."""
        return self._text("--section=pre-data")

    def rest_text(self) -> bytes:
        """What `rest` runs, as SQL in the archive's encoding; large objects are in it whole."""
        return self._text(*self._rest_options())

    def _rest_options(self) -> list[str]:
        for file in self._manifest.files:
            if file.table is None and file.name != TOC_NAME:
                self._download(file)
        listed = self._directory.with_name("restore.list")
        listed.write_text("".join(f"{e.dump_id};\n" for e in self.toc.entries if e.description != "TABLE DATA"))
        return [f"--use-list={listed}", "--section=data", "--section=post-data"]

    def _download(self, file: ArchiveFile) -> None:
        path = self._directory / file.name
        self._bucket.download(self._prefix.key(file.name), file.version_id, file.sha256, path)

    def _text(self, *options: str) -> bytes:
        # psql's own lines begin and end the text, and are known by a key of our own making.
        key, path = secrets.token_hex(16), self._directory.with_name("restore.sql")
        self._run({}, f"--restrict-key={key}", f"--file={path}", *options)
        text = path.read_bytes()
        return text.replace(f"\\restrict {key}\n".encode(), b"").replace(f"\\unrestrict {key}\n".encode(), b"")

    def _pg_restore(self, environment: Mapping[str, str], *options: str) -> None:
        self._run(environment, f"--dbname={environment['PGDATABASE']}", "--exit-on-error", *options)

    def _run(self, environment: Mapping[str, str], *options: str) -> None:
        argv = [tool("pg_restore"), *PG_RESTORE_OPTIONS, *options, str(self._directory)]
        status, errors = run_tool(argv, environment)
        if status != 0:
            raise tool_fault("pg_restore", status, errors)
