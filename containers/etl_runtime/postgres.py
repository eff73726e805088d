"""Postgres's own tools as child processes, and connections: settings go in variables, never in arguments."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from etl_runtime.aws import database_token
from etl_runtime.contract import MIGRATOR_NAME, ExitCode
from etl_runtime.faults import Fault
from etl_runtime.postgres_errors import error_text, tool_errors
from etl_runtime.settings import Database

Connection = psycopg.Connection[TupleRow]

CLIENT_FLOOR = {14: 23, 15: 18, 16: 14, 17: 10, 18: 4}
"""Oldest minor release of each major whose pg_dump may read a server that it need not trust (CVE-2026-6477).

The images are held to a later floor, at their build, for psql's sake (CVE-2026-18408)."""
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
_STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Access:
    """A database and what authenticates to it now: the password, or an IAM token that lives 15 minutes."""

    database: Database
    password: str | None

    @classmethod
    def open(cls, database: Database, region: str) -> Access:
        """Take the password of the settings, or have a token signed by the task's role."""
        if database.authentication == "secret":
            return cls(database, database.password)
        token = database_token(region, database.host, database.port, database.user)
        return cls(database, token)

    def connect(self, name: str | None = None, *, autocommit: bool = True) -> Connection:
        """Connect to the database, or to another (`name`) of the same server.

        Raises:
            Fault: TRANSIENT where the server cannot be reached, CONFIG where it refuses the login or the name.
        """
        database = self.database
        options: dict[str, Any] = {"sslrootcert": database.sslrootcert} if database.sslmode == "verify-full" else {}
        try:
            return psycopg.connect(
                host=database.host,
                port=database.port,
                dbname=name or database.name,
                user=database.user,
                password=self.password,
                sslmode=database.sslmode,
                connect_timeout=10,
                application_name=MIGRATOR_NAME,
                autocommit=autocommit,
                **options,
            )
        except psycopg.OperationalError as error:
            raise self._refusal(error, name or database.name) from None

    def _refusal(self, error: psycopg.OperationalError, name: str) -> Fault:
        place = f"database {name} at {self.database.host}:{self.database.port}"
        text = str(error)
        if "authentication failed" in text or "no pg_hba.conf entry" in text:
            return Fault(ExitCode.CONFIG, f"{place} refuses user {self.database.user}: check the credentials")
        if "does not exist" in text:
            return Fault(ExitCode.CONFIG, f"{place}: {error_text(error)}")
        if "certificate" in text or "SSL" in text:
            return Fault(
                ExitCode.CONFIG, f"{place}: TLS with {self.database.sslmode} was not agreed: {error_text(error)}"
            )
        return Fault(ExitCode.TRANSIENT, f"{place} cannot be reached: {error_text(error)}")

    def tool_environment(self, name: str | None = None) -> dict[str, str]:
        """The `PG*` variables by which a Postgres tool reaches the database (or another of its server)."""
        database = self.database
        variables = {
            "PGHOST": database.host,
            "PGPORT": str(database.port),
            "PGDATABASE": name or database.name,
            "PGUSER": database.user,
            "PGSSLMODE": database.sslmode,
            "PGCONNECT_TIMEOUT": "10",
            "PGAPPNAME": MIGRATOR_NAME,
        }
        if database.sslmode == "verify-full":
            variables["PGSSLROOTCERT"] = database.sslrootcert
        if self.password is not None:
            variables["PGPASSWORD"] = self.password
        return variables


def tool(name: str) -> str:
    """The path of a Postgres tool.

    Raises:
        Fault: CONFIG when it is not on PATH.
    """
    path = shutil.which(name)
    if path is None:
        raise Fault(ExitCode.CONFIG, f"{name} is not on PATH: the image lacks Postgres's tools")
    return path


def tool_version(name: str) -> tuple[int, int]:
    """Major and minor version of a tool.

    Raises:
        Fault: CONFIG when it is missing or says something else.
    """
    said = subprocess.run([tool(name), "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"\(PostgreSQL\) (\d+)\.(\d+)", said)
    if match is None:
        raise Fault(ExitCode.CONFIG, f"{name} --version does not name a PostgreSQL release")
    return int(match[1]), int(match[2])


def check_client(name: str, server_major: int) -> tuple[int, int]:
    """The version of a tool that is fit to talk to this server.

    Raises:
        Fault: CONFIG when it is older than the server or below the floor of its major.
    """
    major, minor = tool_version(name)
    if major < server_major:
        raise Fault(
            ExitCode.CONFIG,
            f"{name} {major}.{minor} is older than the server: use an image of {server_major} or later",
        )
    floor = CLIENT_FLOOR.get(major)
    if floor is not None and minor < floor:
        raise Fault(
            ExitCode.CONFIG,
            f"{name} {major}.{minor} is below {major}.{floor}, which fixes what a hostile server could do to it",
        )
    return major, minor


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: the few variables any program needs, and `more`."""
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ} | dict(more)


def run_tool(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    tick: Callable[[], None] | None = None,
    cwd: Path | None = None,
) -> tuple[int, str]:
    """Run a tool to its end and give its exit status and its standard error; its standard output is discarded.

    `tick` is called a few times a second while it runs. On any exception, SIGTERM included, the tool is ended before
    the exception goes on.
    """
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            list(argv),
            env=clean_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd=cwd,
        )
        try:
            while True:
                try:
                    status = child.wait(0.2 if tick else None)
                    break
                except subprocess.TimeoutExpired:
                    if tick:
                        tick()
        except BaseException:
            end(child)
            raise
        errors.seek(0)
        return status, errors.read(1 << 20).decode("utf-8", "replace")


def end(child: subprocess.Popen[Any], how: signal.Signals = signal.SIGTERM) -> None:
    """End a child: asked first, killed after 20 seconds."""
    if child.poll() is None:
        child.send_signal(how)
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def tool_fault(name: str, status: int, stderr: str) -> Fault:
    """The fault that a tool's failure is: transient for locks, recovery conflicts and lost connections."""
    text = tool_errors(stderr)
    code = ExitCode.UNAVAILABLE
    if "No space left" in stderr:
        code = ExitCode.NO_SPACE
    elif re.search(
        r"lock timeout|conflict with recovery|closed the connection|terminating connection|could not connect|deadlock",
        stderr,
    ):
        code = ExitCode.TRANSIENT
    elif re.search(r"permission denied|row-level security|authentication failed", stderr):
        code = ExitCode.CONFIG
    return Fault(code, f"{name} failed ({status}): {text}")
