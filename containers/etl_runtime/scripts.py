"""The owner's own cleaning scripts: run by psql as an ordinary role, in one transaction; then, what they changed."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import psycopg

from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.postgres import clean_environment, psql_arguments, run_tool, tool, tool_fault
from etl_runtime.postgres_errors import statement_error
from etl_runtime.scratch import ADMINISTRATOR, SCRUBBER, Scratch, scratch_fault
from etl_runtime.script_variables import ScriptVariables
from etl_runtime.sequences import Name, Position, positions

_OURS = "postgres_etl_scripts"
_FURTHER = "ETL01"
"""SQLSTATE of our own: a script touched a table whose rows are not there."""
_BEFORE = f"""
DROP SCHEMA IF EXISTS {_OURS} CASCADE;
CREATE SCHEMA {_OURS};
CREATE UNLOGGED TABLE {_OURS}.began (xid pg_catalog.xid8);
CREATE UNLOGGED TABLE {_OURS}.files AS SELECT oid AS relation, relfilenode FROM pg_catalog.pg_class WHERE relkind = 'r';
CREATE UNLOGGED TABLE {_OURS}.absent (relation pg_catalog.oid);
CREATE UNLOGGED TABLE {_OURS}.changed (relation pg_catalog.oid);
GRANT USAGE ON SCHEMA {_OURS} TO {SCRUBBER};
GRANT SELECT ON {_OURS}.files, {_OURS}.absent TO {SCRUBBER};
GRANT SELECT, INSERT ON {_OURS}.began, {_OURS}.changed TO {SCRUBBER};
"""
_ABSENT = f"""
INSERT INTO {_OURS}.absent
SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND n.nspname <> '{_OURS}'
  AND NOT EXISTS (SELECT FROM unnest(%s::text[], %s::text[]) AS k (s, t) WHERE k.s = n.nspname AND k.t = c.relname)
UNION ALL
SELECT 'pg_catalog.pg_largeobject'::pg_catalog.regclass
"""
_FIRST = f"INSERT INTO {_OURS}.began SELECT pg_catalog.pg_current_xact_id();\n"
# A script that commits half way would hide from the counters what it changed before; so it stops the run.
# What a transaction touched, it holds a lock on; only a lock taken in a subtransaction that failed is given back, and
# its scans are counted all the same.
_LAST = rf"""
\set ON_ERROR_STOP on
\o
DO $check$
BEGIN
  IF (SELECT pg_catalog.count(*) FROM {_OURS}.began) <> 1
     OR NOT EXISTS (SELECT FROM {_OURS}.began WHERE xid = pg_catalog.pg_current_xact_id()) THEN
    RAISE SQLSTATE '2D000';
  END IF;
  IF EXISTS (
      SELECT FROM {_OURS}.absent AS a
      WHERE EXISTS (SELECT FROM pg_catalog.pg_locks AS l
                    WHERE l.pid = pg_catalog.pg_backend_pid() AND l.relation = a.relation)
         OR EXISTS (SELECT FROM pg_catalog.pg_stat_xact_all_tables AS s WHERE s.relid = a.relation
                    AND s.seq_scan + coalesce(s.idx_scan, 0) + s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0)) THEN
    RAISE SQLSTATE '{_FURTHER}';
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
_LARGE_OBJECTS = """
SELECT pg_catalog.concat_ws(' ', pg_catalog.count(*), pg_catalog.max(xmin::text::bigint)) FROM pg_catalog.pg_largeobject
"""


@dataclass(frozen=True, slots=True)
class _State:
    """What can change beside rows: definitions as pg_dump writes them, sequences, large objects."""

    definitions: tuple[str, ...]
    sequences: Mapping[Name, Position]
    large_objects: str


@dataclass(frozen=True, slots=True)
class ScriptChanges:
    """What scripts changed: tables by schema and name, and the sequences that stand elsewhere now."""

    tables: frozenset[Name]
    sequences: Mapping[Name, Position]


class OutOfReachError(Exception):
    """The scripts touched a table whose rows are not in the scratch; what they did is undone."""


def script_files(directory: Path) -> list[Path]:
    """The scripts of a scrub directory, in name order."""
    return sorted(directory.glob("*.sql"))


