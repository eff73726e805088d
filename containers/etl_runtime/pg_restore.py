"""Load: restores a clean dump beside the live database and swaps it in. Run by the ECS task `pg_restore`."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from psycopg import sql

from etl_runtime.archive_upload import file_chunks
from etl_runtime.aws import caller_account, s3_client
from etl_runtime.contract import PG_RESTORE_CONTAINER, PROTECTED_ENVIRONMENTS, Env, ExitCode, load_target
from etl_runtime.data_file import DataFileReader
from etl_runtime.faults import Fault
from etl_runtime.manifest import ArchiveFile, Manifest, read_manifest, sha256
from etl_runtime.objects import Bucket
from etl_runtime.postgres import (
    Access,
    Connection,
    check_client,
    lost_connections,
    psql_arguments,
    run_tool,
    tool,
    tool_fault,
)
from etl_runtime.postgres_errors import error_text
from etl_runtime.program import logger, run
from etl_runtime.progress import Progress
from etl_runtime.scripts import script_error
from etl_runtime.settings import LoadSettings
from etl_runtime.target_database import TargetDatabase
from etl_runtime.toc import TOC_NAME, Toc, quoted, read_toc
from etl_runtime.trusted_sql import trusted


def check_target(settings: LoadSettings, account_id: str) -> None:
    """Refuse what may never be loaded into, before anything is touched.

    Args:
        settings: of the load.
        account_id: whose credentials the program runs with; what it was told of accounts is not believed.

    Raises:
        Fault: REFUSED.
    """
    environment, database = settings.environment, settings.database
    target = load_target(account_id, database.host, database.name)
    is_protected = environment in PROTECTED_ENVIRONMENTS or account_id in settings.protected_accounts
    if is_protected and settings.protected_load_target != target:
        raise Fault(
            ExitCode.REFUSED,
            f"{environment} in account {account_id} is protected: nothing is loaded into it, unless "
            f"{Env.PROTECTED_LOAD_TARGET} is {target}",
        )
    if account_id != settings.bucket_owner:
        raise Fault(
            ExitCode.REFUSED,
            f"this is account {account_id}, and the load bucket is of {settings.bucket_owner}: "
            "a load runs where its bucket is",
        )
    if settings.prefix.load_environment != settings.environment:
        raise Fault(
            ExitCode.REFUSED,
            f"LOAD_FILENAME is for {settings.prefix.load_environment!a}, and this is {environment!a}",
        )


def open_dump(bucket: Bucket, settings: LoadSettings) -> tuple[Manifest, str]:
    """The manifest of the dump to load, and its SHA-256.

    Raises:
        Fault: NO_INPUT when there is no such dump; REFUSED when it is not clean, not proved, or by other rules.
    """
    found = bucket.read(settings.prefix.manifest_key)
    if found is None:
        raise Fault(
            ExitCode.NO_INPUT, f"LOAD_FILENAME {settings.prefix} does not exist: {bucket.name} has no manifest of it"
        )
    manifest = read_manifest(found[0], settings.prefix, "clean")
    cleaning = manifest.cleaning
    if cleaning is None or cleaning.proof.get("result") != "passed":
        raise Fault(ExitCode.REFUSED, f"{settings.prefix} has no proof that personal data is gone")
    if cleaning.rules_sha256 not in settings.allowed_rules:
        raise Fault(
            ExitCode.REFUSED,
            f"{settings.prefix} was cleaned by rules {cleaning.rules_sha256[:12]}…, which are not allowed here",
        )
    return manifest, sha256(found[0])


class Load:
    """One run: clean dump in, live database replaced."""

    def __init__(self, settings: LoadSettings) -> None:
        self.settings = settings
        self.bucket = Bucket(s3_client(settings.region), settings.bucket, settings.bucket_owner, settings.execution_id)
        self._progress = Progress("load")
        self._started = time.monotonic()

    def run(self) -> None:
        """Do the whole; the swap is last."""
        settings, log = self.settings, logger()
        check_target(settings, caller_account(settings.region))
        log.info("started", stage="load", prefix=str(settings.prefix))
        manifest, manifest_sha256 = open_dump(self.bucket, settings)
        target = TargetDatabase(Access(settings.database, settings.region), settings.execution_id)
        with lost_connections(), target.locked() as connection:
            if target.is_loaded(connection):
                log.info("finished", already_done=True, bytes=0, rows=0, tables=0, seconds=self._seconds())
                return
            check_client("pg_restore", int(manifest.client_version.partition(".")[0]))
            target.clear_left_overs(connection, timedelta(hours=settings.keep_previous_hours))
            try:
                tables = self._fill(target, connection, manifest)
                self._progress("swapping", bytes_done=manifest.bytes, bytes_total=manifest.bytes)
                target.swap(connection, manifest_sha256)
            except BaseException:
                self._drop(target)
                raise
        log.info("finished", bytes=manifest.bytes, rows=manifest.rows, tables=tables, seconds=self._seconds())

    def _fill(self, target: TargetDatabase, connection: Connection, manifest: Manifest) -> int:
        with TemporaryDirectory(prefix="load-", dir=self.settings.mount_point) as scratch:
            directory = Path(scratch) / self.settings.prefix.dump_filename
            directory.mkdir()
            self._download(manifest, directory)
            toc = read_toc((directory / TOC_NAME).read_bytes())
            target.create(connection, toc.encoding)
            self._progress("restoring", bytes_done=manifest.bytes, bytes_total=manifest.bytes)
            self._restore(target, directory)
        self._progress("checking", bytes_done=manifest.bytes, bytes_total=manifest.bytes)
        self._check(target, toc, manifest)
        self._post_load(target)
        return len(toc.table_data)

    def _drop(self, target: TargetDatabase) -> None:
        """Remove the half-made database. Its own connection: the other one may be the reason for being here."""
        try:
            with target.access.connect("postgres") as connection:
                connection.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(target.load))
                )
        except (Fault, psycopg.Error):
            logger().warning("left_over", database=target.load, advice="the next load drops it")

    def _seconds(self) -> float:
        return round(time.monotonic() - self._started, 3)

    def _download(self, manifest: Manifest, directory: Path) -> None:
        """Fetch every file; each must have the SHA-256, and a table's file the rows, that its manifest says."""

        def fetch(file: ArchiveFile) -> int:
            key = self.settings.prefix.key(file.name)
            self.bucket.download(key, file.version_id, file.sha256, directory / file.name)
            if file.table is not None:
                facts = DataFileReader(file.name, file_chunks(directory / file.name)).read_through()
                if facts.rows != file.rows:
                    raise Fault(ExitCode.DATA, f"{file.name} has {facts.rows} rows and its manifest says {file.rows}")
            return file.bytes

        done = 0
        with ThreadPoolExecutor(self.settings.jobs, thread_name_prefix="download") as pool:
            for size in pool.map(fetch, sorted(manifest.files, key=lambda file: -file.bytes)):
                done += size
                self._progress("downloading", bytes_done=done, bytes_total=manifest.bytes)

    def _restore(self, target: TargetDatabase, directory: Path) -> None:
        argv = [
            tool("pg_restore"),
            f"--dbname={target.load}",
            "--exit-on-error",
            "--no-owner",
            "--no-privileges",
            "--no-publications",
            "--no-subscriptions",
            "--no-security-labels",
            f"--jobs={self.settings.jobs}",
            str(directory),
        ]
        status, errors = run_tool(argv, target.access.tool_environment(target.load))
        if status != 0:
            raise tool_fault("pg_restore", status, errors)

    def _check(self, target: TargetDatabase, toc: Toc, manifest: Manifest) -> None:
        """ANALYZE, and hold every table's rows against the manifest.

        Raises:
            Fault: DATA, naming the tables that differ.
        """
        expected = {file.name.partition(".")[0]: file.rows for file in manifest.files if file.table is not None}

        def count(entry_table: tuple[str, str, int]) -> str:
            schema, table, dump_id = entry_table
            with target.access.connect(target.load) as connection:
                name = f"{quoted(schema)}.{quoted(table)}"
                row = connection.execute(sql.SQL("SELECT count(*) FROM ONLY {}").format(trusted(name))).fetchone()
            found, wanted = int(row[0]) if row else None, expected.get(str(dump_id))
            return "" if found == wanted else f"{schema}.{table} has {found} rows instead of {wanted}"

        entries = [(entry.schema, entry.tag, entry.dump_id) for entry in toc.table_data]
        try:
            with target.access.connect(target.load) as connection, ThreadPoolExecutor(self.settings.jobs) as pool:
                counted = pool.map(count, entries)
                connection.execute("ANALYZE")
                differing = [text for text in counted if text]
        except psycopg.Error as error:
            raise Fault(ExitCode.UNAVAILABLE, f"what was loaded cannot be counted: {error_text(error)}") from None
        if differing:
            raise Fault(ExitCode.DATA, f"not swapped in: {'; '.join(differing[:5])}")

    def _post_load(self, target: TargetDatabase) -> None:
        """Run the target's own scripts in the new database, before anyone sees it, in one transaction."""
        if self.settings.post_load_directory is None:
            return
        scripts = sorted(self.settings.post_load_directory.glob("*.sql"))
        if not scripts:
            return
        self._progress("running post-load scripts")
        environment = target.access.tool_environment(target.load) | {"PGCLIENTENCODING": "UTF8"}
        status, errors = run_tool(psql_arguments(scripts), environment)
        if status != 0:
            # psql ends with 2 when its connection is gone: https://www.postgresql.org/docs/current/app-psql.html
            code = ExitCode.TRANSIENT if status == 2 else ExitCode.DATA
            raise Fault(code, f"post-load script stopped: {script_error(errors, scripts)}")


def load(environ: Mapping[str, str]) -> None:
    """Read the settings and run."""
    Load(LoadSettings.from_env(environ)).run()


if __name__ == "__main__":
    sys.exit(run(PG_RESTORE_CONTAINER, load))
