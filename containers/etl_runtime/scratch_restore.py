"""Restores a raw dump into the scratch database: definitions alone, or all that scripts may need."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from etl_runtime.classification import NEVER_RELEASED, ClassifiedTable
from etl_runtime.manifest import ArchiveFile
from etl_runtime.postgres import run_tool, tool, tool_fault
from etl_runtime.raw_dump import RawDump
from etl_runtime.scratch import Scratch
from etl_runtime.toc import TOC_NAME

_NEVER = NEVER_RELEASED | {"EVENT TRIGGER", "MATERIALIZED VIEW DATA", "COMMENT", "PUBLICATION", "SUBSCRIPTION"}
"""Not restored: only a superuser may make an event trigger; the others change no row of a table."""


def _restore(scratch: Scratch, directory: Path, listing: Collection[int], jobs: int, *sections: str) -> None:
    listed = directory.with_name("restore.list")
    listed.write_text("".join(f"{dump_id};\n" for dump_id in listing))
    argv = [
        tool("pg_restore"),
        f"--dbname={scratch.tool_environment()['PGDATABASE']}",
        "--exit-on-error",
        "--no-owner",
        "--no-privileges",
        "--no-security-labels",
        f"--jobs={jobs}",
        f"--use-list={listed}",
        *(f"--section={section}" for section in sections),
        str(directory),
    ]
    status, errors = run_tool(argv, scratch.tool_environment())
    if status != 0:
        raise tool_fault("pg_restore into the scratch database", status, errors)


def restore_definitions(scratch: Scratch, dump: RawDump, directory: Path) -> None:
    """Types, functions and tables, no rows, no indexes: what expressions need.

    Args:
        scratch: The server.
        dump: The raw dump.
        directory: A new directory's path, for toc.dat.

    Raises:
        Fault: pg_restore's failure.
    """
    directory.mkdir()
    (directory / TOC_NAME).write_bytes(dump.toc_bytes)
    listing = [entry.dump_id for entry in dump.toc.entries if entry.description not in _NEVER]
    _restore(scratch, directory, listing, 1, "pre-data")


def restore_everything(
    scratch: Scratch,
    dump: RawDump,
    tables: Collection[ClassifiedTable],
    directory: Path,
    jobs: int,
    progress: Callable[[int], None],
) -> None:
    """Rows, indexes, constraints and triggers as in production, less the tables that the rules skip.

    Args:
        scratch: The server.
        dump: The raw dump.
        tables: All classified tables of the dump.
        directory: A new directory's path, for the archive's files.
        jobs: Parallel downloads, and parallel jobs of pg_restore.
        progress: Told the bytes downloaded so far.

    Raises:
        Fault: a file is not what its manifest says, or pg_restore's failure.
    """
    directory.mkdir()
    skipped = {table.entry.dump_id for table in tables if table.rule.mode == "skip"}
    entries = [e for e in dump.toc.entries if e.description not in _NEVER and e.dump_id not in skipped]
    skipped_files = {dump.file_of(table.entry).name for table in tables if table.rule.mode == "skip"}
    (directory / TOC_NAME).write_bytes(dump.toc_bytes)
    files = [file for file in dump.manifest.files if file.name != TOC_NAME and file.name not in skipped_files]

    def fetch(file: ArchiveFile) -> int:
        dump.download(file, directory)
        return file.bytes

    done = 0
    with ThreadPoolExecutor(jobs, thread_name_prefix="download") as pool:
        largest_first = sorted(files, key=lambda file: -file.bytes)
        for size in pool.map(fetch, largest_first):
            done += size
            progress(done)
    _restore(scratch, directory, [entry.dump_id for entry in entries], jobs)
