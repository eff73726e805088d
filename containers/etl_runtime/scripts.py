"""The owner's own cleaning scripts: run by psql as an ordinary role, in one transaction; then, what they changed."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.postgres import clean_environment, end, tool
from etl_runtime.postgres_errors import condition_text
from etl_runtime.scratch import ADMINISTRATOR, SCRUBBER, Scratch, scratch_fault

_OURS = "postgres_etl_scripts"
_BEFORE = f"""
CREATE SCHEMA {_OURS};
CREATE UNLOGGED TABLE {_OURS}.began (xid pg_catalog.xid8);
CREATE UNLOGGED TABLE {_OURS}.files AS SELECT oid AS relation, relfilenode FROM pg_catalog.pg_class WHERE relkind = 'r';
CREATE UNLOGGED TABLE {_OURS}.changed (relation pg_catalog.oid);
GRANT USAGE ON SCHEMA {_OURS} TO {SCRUBBER};
GRANT SELECT ON {_OURS}.files TO {SCRUBBER};
GRANT SELECT, INSERT ON {_OURS}.began, {_OURS}.changed TO {SCRUBBER};
"""
_FIRST = f"INSERT INTO {_OURS}.began SELECT pg_catalog.pg_current_xact_id();\n"
# A script that commits half way would hide from the counters what it changed before; so it stops the run.
_LAST = rf"""
\set ON_ERROR_STOP on
\o
DO $check$
BEGIN
  IF (SELECT pg_catalog.count(*) FROM {_OURS}.began) <> 1
     OR NOT EXISTS (SELECT FROM {_OURS}.began WHERE xid = pg_catalog.pg_current_xact_id()) THEN
    RAISE SQLSTATE '2D000';
  END IF;
END
$check$;
INSERT INTO {_OURS}.changed
SELECT c.oid
FROM pg_catalog.pg_class AS c
LEFT JOIN {_OURS}.files AS f ON f.relation = c.oid
LEFT JOIN pg_catalog.pg_stat_xact_user_tables AS s ON s.relid = c.oid
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND c.relnamespace <> '{_OURS}'::pg_catalog.regnamespace
  AND (f.relfilenode IS DISTINCT FROM c.relfilenode OR s.n_tup_ins > 0 OR s.n_tup_upd > 0 OR s.n_tup_del > 0);
"""
_BESIDE_ROWS = """
SELECT 'sequence ' || pg_catalog.format('%I.%I', schemaname, sequencename),
       pg_catalog.concat_ws(' ', last_value, increment_by, min_value, max_value) FROM pg_catalog.pg_sequences
