"""Transform: makes the clean dump of a raw one. Run by the Kubernetes Job of one dump."""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from etl_runtime.allocation import return_large_blocks
from etl_runtime.aws import s3_client, secrets_client
from etl_runtime.classification import ClassifiedTable, classify, dropped_descriptions
from etl_runtime.contract import TRANSFORM_CONTAINER, ExitCode, rules_digest, scrub_files
from etl_runtime.faults import Fault
from etl_runtime.manifest import ArchiveFile, Cleaning, Manifest, read_manifest
from etl_runtime.objects import Bucket
from etl_runtime.plan import Plan, make_plan
from etl_runtime.postgres import lost_connections
from etl_runtime.private_directory import PrivateDirectory
from etl_runtime.program import logger, run
from etl_runtime.progress import Progress
from etl_runtime.proof.proof import proof_document
from etl_runtime.publication import Publication, large_objects
from etl_runtime.raw_dump import RawDump
from etl_runtime.reached_tables import run_on_reached_tables
from etl_runtime.rules_document import read_rules
from etl_runtime.scratch import Scratch
from etl_runtime.scratch_definitions import tables_with_keys
from etl_runtime.scratch_restore import ScratchRestore
from etl_runtime.script_variables import ScriptVariables
from etl_runtime.scripts import script_files
from etl_runtime.sequences import definitions
from etl_runtime.settings.transform import TransformSettings
from etl_runtime.table_keys import Keys, Name
from etl_runtime.table_release import Release, TableRelease, prepare
from etl_runtime.toc import read_toc


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _secret(secret_id: str, region: str) -> str:
    return secrets_client(region).get_secret_value(SecretId=secret_id).get("SecretString", "")


def scrub_key(secret_id: str, region: str) -> str:
    """The pseudonyms' key, hex of 32 bytes, from the secret salt.

    Raises:
        Fault: CONFIG when the secret is empty or too short to be one.
    """
    salt = _secret(secret_id, region)
    if len(salt) < 16:
        raise Fault(ExitCode.CONFIG, "the scrub salt has fewer than 16 characters: set a long random one")
    return hashlib.sha256(b"postgres-etl scrub key\0" + salt.encode()).hexdigest()


