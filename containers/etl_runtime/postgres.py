"""Postgres's own tools as child processes, and connections: settings go in variables, never in arguments."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from etl_runtime.aws import database_token
from etl_runtime.contract import MIGRATOR_NAME, ExitCode
from etl_runtime.faults import Fault, stop_postponed
from etl_runtime.postgres_errors import error_text, tool_errors
from etl_runtime.settings.database import Database

Connection = psycopg.Connection[TupleRow]

CLIENT_FLOOR = {14: 23, 15: 18, 16: 14, 17: 10, 18: 4}
"""Oldest minor release of each major whose pg_dump may read a server that it need not trust (CVE-2026-6477).

The images are held to a later floor, at their build, for psql's sake (CVE-2026-18408)."""
_NO_LIMITS = (
    "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN"
    " ('statement_timeout', 'lock_timeout', 'transaction_timeout', 'idle_session_timeout',"
    " 'idle_in_transaction_session_timeout')"
)
"""A snapshot or a lock is held for as long as a tool needs, whatever a role's limits are; pg_dump lifts its own too."""
_HANGS_UP = re.compile(r"SSL SYSCALL|unexpected eof|closed unexpectedly")
"""What libpq says over TLS of a server that goes away, as one does that fails over."""
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
_STOP_SECONDS = 20
_MOST_ERROR_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Access:
    """A database and what authenticates to it: the password of the settings, or a token that the task's role signs."""

    database: Database
    region: str

    @property
    def password(self) -> str | None:
        """What authenticates now. A token is good for 15 minutes, less than a load takes; so each use has its own."""
        database = self.database
        if database.authentication == "secret":
            return database.password
        return database_token(self.region, database.host, database.port, database.user)

    def connect(self, name: str | None = None, *, autocommit: bool = True) -> Connection:
        """Connect to the database, or to another (`name`) of the same server.

        Raises:
            Fault: TRANSIENT where the server cannot be reached or the secret may have been rotated; CONFIG where it
            refuses the login or the name.
        """
        database = self.database
        options: dict[str, Any] = {"sslrootcert": database.sslrootcert} if database.sslmode == "verify-full" else {}
        try:
            connection = psycopg.connect(
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
            connection.execute(_NO_LIMITS)
            return connection
        except psycopg.OperationalError as error:
            raise self._refusal(error, name or database.name) from None

    def _refusal(self, error: psycopg.OperationalError, name: str) -> Fault:
        place = f"database {name} at {self.database.host}:{self.database.port}"
        text = str(error)
        if "password authentication failed" in text and self.database.authentication == "secret":
            # A secret is read when the task starts. The second attempt is another task, and there is no third.
            return Fault(
                ExitCode.TRANSIENT,
                f"{place} refuses the password of user {self.database.user}: its secret was rotated since this task "
                "read it, or is wrong",
            )
        if "authentication failed" in text or "no pg_hba.conf entry" in text:
            return Fault(ExitCode.CONFIG, f"{place} refuses user {self.database.user}: check the credentials")
        if re.search(r"does not exist|not permitted to log in|permission denied", text):
            return Fault(ExitCode.CONFIG, f"{place}: {error_text(error)}")
        if ("certificate" in text or "SSL" in text) and not _HANGS_UP.search(text):
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
        if (password := self.password) is not None:
            variables["PGPASSWORD"] = password
        return variables


def is_lost(error: psycopg.Error) -> bool:
    """Whether the server went away, or ended the session with itself: no fault of a statement or a row."""
    state = error.sqlstate
    gone = isinstance(error, psycopg.OperationalError) if state is None else state.startswith(("08", "57P"))
    return gone or isinstance(error, psycopg.errors.OutOfMemory)


@contextmanager
def lost_connections() -> Generator[None]:
    """Give a database that goes away in the middle of the work the exit code that it deserves.

    Raises:
        Fault: TRANSIENT in place of the driver's error; NO_SPACE where the server's disk is full.
    """
    try:
        yield
    except psycopg.OperationalError as error:
        full = isinstance(error, psycopg.errors.DiskFull)
        code = ExitCode.NO_SPACE if full else ExitCode.TRANSIENT
        raise Fault(code, f"the database did not go on: {error_text(error)}") from None


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
    asked = subprocess.run([tool(name), "--version"], capture_output=True, text=True, check=False)
    if asked.returncode < 0:
        raise tool_fault(name, asked.returncode, "")
    match = re.search(r"\(PostgreSQL\) (\d+)\.(\d+)", asked.stdout)
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
    errors_in_memory: bool = False,
) -> tuple[int, str]:
    """Run a tool to its end and give its exit status and the last MiB of its standard error; its output is discarded.

    `errors_in_memory` is for a tool of few words that a full disk may stop: on that disk it could not say so.
    `tick` is called a few times a second while it runs. On any exception, SIGTERM included, the tool is ended before
    the exception goes on.
    """
    child: subprocess.Popen[bytes] | None = None
    with os.fdopen(os.memfd_create("errors"), "w+b") if errors_in_memory else tempfile.TemporaryFile() as errors:
        try:
            with stop_postponed():
                child = subprocess.Popen(
                    list(argv),
                    env=clean_environment(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    cwd=cwd,
                )
            while True:
                try:
                    status = child.wait(0.2 if tick else None)
                    break
                except subprocess.TimeoutExpired:
                    if tick:
                        tick()
        except BaseException:
            if child is not None:
                end(child)
            raise
        # A tool says last what stopped it; scripts may have raised any number of notices before.
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _MOST_ERROR_BYTES))
        return status, errors.read().decode("utf-8", "replace")


def psql_arguments(scripts: Sequence[Path]) -> list[str]:
    """Psql's argv for scripts: one transaction, stopped at the first error, which names file, line and SQLSTATE."""
    return [
        tool("psql"),
        "--no-psqlrc",
        "--quiet",
        "--single-transaction",
        "--set=ON_ERROR_STOP=1",
        "--set=VERBOSITY=verbose",
        *(f"--file={script}" for script in scripts),
    ]


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
    """The fault that a tool's failure is: transient for locks, recovery conflicts, lost connections, and a kill."""
    if status == -signal.SIGKILL:
        return Fault(ExitCode.TRANSIENT, f"{name} was killed: if it is again, give the task more memory")
    text = tool_errors(stderr)
    code = ExitCode.UNAVAILABLE
    if "No space left" in stderr:
        code = ExitCode.NO_SPACE
    elif re.search(
        # pg_dump makes its --lock-wait-timeout a statement_timeout. A password that the program's own connection was
        # accepted with is refused where it was rotated since.
        r"(?:lock|statement) timeout|conflict with recovery|closed the connection|terminating connection"
        r"|could not connect|deadlock|authentication failed",
        stderr,
    ):
        code = ExitCode.TRANSIENT
    elif re.search(r"permission denied|row-level security", stderr):
        code = ExitCode.CONFIG
    elif "worker process died" in stderr and not re.search(r"(?i)\berror: (?!a worker)", stderr):
        code, text = ExitCode.TRANSIENT, "a worker process died: if it does again, give the task more memory"
    return Fault(code, f"{name} failed ({status}): {text}")
