"""Runs the scrub scripts on the tables that they reach: loads a guess, and all the rest where the guess was short."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from etl_runtime.classification import ClassifiedTable
from etl_runtime.program import logger
from etl_runtime.raw_dump import RawDump
from etl_runtime.reach import Reach
from etl_runtime.scratch import Scratch
from etl_runtime.scratch_restore import ScratchRestore
from etl_runtime.script_variables import ScriptVariables
from etl_runtime.scripts import OutOfReachError, ScriptChanges, run_scripts
from etl_runtime.toc import TocEntry, relation


@dataclass(frozen=True, slots=True)
class ScriptOutcome:
    """What the scripts changed, and schema and name of the tables whose rows the scratch holds."""

    changes: ScriptChanges
    loaded: frozenset[tuple[str, str]]


def run_on_reached_tables(
    scratch: Scratch,
    dump: RawDump,
    tables: Collection[ClassifiedTable],
    scripts: Sequence[Path],
    restore: ScratchRestore,
    directory: Path,
    variables: ScriptVariables,
) -> ScriptOutcome:
    """Load what the scripts reach and run them.

    Args:
        scratch: Holds the dump's definitions and no rows.
        dump: The raw dump.
        tables: All classified tables of the dump.
        scripts: In the order to run.
        restore: Puts rows into the scratch.
        directory: An existing directory for files of ours.
        variables: What scripts use as `:name`.

    Raises:
        Fault: a script failed, or changed what cannot be carried over.
    """
    skipped = {table.entry.dump_id for table in tables if table.rule.mode == "skip"}
    empty = {(t.entry.schema, t.entry.tag) for t in tables if dump.file_of(t.entry).rows == 0}
    reach = Reach(dump.toc)

    def wanted(entry: TocEntry) -> bool:
        return entry.dump_id not in skipped

    reached = reach.guess(script.read_text(encoding="utf-8", errors="replace") for script in scripts)
    if reached != reach.everything:
        logger().info("reach", tables=[relation(*name) for name in reach.names(reached)])
        restore.rows(reach.entries(reached, wanted))
        known = {*reach.names(reached), *empty}
        try:
            return ScriptOutcome(
                run_scripts(scratch, scripts, directory, known, variables), frozenset(reach.names(reached))
            )
        except OutOfReachError:
            logger().info("reached_further", advice="all tables are loaded and the scripts run again")
    restore.rows([entry for entry in dump.toc.entries if wanted(entry)])
    everything = frozenset(reach.names(reach.everything))
    return ScriptOutcome(run_scripts(scratch, scripts, directory, None, variables), everything)