UNION ALL
SELECT 'large objects', pg_catalog.concat_ws(' ', pg_catalog.count(*), pg_catalog.max(xmin::text::bigint))
FROM pg_catalog.pg_largeobject
"""


@dataclass(frozen=True, slots=True)
class _State:
    """What can change beside rows: definitions as pg_dump writes them, sequences, large objects."""

    definitions: tuple[str, ...]
    others: Mapping[str, str]


def script_files(directory: Path) -> list[Path]:
    """The scripts of a scrub directory, in name order."""
    return sorted(directory.glob("*.sql"))


def _state(scratch: Scratch) -> _State:
    environment = scratch.tool_environment(ADMINISTRATOR)
    dumped = subprocess.run(
        [tool("pg_dump"), "--schema-only", f"--exclude-schema={_OURS}"],
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if dumped.returncode != 0:
        raise Fault(ExitCode.UNAVAILABLE, "the scratch database's definitions cannot be read, so nothing can be proved")
    # The key on these lines is a new random one each time.
    lines = tuple(line for line in dumped.stdout.splitlines() if not re.match(r"\\(?:un)?restrict ", line))
    with scratch.connect(ADMINISTRATOR) as connection:
        return _State(lines, dict(connection.execute(_BESIDE_ROWS).fetchall()))


def run_scripts(
    scratch: Scratch, scripts: Sequence[Path], directory: Path, environment: Mapping[str, str]
) -> frozenset[tuple[str, str]]:
    """Run the scripts and say which tables they changed, by themselves, by cascades or by triggers.

    Args:
        scratch: A server into which everything has been restored.
        scripts: In the order to run.
        directory: A private directory for files of ours.
        environment: More variables for psql, such as PGOPTIONS.

    Returns:
        Schema and name of each table of which a row was inserted, updated or deleted, or that was truncated.

    Raises:
        Fault: DATA with file and line when a statement fails, or when a script changed what cannot be carried over:
            definitions, sequences, large objects; nothing of the scripts remains then but in the scratch.
    """
    with scratch.connect(ADMINISTRATOR) as connection:
        connection.execute(_BEFORE)
    before = _state(scratch)
    (directory / "first").write_text(_FIRST)
    (directory / "last").write_text(_LAST)
    files = [directory / "first", *scripts, directory / "last"]
    status, errors = _psql(scratch, files, environment)
    if status != 0:
        raise Fault(ExitCode.DATA, f"scrub script stopped: {script_error(errors, scripts)}")
    after = _state(scratch)
    beside = sorted({key for key, _ in before.others.items() ^ after.others.items()})
    if before.definitions != after.definitions:
        beside.append("definitions (DDL)")
    if beside:
        raise Fault(
            ExitCode.DATA, f"scrub scripts changed more than rows, which is not carried over: {', '.join(beside)}"
        )
    with scratch.connect(ADMINISTRATOR) as connection:
        rows = connection.execute(
            f"SELECT n.nspname, c.relname FROM {_OURS}.changed AS t JOIN pg_class AS c ON c.oid = t.relation"
            " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        ).fetchall()
        try:
            connection.execute(f"DROP SCHEMA {_OURS} CASCADE")
        except psycopg.Error as error:
            raise scratch_fault("scratch database", error) from None
    return frozenset((schema, table) for schema, table in rows)


def _psql(scratch: Scratch, files: Sequence[Path], environment: Mapping[str, str]) -> tuple[int, str]:
    argv = [
        tool("psql"),
        "--no-psqlrc",
        "--quiet",
        "--single-transaction",
        "--set=ON_ERROR_STOP=1",
        "--set=VERBOSITY=verbose",
        *(f"--file={path}" for path in files),
    ]
    child = subprocess.Popen(
        argv,
        env=clean_environment(scratch.tool_environment() | dict(environment)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    try:
        _, errors = child.communicate()
    except BaseException:
        end(child)
        raise
    return child.returncode, errors


_ERROR = re.compile(
    r"^psql:(?P<file>.+?):(?P<line>\d+): (?:ERROR|FATAL|error):\s+(?:(?P<state>[0-9A-Z]{5}): )?(?P<text>.*)$"
)
_PLACE = re.compile(r"^(SCHEMA|TABLE|COLUMN|CONSTRAINT) NAME:\s+(.+)$")
_SHOWN_CLASSES = ("42", "3D", "3F", "0A", "53", "55", "57")
"""Classes of SQLSTATE whose messages name objects or quote the script, never a row."""


def script_error(errors: str, scripts: Sequence[Path]) -> str:
    """File, line and reason of psql's first error; the message itself only where it cannot quote a row."""
    names = {str(path): path.name for path in scripts}
    lines = errors.splitlines()
    for number, line in enumerate(lines):
        match = _ERROR.match(line)
        if match is None:
            continue
        state = match["state"] or ""
        if state == "2D000" and match["file"] not in names:
            return "a script ends the transaction (COMMIT or ROLLBACK); all scripts run in one"
        places = [m[2] for m in map(_PLACE.match, lines[number + 1 : number + 12]) if m]
        if state[:2] in _SHOWN_CLASSES:
            reason = match["text"]
        elif state:
            reason = condition_text(state) + (f" at {'.'.join(places)}" if places else "")
        else:
            reason = "psql cannot run it"
        return f"{names.get(match['file'], os.path.basename(match['file']))}:{match['line']}: {reason}"  # noqa: PTH119 - psql's text
    return "psql gave no place; its text is not shown as it may quote a row"
