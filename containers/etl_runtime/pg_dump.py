"""Extract: dumps one snapshot of the source database into the extract bucket. Run by the ECS task `pg_dump`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg

from etl_runtime.archive_upload import ArchiveUpload
from etl_runtime.aws import s3_client
from etl_runtime.contract import PG_DUMP_CONTAINER, ExitCode
from etl_runtime.faults import Fault
from etl_runtime.manifest import Manifest, read_manifest
from etl_runtime.objects import Bucket
from etl_runtime.postgres import (
    Access,
    check_client,
    clean_environment,
    lost_connections,
    run_tool,
    tool,
    tool_fault,
)
from etl_runtime.postgres_errors import error_text
from etl_runtime.private_directory import PrivateDirectory
from etl_runtime.program import logger, run
from etl_runtime.progress import Progress
from etl_runtime.settings.extract import ExtractSettings
from etl_runtime.snapshot import Snapshot, now

_LEVELS = {"zstd": "zstd:1", "gzip": "gzip:1", "lz4": "lz4", "none": "none"}
"""Level 1: on 2.2 GB gzip:6 took twice the time of gzip:1 for a tenth of the size, zstd:1 less time than either."""


def compression(wanted: str, client_major: int) -> str:
    """The value for pg_dump's --compress: the codec asked for, or for `auto` the best that this client has.

    Raises:
        Fault: CONFIG when the client lacks the codec asked for.
    """
    if client_major < 16:
        if wanted in ("zstd", "lz4"):
            raise Fault(ExitCode.CONFIG, f"DUMP_COMPRESSION is {wanted}, which pg_dump {client_major} has not")
        return "1" if wanted != "none" else "0"
    if wanted == "auto":
        return _LEVELS[next(filter(_has_codec, ("zstd", "lz4")), "gzip")]
    if not _has_codec(wanted):
        raise Fault(ExitCode.CONFIG, f"DUMP_COMPRESSION is {wanted}, which this pg_dump was built without")
    return _LEVELS[wanted]


def _has_codec(codec: str) -> bool:
    """Whether this pg_dump was built with it. It says so before it looks for a server, so asking costs milliseconds."""
    asked = subprocess.run(
        [tool("pg_dump"), "--format=directory", "--file=/dev/null/none", f"--compress={codec}", "--dbname="],
        env=clean_environment({"PGHOST": "/dev/null"}),
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode < 0:
        raise tool_fault("pg_dump", asked.returncode, "")
    return "not support compression" not in asked.stderr


def arguments(settings: ExtractSettings, directory: Path, codec: str, snapshot: str, client_major: int) -> list[str]:
    """The argv of pg_dump: a directory archive of the snapshot, with nothing of the source's roles in it."""
    return [
        tool("pg_dump"),
        "--format=directory",
        f"--file={directory}",
        f"--jobs={settings.jobs}",
        f"--compress={codec}",
        f"--snapshot={snapshot}",
        f"--lock-wait-timeout={settings.lock_wait_seconds * 1000}",
        "--no-owner",
        "--no-privileges",
        "--no-publications",
        "--no-subscriptions",
        "--no-security-labels",
        # What is on this disk is there to be sent; what was sent is checked by its digest.
        "--no-sync",
        # Optimizer statistics hold the most common values of every column.
        *(["--no-statistics"] if client_major >= 18 else []),
    ]


def check_space(directory: Path, snapshot: Snapshot, jobs: int, codec: str) -> None:
    """Refuse to begin what cannot fit: as many tables as there are jobs are being written, as many being sent.

    pg_dump takes the largest first. At these levels a file has a third to a half of its table's bytes (0.29 to 0.48
    measured).

    Raises:
        Fault: NO_SPACE, naming both sizes.
    """
    free, tables = shutil.disk_usage(directory).free, snapshot.largest_tables(2 * jobs)
    wanted = tables if codec in ("none", "0") else tables // 2
    if free < wanted:
        raise Fault(
            ExitCode.NO_SPACE,
            f"no space: {directory} has {free >> 20} MiB free, and {2 * jobs} files are on it at once, which want "
            f"{wanted >> 20} MiB where the tables are the largest: give the task more ephemeral storage, or fewer jobs",
        )


def already_done(bucket: Bucket, settings: ExtractSettings) -> bool:
    """Whether this very execution has left a whole dump before; a run of it again then has nothing to do.

    Raises:
        Fault: DATA when another execution's manifest is in its place.
    """
    found = bucket.read(settings.prefix.manifest_key)
    if found is None:
        return False
    manifest = read_manifest(found[0], settings.prefix, "raw")
    if manifest.execution_id != settings.execution_id:
        raise Fault(ExitCode.DATA, f"{settings.prefix} holds the dump of another execution; start one of another name")
    return True