class Transform:
    """One run: raw dump and rules in, clean dump out.

    Args:
        settings: What the Job was told.
        directory: An empty directory of the run's own.
    """

    def __init__(self, settings: TransformSettings, directory: Path) -> None:
        self.settings = settings
        self.directory = directory
        self._progress = Progress("transform")
        self.started_at, self._started = _now(), time.monotonic()
        client = s3_client(settings.region)
        self.raw_bucket = Bucket(client, settings.extract_bucket, settings.extract_bucket_owner, settings.execution_id)
        self.clean_bucket = Bucket(client, settings.load_bucket.name, settings.load_bucket.owner, settings.execution_id)
        # A mounted ConfigMap changes under a running pod; what is digested here is what is applied.
        self.scrub_directory = directory / "scrub"
        self.scrub_directory.mkdir()
        for path in scrub_files(settings.scrub_directory):
            shutil.copyfile(path, self.scrub_directory / path.name)
        self.rules_sha256 = rules_digest(self.scrub_directory)

    def run(self) -> None:
        """Do the whole, manifest last."""
        settings, log = self.settings, logger()
        log.info("started", stage="transform", prefix=str(settings.prefix))
        dump = RawDump.open(self.raw_bucket, settings.prefix, settings.manifest_version_id)
        if self._already_done(dump):
            log.info("finished", already_done=True, bytes=0, rows=0, tables=0, seconds=self._seconds())
            return
        rules = read_rules(self.scrub_directory)
        tables = classify(dump.toc, rules)
        key = scrub_key(settings.salt_secret_id, settings.region)
        dropped = dropped_descriptions(dump.toc, rules)
        plan, release, toc = self._clean(dump, tables, key, dropped)
        publication = Publication(dump, self.clean_bucket, settings.prefix, dropped, toc)
        released = release.tables if release else ()
        self._progress(
            "publishing",
            bytes_total=publication.bytes,
            tables_done=len(released),
            tables_total=len(plan.steps),
        )
        manifest = self._manifest(dump, plan, publication.publish(released, self.directory), release)
        self._write_manifest(dump, manifest)
        log.info("finished", bytes=manifest.bytes, rows=manifest.rows, tables=len(tables), seconds=self._seconds())

    def _seconds(self) -> float:
        return round(time.monotonic() - self._started, 3)

    def _already_done(self, dump: RawDump) -> bool:
        """Whether a clean dump of this raw one by these rules is there.

        Raises:
            Fault: REFUSED when one is there that was made from another dump or by other rules.
        """
        found = self.clean_bucket.read(self.settings.prefix.manifest_key)
        if found is None:
            return False
        cleaning = read_manifest(found[0], self.settings.prefix, "clean").cleaning
        assert cleaning is not None  # noqa: S101 - a clean manifest has one
        if (cleaning.raw_manifest_sha256, cleaning.rules_sha256) != (dump.manifest_sha256, self.rules_sha256):
            raise Fault(
                ExitCode.REFUSED,
                f"{self.settings.prefix} is released already, from another dump or by other rules; extract anew",
            )
        return True

    def _clean(
        self, dump: RawDump, tables: tuple[ClassifiedTable, ...], key: str, dropped: frozenset[str]
    ) -> tuple[Plan, Release | None, bytes]:
        """The plan, what is released of the tables that are written anew, and the table of contents to release."""
        directory, scripts = self.directory, script_files(self.scrub_directory)
        plan = make_plan(tables, scripts=[script.name for script in scripts])
        self._tell(plan)
        cleaned = directory / "clean"
        cleaned.mkdir()
        total = len(tables)
        if not scripts and not plan.rewritten:
            return plan, None, dump.toc.changed(dropped, {})
        self._progress("starting the scratch server", tables_total=total)
        with lost_connections(), Scratch(directory, dump.toc.encoding, self.settings.scratch_template) as scratch:
            restore = ScratchRestore(
                scratch,
                dump,
                directory / "archive",
                self.settings.jobs,
                lambda done: self._progress("restoring", bytes_done=done, tables_total=total),
            )
            everything = scripts or self.settings.proof_scope == "everything"
            restore.definitions(None if everything else _needed(dump, plan))
            with scratch.connect() as connection:
                prepare(connection, key)
            loaded: frozenset[tuple[str, str]] = frozenset()
            moved: dict[int, str] = {}
            if scripts:
                self._progress("loading what the scripts reach, and running them", tables_total=total)
                outcome = run_on_reached_tables(scratch, dump, tables, scripts, restore, directory, self._variables())
                loaded, moved = outcome.loaded, definitions(dump.toc, outcome.changes.sequences)
                plan = plan.after_scripts(outcome.changes.tables, loaded)
                self._tell(plan)
            release = TableRelease(
                scratch,
                dump,
                cleaned,
                loaded,
                key,
                self.settings.jobs,
                lambda step, done, size: self._progress(step, bytes_done=done, bytes_total=size, tables_total=total),
            )
            toc = dump.toc.changed(dropped, moved)
            objects = None if self.settings.proof_scope == "changed" else large_objects(dump.manifest, dropped)
            return plan, release.release(tables, plan.rewritten, read_toc(toc), objects), toc

    def _variables(self) -> ScriptVariables:
        settings = self.settings
        return ScriptVariables.read(
            settings.scrub_variables, settings.scrub_secret_ids, lambda secret_id: _secret(secret_id, settings.region)
        )

    def _tell(self, plan: Plan) -> None:
        logger().info("plan", tables=[step.document() for step in plan.steps])

    def _manifest(self, dump: RawDump, plan: Plan, written: list[ArchiveFile], release: Release | None) -> Manifest:
        raw = dump.manifest
        rows = {r.table.name: (r.rows_before, r.facts.rows) for r in release.tables} if release else {}
        proof = proof_document(release.proofs, release.unproved) if release else proof_document((), ())
        return Manifest(
            **{
                name: getattr(raw, name)
                for name in Manifest.__dataclass_fields__
                if name not in ("stage", "files", "cleaning")
            },
            stage="clean",
            files=tuple(written),
            cleaning=Cleaning(
                raw_manifest_sha256=dump.manifest_sha256,
                rules_sha256=self.rules_sha256,
                image=self.settings.image,
                plan=[step.document(rows.get(step.table.name)) for step in plan.steps],
                proof={"scope": self.settings.proof_scope, **proof},
                started_at=self.started_at,
                finished_at=_now(),
            ),
        )

    def _write_manifest(self, dump: RawDump, manifest: Manifest) -> None:
        """Release the dump; another pod of this Job may have done so a moment before, which is as good.

        Raises:
            Fault: REFUSED when that is of another dump or by other rules; TRANSIENT when there is none after all.
        """
        prefix = self.settings.prefix
        if self.clean_bucket.write_manifest(prefix.manifest_key, manifest.text()) is None:
            if not self._already_done(dump):
                raise Fault(
                    ExitCode.TRANSIENT, f"the manifest of {prefix} was not taken, and there is none; run it again"
                )
            logger().info("released_by_another_pod")


def _needed(dump: RawDump, plan: Plan) -> set[Name]:
    """The tables that the scratch has to know when no script runs."""
    rewritten = {(table.entry.schema, table.entry.tag) for table in plan.rewritten}
    return tables_with_keys(Keys(dump.toc), rewritten)


def transform(environ: Mapping[str, str]) -> None:
    """Read the settings and run; the scratch directory is wiped on every way out."""
    settings = TransformSettings.from_env(environ)
    return_large_blocks()
    with PrivateDirectory(prefix="t-", dir=settings.mount_point) as directory:
        # The scratch server may run as another user, who must be able to reach its own directory.
        Path(directory).chmod(0o711)
        Transform(settings, Path(directory)).run()


if __name__ == "__main__":
    sys.exit(run(TRANSFORM_CONTAINER, transform))