def _state(scratch: Scratch) -> _State:
    environment = scratch.tool_environment(ADMINISTRATOR)
    dumped = subprocess.run(
        [tool("pg_dump"), "--schema-only", f"--exclude-schema={_OURS}"],
        env=clean_environment(environment),
        capture_output=True,
        # Names are in the database's own encoding; that they stay the same is all that is asked of them.
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    if dumped.returncode == -signal.SIGKILL:
        raise tool_fault("pg_dump", dumped.returncode, "")
    if dumped.returncode != 0:
        raise Fault(ExitCode.UNAVAILABLE, "the scratch database's definitions cannot be read, so nothing can be proved")
    # The key on these lines is a new random one each time.
    lines = tuple(line for line in dumped.stdout.splitlines() if not re.match(r"\\(?:un)?restrict ", line))
    with scratch.connect(ADMINISTRATOR) as connection:
        large_objects = connection.execute(_LARGE_OBJECTS).fetchone()
        return _State(lines, positions(connection), str(large_objects))


def run_scripts(
    scratch: Scratch,
    scripts: Sequence[Path],
    directory: Path,
    known: Collection[tuple[str, str]] | None,
    variables: ScriptVariables,
) -> ScriptChanges:
    """Run the scripts and say what they changed, by themselves, by cascades or by triggers.

    Args:
        scratch: A server with the definitions of all tables, and the rows of those that the scripts may touch.
        scripts: In the order to run.
        directory: An existing directory for files of ours.
        known: Schema and name of the tables whose rows are there; None when all are.
        variables: What scripts use as `:name`.

    Returns:
        Each table of which a row was inserted, updated or deleted, or that was truncated; and sequences.

    Raises:
        OutOfReachError: they touched a table that is not known, or failed as they might for want of its rows.
        Fault: DATA with file and line when a statement fails, or when a script changed what cannot be carried over:
            definitions or large objects; nothing of the scripts remains then but in the scratch.
    """
    with scratch.connect(ADMINISTRATOR) as connection:
        connection.execute(_BEFORE)
        if known is not None:
            connection.execute(_ABSENT, [[schema for schema, _ in known], [table for _, table in known]])
    before = _state(scratch)
    first, last = directory / "first.sql", directory / "last.sql"
    first.write_text(_FIRST + variables.script)
    last.write_text(_LAST)
    # Scripts are UTF-8, whatever the database is; psql would take them to be as the database is.
    environment = scratch.tool_environment() | {"PGCLIENTENCODING": "UTF8"} | variables.environment
    status, errors = run_tool(psql_arguments([first, *scripts, last]), environment)
    if status != 0:
        if stopped := _not_by_a_script(status, errors):
            raise stopped
        if known is not None and _may_want_rows(errors):
            raise OutOfReachError
        raise Fault(ExitCode.DATA, f"scrub script stopped: {variables.hidden(script_error(errors, scripts))}")
    after = _state(scratch)
    beside = ["large objects"] if before.large_objects != after.large_objects else []
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
    moved = {name: position for name, position in after.sequences.items() if before.sequences.get(name) != position}
    return ScriptChanges(frozenset((schema, table) for schema, table in rows), moved)


_ERROR = re.compile(
    r"^psql:(?P<file>.+?):(?P<line>\d+): (?:ERROR|FATAL|error):\s+(?:(?P<state>[0-9A-Z]{5}): )?(?P<text>.*)$"
)
_GONE = re.compile(
    r"^psql:.+?:\d+: (?:\w+:\s+)?(?:57P0\d: |connection to server was lost|server closed the connection)", re.M
)
_FULL = re.compile(r"^psql:.+?:\d+: ERROR:\s+53100: ", re.M)
_PLACE = re.compile(r"^(SCHEMA|TABLE|COLUMN|CONSTRAINT) NAME:\s+(.+)$")
_ROWS_AS_STATEMENTS = re.compile(r"\\g(?:exec|set)")


def _not_by_a_script(status: int, errors: str) -> Fault | None:
    """The fault where it was the server or its disk that stopped the scripts, or something killed psql."""
    if status == -signal.SIGKILL:
        return tool_fault("psql", status, "")
    if _FULL.search(errors):
        return Fault(ExitCode.NO_SPACE, "no space: a scrub script filled the scratch disk; give it a larger one")
    if _GONE.search(errors):
        return Fault(ExitCode.TRANSIENT, "the scratch server went away under a scrub script: check the pod's memory")
    return None


def _may_want_rows(errors: str) -> bool:
    """Whether the first error is ours for a table out of reach, or one that other rows could have brought about.

    A wrong statement (class 42), a transaction that was ended and psql's own errors do not depend on rows.
    """
    for match in filter(None, map(_ERROR.match, errors.splitlines())):
        return bool(match["state"]) and match["state"][:2] not in ("42", "2D", "25")
    return False


def script_error(errors: str, scripts: Sequence[Path]) -> str:
    """File, line and reason of psql's first error; the message itself only where it cannot quote a row."""
    names = {str(path): path for path in scripts}
    lines = errors.splitlines()
    for number, line in enumerate(lines):
        match = _ERROR.match(line)
        if match is None:
            continue
        state = match["state"] or ""
        if state == "2D000" and match["file"] not in names:
            return "a script ends the transaction (COMMIT or ROLLBACK); all scripts run in one"
        path = names.get(match["file"], Path(match["file"]))
        text, place = match["text"], int(match["line"])
        reason = _reason(state, text, lines[number + 1 :], path) if state else _own_reason(text, path, place)
        return f"{path.name}:{place}: {reason}"
    return "psql gave no place; its text is not shown as it may quote a row"


def _own_reason(text: str, script: Path, line: int) -> str:
    """What to say of psql's own error: what it names may be a row's, in a variable, unless the line itself says it."""
    lines = script.read_text(errors="replace").splitlines()[line - 1 : line] if script.exists() else []
    said = [told for told in lines if ":" not in told]
    if missing := re.fullmatch(r"(.+): No such file or directory", text):
        name = missing[1].removeprefix(f"{script.parent}/")
        if any(name in told for told in said):
            return f"there is no file {name}: a script has the other *.sql files beside it, by \\ir, and no more"
    if (unknown := re.fullmatch(r"invalid command (\\\S+)", text)) and any(unknown[1] in told for told in said):
        return text
    return "psql cannot run it"


def _reason(state: str, text: str, lines: Sequence[str], script: Path) -> str:
    """What to say of an error, of which psql says these lines after the first."""
    block = list(takewhile(lambda line: not line.startswith("psql:"), lines))
    said = script.read_text(errors="replace") if script.exists() else ""
    named = re.findall(r'"([^"]+)"', text)
    of_script = bool(named) and all(name in said for name in named)
    positioned = any(re.match(r"LINE \d+: ", line) for line in block) and not _ROWS_AS_STATEMENTS.search(said)
    shown = statement_error(
        state,
        text,
        positioned=positioned or of_script,
        nested=any(line.startswith(("CONTEXT: ", "QUERY: ")) for line in block),
        raised=any(line.startswith("LOCATION:  exec_stmt_raise") for line in block),
    )
    places = [match[2] for match in map(_PLACE.match, block) if match]
    return f"{shown} at {'.'.join(places)}" if places and shown != text else shown