def extract(environ: Mapping[str, str]) -> None:
    """Dump, upload, and write the manifest last."""
    settings = ExtractSettings.from_env(environ)
    log, started = logger(), time.monotonic()
    started_at = now()
    log.info("started", stage="extract", prefix=str(settings.prefix))
    bucket = Bucket(s3_client(settings.region), settings.bucket, settings.bucket_owner, settings.execution_id)
    if already_done(bucket, settings):
        log.info("finished", already_done=True, bytes=0, rows=0, tables=0, seconds=0.0)
        return
    access = Access(settings.database, settings.region)
    with lost_connections(), access.connect() as connection:
        try:
            snapshot = Snapshot(connection)
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            raise Fault(ExitCode.UNAVAILABLE, f"no snapshot of the source: {error_text(error)}") from None
        client = check_client("pg_dump", snapshot.server_major)
        codec = compression(settings.compression, client[0])
        check_space(settings.mount_point, snapshot, settings.jobs, codec)
        if snapshot.unlogged_tables:
            log.warning("unlogged_tables_are_empty_on_a_standby", tables=snapshot.unlogged_tables)
        with PrivateDirectory(prefix="dump-", dir=settings.mount_point) as scratch:
            directory = Path(scratch) / settings.prefix.dump_filename
            directory.mkdir()
            with ArchiveUpload(directory, bucket, settings.prefix, workers=settings.jobs) as upload:
                argv = arguments(settings, directory, codec, snapshot.identifier, client[0])
                # Times with time zone are written in the session's zone; UTC makes equal instants equal text.
                environment = access.tool_environment() | {"PGTZ": "UTC"}
                watch = _Watch(upload, snapshot, access)
                status, errors = run_tool(argv, environment, tick=watch)
                if status != 0:
                    raise _fault(status, errors)
                watch()
                toc, files = upload.finish()
    manifest = Manifest(
        stage="raw",
        execution_id=settings.execution_id,
        environment=settings.prefix.load_environment,
        dump_filename=settings.prefix.dump_filename,
        database=settings.database.name,
        server_version=snapshot.server_version,
        client_version=f"{client[0]}.{client[1]}",
        archive_version=toc.archive_version,
        compression=codec,
        snapshot={"lsn": snapshot.lsn, "taken_at": snapshot.taken_at},
        database_bytes=snapshot.database_bytes,
        started_at=started_at,
        finished_at=now(),
        files=tuple(sorted(files, key=lambda file: file.name)),
    )
    if bucket.write_manifest(settings.prefix.manifest_key, manifest.text()) is None and not already_done(
        bucket, settings
    ):
        raise Fault(
            ExitCode.TRANSIENT, f"the manifest of {settings.prefix} was not taken, and there is none; run it again"
        )
    log.info(
        "finished",
        bytes=manifest.bytes,
        rows=manifest.rows,
        tables=len(toc.table_data),
        seconds=round(time.monotonic() - started, 3),
    )


class _Watch:
    """Looks while pg_dump runs: at the uploads, at the tables as soon as it has locked them, at how far it is."""

    def __init__(self, upload: ArchiveUpload, snapshot: Snapshot, access: Access) -> None:
        self._upload, self._snapshot, self._access = upload, snapshot, access
        self._progress = Progress("extract")
        self._tables_checked = False

    def __call__(self) -> None:
        self._upload.check()
        done, toc = self._upload.done, self._upload.toc
        if toc and not self._tables_checked:
            self._tables_checked = True
            self._check_tables()
        self._progress(
            "dumping and uploading" if toc else "reading the catalog",
            bytes_done=sum(file.bytes for file in done),
            tables_done=sum(file.table is not None for file in done),
            tables_total=len(toc.table_data) if toc else None,
        )

    def _check_tables(self) -> None:
        """Stop where a table was emptied or rewritten before pg_dump locked it: it reads as empty then, with no error.

        https://www.postgresql.org/docs/current/mvcc-caveats.html
        """
        with self._access.connect() as connection:
            changed = self._snapshot.rewritten_tables(connection)
        if changed:
            raise Fault(
                ExitCode.TRANSIENT,
                f"{changed[0]} was truncated or rewritten after the snapshot was taken and before it was locked"
                + (f", as were {len(changed) - 1} more tables" if changed[1:] else ""),
            )


def _fault(status: int, errors: str) -> Fault:
    """What pg_dump's failure is. It names only what the snapshot's catalog has: what is not there was just dropped."""
    fault = tool_fault("pg_dump", status, errors)
    if "does not exist" in fault.message:
        return Fault(ExitCode.TRANSIENT, f"{fault.message}: it was dropped after the snapshot was taken")
    return fault


if __name__ == "__main__":
    sys.exit(run(PG_DUMP_CONTAINER, extract))
