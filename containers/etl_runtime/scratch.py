"""The scratch Postgres: a server of our own in the program's disk, reached by a private socket, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType

import psycopg
from psycopg import sql

from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault, stop_postponed
from etl_runtime.postgres import Connection, clean_environment, end, is_lost, tool, tool_fault
from etl_runtime.postgres_errors import error_text
from etl_runtime.scratch_files import ADMINISTRATOR, make_scratch_files

SCRUBBER = "scrubber"
"""The ordinary role that owns the restored database: a dump's code must never run as a superuser."""
DATABASE = "scratch"
_START_SECONDS = 60
_LEAST_FREE_BYTES = 64 << 20
"""A server writes some segments of WAL, 16 MiB each, before it answers."""
_LONGEST_SOCKET_DIRECTORY = 90
"""A socket's path has 107 bytes at most, 16 of them for its name."""
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "40",
    "shared_buffers": "256MB",
    "work_mem": "64MB",
    "maintenance_work_mem": "256MB",
    # The server is thrown away: a crash means a new run, so nothing is made durable.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "autovacuum": "off",
    "jit": "off",
    "max_locks_per_transaction": "1024",
    # Files in the data directory, gone with it; a pod has 64 MiB of shared memory.
    "dynamic_shared_memory_type": "mmap",
    # A scan that starts elsewhere than at the first row would give the same rows in another order each time.
    "synchronize_seqscans": "off",
    "TimeZone": "UTC",
    # The server's own log is a file beside the data; nothing that quotes a row may be in it.
    "log_min_messages": "panic",
    "log_min_error_statement": "panic",
    "log_statement": "none",
}
_SESSION = (
    "SET search_path = ''; SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET extra_float_digits = 3;"
    " SET bytea_output = 'hex'; SET timezone = 'UTC'; SET synchronize_seqscans = off; SET row_security = off;"
    " SET max_parallel_workers_per_gather = 0; SET client_encoding = 'UTF8'"
)


class Scratch:
    """A running scratch server with one empty database. Leave the context and it is gone, disk and all.

    Args:
        directory: An existing private directory; the server's is made below it.
        encoding: The database's encoding, as the archive names it.
        template: What `make_scratch_files` made before, to copy; without it initdb is run.
    """

    def __init__(self, directory: Path, encoding: str, template: Path | None = None) -> None:
        self._template = template
        self._data = directory / "pg"
        # The socket lives in the data directory, which nobody else can enter.
        self._sockets = self._data
        self._shortcut: Path | None = None
        self._encoding = encoding
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Scratch:
        try:
            if len(os.fsencode(self._data)) > _LONGEST_SOCKET_DIRECTORY:
                self._shorten()
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server and wipe its disk."""
        if self._server is not None:
            end(self._server, signal.SIGQUIT)
            self._server = None
        shutil.rmtree(self._data, ignore_errors=True)
        if self._shortcut is not None:
            shutil.rmtree(self._shortcut, ignore_errors=True)

    def _shorten(self) -> None:
        """Reach the socket by a link with a short name: its path may have 107 bytes, whatever the directory's has."""
        try:
            self._shortcut = Path(mkdtemp(prefix="etl-", dir="/tmp"))
        except OSError:
            raise Fault(
                ExitCode.CONFIG, "MOUNT_POINT is too long a path for a socket, and /tmp cannot be written"
            ) from None
        self._shortcut.chmod(0o711)
        self._sockets = self._shortcut / "pg"
        self._sockets.symlink_to(self._data)

    def _start(self) -> None:
        make_scratch_files(self._data, self._template)
        settings = dict(_SETTINGS) | {"unix_socket_directories": str(self._sockets)}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with stop_postponed():
            self._server = subprocess.Popen(
                [tool("postgres"), "-D", str(self._data), *arguments],
                env=clean_environment({}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._wait()
        with self.connect(ADMINISTRATOR, "postgres") as connection:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(SCRUBBER)))
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING {} LOCALE 'C'").format(
                    sql.Identifier(DATABASE), sql.Identifier(SCRUBBER), sql.Literal(self._encoding)
                )
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            assert self._server is not None  # noqa: S101 - set just before the only call
            if self._server.poll() is not None:
                if self._server.returncode == -signal.SIGKILL:
                    raise tool_fault("the scratch server", self._server.returncode, "")
                break
            try:
                self.connect(ADMINISTRATOR, "postgres").close()
                return
            except psycopg.OperationalError:
                time.sleep(0.05)
        if shutil.disk_usage(self._data.parent).free < _LEAST_FREE_BYTES:
            raise Fault(ExitCode.NO_SPACE, "no space: the scratch server does not start; give it a larger disk")
        raise Fault(ExitCode.UNAVAILABLE, "the scratch server does not start: check the pod's memory")

    def connect(self, role: str = SCRUBBER, database: str = DATABASE) -> Connection:
        """A connection, autocommit, in the session settings that make equal values equal text."""
        connection = psycopg.connect(
            host=str(self._sockets), port=5432, user=role, dbname=database, autocommit=True, connect_timeout=10
        )
        connection.execute(_SESSION)
        return connection

    def tool_environment(self, role: str = SCRUBBER) -> dict[str, str]:
        """The variables by which a Postgres tool reaches the database."""
        return {
            "PGHOST": str(self._sockets),
            "PGPORT": "5432",
            "PGUSER": role,
            "PGDATABASE": DATABASE,
            "PGTZ": "UTC",
            "PGAPPNAME": "postgres-etl",
        }


def scratch_fault(what: str, error: psycopg.Error) -> Fault:
    """The fault that an error in the scratch database is."""
    if isinstance(error, psycopg.errors.DiskFull):
        return Fault(ExitCode.NO_SPACE, f"{what}: {error_text(error)}")
    return Fault(ExitCode.TRANSIENT if is_lost(error) else ExitCode.DATA, f"{what}: {error_text(error)}")
