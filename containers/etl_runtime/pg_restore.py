"""Load: restores a clean dump beside the live database and swaps it in. Run by the ECS task `pg_restore`."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
from psycopg import sql

from etl_runtime.archive_restore import ArchiveRestore
from etl_runtime.aws import caller_account, s3_client
from etl_runtime.contract import PG_RESTORE_CONTAINER, PROTECTED_ENVIRONMENTS, Env, ExitCode, load_target
from etl_runtime.faults import Fault, check_stopping
from etl_runtime.in_place import load_in_place
from etl_runtime.manifest import Manifest, read_manifest, sha256
from etl_runtime.objects import Bucket
from etl_runtime.post_load import run_post_load
from etl_runtime.postgres import Access, Connection, check_client, lost_connections
from etl_runtime.postgres_errors import error_text
from etl_runtime.program import logger, run
from etl_runtime.progress import Progress
from etl_runtime.settings.load import LoadSettings, RollbackSettings, TargetSettings
from etl_runtime.target_database import MAINTENANCE_DATABASE, TargetDatabase
from etl_runtime.target_limits import check_server, check_storage, index_options
from etl_runtime.target_swap import roll_back, swap_in


def check_target(settings: TargetSettings, account_id: str) -> None:
    """Refuse what may never be changed, before anything is touched.

    Args:
        settings: of the load, or of the rollback.
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


def open_dump(bucket: Bucket, settings: LoadSettings) -> tuple[Manifest, str]:
    """The manifest of the dump to load, and its SHA-256.

    Raises:
        Fault: NO_INPUT when there is no such dump; REFUSED when it is for another environment, not clean, not proved,
            or by other rules.
    """
    if settings.prefix.load_environment != settings.environment:
        raise Fault(
            ExitCode.REFUSED,
            f"LOAD_FILENAME is for {settings.prefix.load_environment!a}, and this is {settings.environment!a}",
        )
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
            self._make_room(target, connection, manifest)
            with self._archive(manifest) as archive:
                if settings.mode == "in-place":
                    self._progress("replacing in place", bytes_total=manifest.bytes)
                    load_in_place(target, archive, settings.post_load, manifest_sha256)
                else:
                    self._load_beside(target, connection, archive, manifest_sha256)
                tables = len(archive.tables)
        log.info("finished", bytes=manifest.bytes, rows=manifest.rows, tables=tables, seconds=self._seconds())

    def _archive(self, manifest: Manifest) -> ArchiveRestore:
        settings = self.settings
        step = "replacing in place" if settings.mode == "in-place" else "restoring rows"

        def restored(done: int) -> None:
            self._progress(step, bytes_done=done, bytes_total=manifest.bytes)

        return ArchiveRestore(self.bucket, settings.prefix, manifest, settings.mount_point, settings.jobs, restored)

    def _load_beside(
        self, target: TargetDatabase, connection: Connection, archive: ArchiveRestore, manifest_sha256: str
    ) -> None:
        try:
            self._fill(target, connection, archive)
            self._progress("swapping")
            swap_in(target, connection, manifest_sha256)
        except BaseException:
            self._drop(target)
            raise

    def _make_room(self, target: TargetDatabase, connection: Connection, manifest: Manifest) -> None:
        """See that the target can take the dump, and only then drop what is kept no longer."""
        settings = self.settings
        check_client("pg_restore", int(manifest.client_version.partition(".")[0]))
        check_server(connection, settings.jobs)
        leaving = target.left_overs(
            connection, timedelta(hours=settings.keep_previous_hours), settings.keep_previous_most
        )
        check_storage(connection, settings.storage_gib, manifest.database_bytes, leaving)
        for database in leaving:
            target.drop(connection, database)
            logger().info("dropped", database=database)

    def _fill(self, target: TargetDatabase, connection: Connection, archive: ArchiveRestore) -> None:
        settings = self.settings
        target.create(connection, archive.toc.encoding)
        archive.definitions(target.access.tool_environment(target.load))
        archive.progress(0)
        archive.rows(lambda: target.access.connect(target.load))
        self._progress("making indexes")
        options = index_options(connection, settings.jobs)
        archive.rest(target.access.tool_environment(target.load) | {"PGOPTIONS": options})
        self._progress("analyzing")
        self._analyze(target)
        if settings.post_load:
            self._progress("running post-load scripts")
            with target.access.connect(target.load) as new, new.transaction():
                run_post_load(new, settings.post_load)

    def _drop(self, target: TargetDatabase) -> None:
        """Remove the half-made database. Its own connection: the other one may be the reason for being here."""
        try:
            with target.access.connect(MAINTENANCE_DATABASE) as connection:
                target.drop(connection, target.load)
        except (Fault, psycopg.Error):
            logger().warning("left_over", database=target.load, advice="the next load drops it")

    def _seconds(self) -> float:
        return round(time.monotonic() - self._started, 3)

    def _analyze(self, target: TargetDatabase) -> None:
        """ANALYZE every table, the largest first, several at once.

        Raises:
            Fault: UNAVAILABLE when one cannot be.
        """
        with target.access.connect(target.load) as connection:
            rows = connection.execute(
                "SELECT nspname, relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace"
                " WHERE relkind IN ('r', 'm', 'p') AND NOT relisshared AND relpersistence <> 't'"
                " ORDER BY pg_relation_size(c.oid) DESC"
            ).fetchall()
        tables = [sql.SQL("ANALYZE {}").format(sql.Identifier(*row)) for row in rows]

        def work(worker: int) -> None:
            with target.access.connect(target.load) as connection:
                for statement in tables[worker :: self.settings.jobs]:
                    check_stopping()
                    connection.execute(statement)

        try:
            with ThreadPoolExecutor(self.settings.jobs, thread_name_prefix="analyze") as pool:
                for _ in pool.map(work, range(self.settings.jobs)):
                    pass
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            raise Fault(ExitCode.UNAVAILABLE, f"what was loaded cannot be analyzed: {error_text(error)}") from None


def undo(settings: RollbackSettings) -> None:
    """Swap back what a load replaced."""
    log = logger()
    check_target(settings, caller_account(settings.region))
    log.info("started", stage="rollback", load=settings.load)
    target = TargetDatabase(Access(settings.database, settings.region), settings.load)
    with lost_connections(), target.locked() as connection:
        is_new = roll_back(target, connection)
    log.info("finished", already_done=not is_new)


def load(environ: Mapping[str, str]) -> None:
    """Read the settings and run: a load, or where ROLLBACK names one, its undoing."""
    if environ.get(Env.ROLLBACK):
        undo(RollbackSettings.from_env(environ))
    else:
        Load(LoadSettings.from_env(environ)).run()


if __name__ == "__main__":
    sys.exit(run(PG_RESTORE_CONTAINER, load))
