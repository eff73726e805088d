"""Restores a raw dump into the scratch database: definitions first, then the rows of the tables that are needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from psycopg import sql

from etl_runtime.classification import NEVER_RELEASED
from etl_runtime.contract import ExitCode
from etl_runtime.data_file import stem
from etl_runtime.faults import Fault
from etl_runtime.manifest import ArchiveFile
from etl_runtime.postgres import is_lost, run_tool, tool, tool_fault
from etl_runtime.postgres_errors import error_text
from etl_runtime.program import logger
from etl_runtime.raw_dump import RawDump
from etl_runtime.scratch import ADMINISTRATOR, SCRUBBER, Scratch
from etl_runtime.scratch_definitions import definitions_for
from etl_runtime.table_keys import Name
from etl_runtime.toc import TOC_NAME, TocEntry, identifiers

_NEVER = NEVER_RELEASED | {
    "EVENT TRIGGER",
    "MATERIALIZED VIEW DATA",
    "COMMENT",
    "PUBLICATION",
    "SUBSCRIPTION",
    "POLICY",
    "ROW SECURITY",
}
"""Not restored: only a superuser may make an event trigger; policies are for roles that are not here, and would hide
rows from the scripts; the others change no row of a table."""
_EXTENSION = re.compile(r"CREATE EXTENSION IF NOT EXISTS (.+?)(?: WITH SCHEMA (.+?))?;\n*")


class ScratchRestore:
    """Fills the scratch database, in as many goes as it takes; no file is fetched and no entry restored twice.

    Args:
        scratch: The server.
        dump: The raw dump.
        directory: A new directory's path, for the archive's files.
        jobs: Parallel downloads, and parallel jobs of pg_restore.
        progress: Told the bytes downloaded so far.
    """

    def __init__(
        self, scratch: Scratch, dump: RawDump, directory: Path, jobs: int, progress: Callable[[int], None]
    ) -> None:
        self._scratch = scratch
        self._dump = dump
        self._directory = directory
        self._jobs = jobs
        self._progress = progress
        self._restored: set[int] = set()
        self._fetched: dict[str, int] = {}

    def definitions(self, tables: Collection[Name] | None) -> None:
        """Types, functions and tables; no rows, no indexes: what expressions need.

        Args:
            tables: Those that are needed; None for all.

        Raises:
            Fault: pg_restore's failure.
        """
        self._directory.mkdir()
        (self._directory / TOC_NAME).write_bytes(self._dump.toc_bytes)
        made = self._extensions()
        wanted = definitions_for(self._dump.toc, tables)
        entries = [e for e in wanted if e.description not in _NEVER and e.dump_id not in made]
        self._restore(entries, 1, "--section=pre-data")

    def _extensions(self) -> set[int]:
        """Make the extensions, and give the dump ids of what needs no restoring any more.

        Most may be made by a superuser alone. That is no danger while nothing of the dump is here yet: what runs is
        the image's own. One that the image lacks is left out; where something needs it, restoring that says so.

        Raises:
            Fault: CONFIG when one of them cannot be made.
        """
        wanted = [
            (entry, match)
            for entry in self._dump.toc.entries
            if entry.description == "EXTENSION" and (match := _EXTENSION.fullmatch(entry.definition))
        ]
        made = {entry.dump_id for entry, _ in wanted}
        with self._scratch.connect(ADMINISTRATOR) as connection:
            available = {name for (name,) in connection.execute("SELECT name FROM pg_catalog.pg_available_extensions")}
            for entry, match in wanted:
                (name,), schema = identifiers(match[1]), identifiers(match[2] or "public")[0]
                if name not in available:
                    logger().info("extension_left_out", extension=name)
                    continue
                own = {e.dump_id for e in self._dump.toc.entries if (e.description, e.tag) == ("SCHEMA", schema)}
                made |= own
                place, owner = sql.Identifier(schema), sql.Identifier(SCRUBBER)
                try:
                    if own:
                        connection.execute(
                            sql.SQL("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}").format(place, owner)
                        )
                    statement = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA {}")
                    connection.execute(statement.format(sql.Identifier(name), place))
                except psycopg.Error as error:
                    if is_lost(error) or isinstance(error, psycopg.errors.DiskFull):
                        raise
                    raise Fault(ExitCode.CONFIG, f"extension {entry.tag} cannot be made: {error_text(error)}") from None
        return made

    def rows(self, entries: Collection[TocEntry]) -> None:
        """Rows, indexes, constraints and triggers; and where sequences stand.

        Args:
            entries: Which; those that were restored before are left out.

        Raises:
            Fault: a file is not what its manifest says, or pg_restore's failure.
        """
        possible = {entry.dump_id for entry in definitions_for(self._dump.toc, None)}
        new = [
            entry for entry in entries if entry.dump_id in possible - self._restored and entry.description not in _NEVER
        ]
        self._fetch(new)
        sequences = [entry for entry in self._dump.toc.entries if entry.description == "SEQUENCE SET"]
        self._restore([*new, *sequences], self._jobs, "--section=data", "--section=post-data")
        self._restored |= {entry.dump_id for entry in new}

    def _fetch(self, entries: Collection[TocEntry]) -> None:
        wanted = {entry.filename for entry in entries if entry.filename}
        has_large_objects = any(entry.description in ("BLOB", "BLOBS") for entry in entries)
        files = [
            file
            for file in self._dump.manifest.files
            if file.name not in self._fetched
            and (stem(file.name) in wanted or (has_large_objects and file.name.startswith("blob_")))
        ]

        def fetch(file: ArchiveFile) -> ArchiveFile:
            self._dump.download(file, self._directory)
            return file

        with ThreadPoolExecutor(self._jobs, thread_name_prefix="download") as pool:
            for file in pool.map(fetch, sorted(files, key=lambda file: -file.bytes)):
                self._fetched[file.name] = file.bytes
                self._progress(sum(self._fetched.values()))

    def _restore(self, entries: Collection[TocEntry], jobs: int, *sections: str) -> None:
        listed = self._directory.with_name("restore.list")
        listed.write_text("".join(f"{entry.dump_id};\n" for entry in entries))
        argv = [
            tool("pg_restore"),
            f"--dbname={self._scratch.tool_environment()['PGDATABASE']}",
            "--exit-on-error",
            "--no-owner",
            "--no-privileges",
            "--no-security-labels",
            f"--jobs={jobs}",
            f"--use-list={listed}",
            *sections,
            str(self._directory),
        ]
        status, errors = run_tool(argv, self._scratch.tool_environment())
        if status != 0:
            raise tool_fault("pg_restore into the scratch database", status, errors)
