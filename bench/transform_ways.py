"""The ways of cleaning a whole dump that the transform is measured against: restore all of it, change it, dump it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import psycopg
from etl_runtime import scratch as scratch_module
from etl_runtime import scrub_functions
from etl_runtime.archive_upload import file_chunks
from etl_runtime.data_file import DataFileReader, stem
from etl_runtime.postgres import clean_environment, tool
from etl_runtime.rules import json_expression
from etl_runtime.rules_document import read_rules
from etl_runtime.scratch import DATABASE, SCRUBBER, Scratch
from etl_runtime.segments import segments
from etl_runtime.toc import quoted, read_toc
from etl_runtime.trusted_sql import trusted
from transform_database import PERSONAL
from transform_process import Deadline, FailedError, OverdueError, Usage, children_cpu

JOBS = 2
SALT = "a synthetic salt for measuring"
_STOCK = {"listen_addresses": "", "unix_socket_permissions": "0700"}
"""Of a server as it comes; no more than what keeps it private."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A raw dump on disk, the codec of its files as pg_dump names it, and the rules for it.

    `scratch_template`: the files of an empty server.
    """

    directory: Path
    codec: str
    rules: Path
    scratch_template: Path


def whole(
    archive: Archive,
    place: Path,
    output: Path,
    clean: Callable[[Scratch, Deadline], None],
    deadline: Deadline,
    *,
    tuned: bool,
) -> Usage:
    """Restore all, clean, dump all; each step's seconds, and the server's start.

    Args:
        archive: What is cleaned.
        place: An existing directory for the server.
        output: A new directory's path, for the clean dump.
        clean: Changes the rows.
        deadline: Of all of it.
        tuned: Whether the server has the settings of our own scratch server, or none.

    Raises:
        FailedError: a program failed, or e-mail addresses are left as they were.
        OverdueError: it took too long.
    """
    steps: dict[str, float] = {}
    before = children_cpu()

    def timed(step: str, work: Callable[[], object]) -> None:
        started = time.perf_counter()
        work()
        steps[step] = time.perf_counter() - started

    with patch.object(scratch_module, "_SETTINGS", scratch_module._SETTINGS if tuned else _STOCK):
        scratch = Scratch(place, "UTF8", archive.scratch_template)
        try:
            timed("starting the server", scratch.__enter__)
            environment = clean_environment(scratch.tool_environment())
            restore = [tool("pg_restore"), f"--dbname={DATABASE}", "--exit-on-error", "--no-owner", f"--jobs={JOBS}"]
            timed("restoring", lambda: deadline.run([*restore, str(archive.directory)], environment))
            timed("cleaning", lambda: clean(scratch, deadline))
            _check_cleaned(scratch)
            dump = [tool("pg_dump"), "--format=directory", f"--jobs={JOBS}", f"--compress={archive.codec}"]
            timed("dumping", lambda: deadline.run([*dump, f"--file={output}", DATABASE], environment))
        finally:
            scratch.close()
    return Usage(sum(steps.values()), steps, children_cpu() - before)


def _check_cleaned(scratch: Scratch) -> None:
    with scratch.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM public.people WHERE email LIKE 'person.%@example.com'"
        ).fetchone()
    if row is None or row[0]:
        raise FailedError("it left e-mail addresses as they were")


def update(archive: Archive) -> Callable[[Scratch, Deadline], None]:
    """One UPDATE a table, with the expressions and the functions of our own rules; two tables at a time."""
    rules = {rule.pattern: rule for rule in read_rules(archive.rules).tables}
    # As the transform makes it of the salt: so both give the same rows, which is checked.
    key = hashlib.sha256(b"postgres-etl scrub key\0" + SALT.encode()).hexdigest()
    statements = [
        f"UPDATE public.{name} SET "
        + ", ".join(
            f"{quoted(column)} = {rule.expression or json_expression(column, rule.paths, 'jsonb')}"
            for column, rule in rules[f"public.{name}"].columns.items()
            if rule.is_computed
        )
        for name in PERSONAL
    ]

    def clean(scratch: Scratch, deadline: Deadline) -> None:
        with scratch.connect() as connection:
            scrub_functions.install(connection, key)

        def run(statement: str) -> None:
            with scratch.connect() as connection:
                _limit(connection, deadline)
                try:
                    connection.execute(trusted(statement))
                except psycopg.errors.QueryCanceled:
                    raise OverdueError from None

        with ThreadPoolExecutor(JOBS) as pool:
            list(pool.map(run, statements))
        with scratch.connect() as connection:
            connection.execute("DROP SCHEMA scrub CASCADE")

    return clean


def _limit(connection: psycopg.Connection[tuple[object, ...]], deadline: Deadline) -> None:
    milliseconds = str(int(deadline.left() * 1000))
    connection.execute("SELECT set_config('statement_timeout', %s, false)", [milliseconds])


# The other tools, with what is nearest to our rules -----------------------------------------------------------------

_PYNONYMIZER: Mapping[str, Mapping[str, str]] = {
    "messages": {"from_address": "unique_email", "body": "paragraph"},
    "people": {
        "email": "unique_email",
        "name": "name",
        "phone": "phone_number",
        "born": "date_of_birth",
        "address": "street_address",
        "postcode": "postcode",
        "notes": "paragraph",
    },
    "events": {
        "data": "(jsonb_set(jsonb_set(jsonb_set(data, '{actor,email}', to_jsonb(md5(random()::text)"
        " || '@example.com')), '{actor,name}', to_jsonb(md5(random()::text))), '{client,ip}', '\"192.0.2.1\"'))"
    },
}
_PGANONYMIZE: Mapping[str, Mapping[str, str]] = {
    "messages": {"from_address": "md5", "body": "mask"},
    "people": {
        "email": "md5",
        "name": "fake.name",
        "phone": "fake.phone_number",
        "born": "fake.date_of_birth",
        "address": "fake.street_address",
        "postcode": "fake.postcode",
        "notes": "mask",
    },
    "events": {"data.actor.email": "md5", "data.actor.name": "fake.name", "data.client.ip": "fake.ipv4"},
}
TOOLS: Mapping[str, tuple[str, ...]] = {
    "pynonymizer": ("pynonymizer==2.5.0",),
    # psycopg2 itself, which two of them ask for, would have to be compiled.
    "pganonymize": (
        *("--no-deps", "pganonymize==0.13.0", "pgcopy", "parmap", "tqdm", "faker", "pytz", "pyyaml"),
        "psycopg2-binary",
    ),
}


def install(name: str, directory: Path, deadline: Deadline) -> Path:
    """Install a tool in an environment of its own, and give its command.

    Raises:
        FailedError: it cannot be installed; the message says why.
        OverdueError: it took too long.
    """
    environment = clean_environment({"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    place = directory / f"venv-{name}"
    deadline.run([sys.executable, "-m", "venv", "--without-pip", str(place)], environment)
    python = place / "bin" / "python"
    deadline.run([sys.executable, "-m", "pip", "--python", str(python), "install", "-q", *TOOLS[name]], environment)
    return place / "bin" / name


def pynonymizer(command: Path, directory: Path) -> Callable[[Scratch, Deadline], None]:
    """A call a table: given several, version 2.5.0 updates all of them again for each."""

    def clean(scratch: Scratch, deadline: Deadline) -> None:
        reach = scratch.tool_environment()
        for name, columns in _PYNONYMIZER.items():
            strategy = directory / f"pynonymizer-{name}.json"
            strategy.write_text(json.dumps({"tables": {name: {"columns": dict(columns)}}}))
            argv = [str(command), "--db-type=postgres", f"--db-host={reach['PGHOST']}", "--db-port=5432"]
            argv += [f"--db-user={SCRUBBER}", f"--db-name={DATABASE}", f"--strategy={strategy}"]
            deadline.run([*argv, "--only-step=ANONYMIZE_DB"], clean_environment({}))

    return clean


def pganonymize(command: Path, directory: Path) -> Callable[[Scratch, Deadline], None]:
    """All tables in one call."""
    tables = [
        {
            name: {
                "primary_key": "id",
                "fields": [
                    {
                        column: {"provider": {"name": provider}}
                        | ({"append": "@example.com"} if provider == "md5" else {})
                    }
                    for column, provider in columns.items()
                ],
            }
        }
        for name, columns in _PGANONYMIZE.items()
    ]

    def clean(scratch: Scratch, deadline: Deadline) -> None:
        schema = directory / "pganonymize.yml"
        schema.write_text(
            json.dumps({"tables": tables, "options": {"faker": {"locales": ["en_GB"], "default_locale": "en_GB"}}})
        )
        argv = [str(command), f"--schema={schema}", f"--dbname={DATABASE}", f"--user={SCRUBBER}", "--port=5432"]
        deadline.run([*argv, f"--host={scratch.tool_environment()['PGHOST']}"], clean_environment({}))

    return clean


# What came out ------------------------------------------------------------------------------------------------------


def personal_files(directory: Path) -> dict[str, Path]:
    """The personal tables' data files of an archive."""
    toc = read_toc((directory / "toc.dat").read_bytes())
    by_stem = {stem(path.name): path for path in directory.iterdir()}
    return {entry.tag: by_stem[str(entry.filename)] for entry in toc.table_data if entry.tag in PERSONAL}


def row_digests(paths: Mapping[str, Path]) -> dict[str, int]:
    """A number for the rows of each file, whatever their order."""
    found: dict[str, int] = {}
    for name, path in paths.items():
        total = 0
        for rows in segments(DataFileReader(path.name, file_chunks(path))):
            for row in rows.split(b"\n"):
                total += int.from_bytes(hashlib.blake2b(row, digest_size=8).digest()) if row else 0
        found[name] = total % 2**64
    return found


def emptied(directory: Path) -> Path:
    """A directory with nothing in it, which a server's own user may pass through."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    directory.chmod(0o711)
    return directory
