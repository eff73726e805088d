"""The Postgres servers of a stand-in: made in a moment, on a free port of this machine, gone with the stand-in."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from etl_local.child_process import ChildProcess
from etl_local.log_file import LogFile

HOST: Final = "127.0.0.1"
SUPERUSER: Final = "postgres"
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 5.0
_ATTEMPTS: Final = 5  # a port that was free may be taken before the server has it

_LINES_REMEMBERED: Final = 100
_READY: Final = "database system is ready to accept connections"
# Nothing here outlives the stand-in, so nothing is written twice or waited for.
_SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "dynamic_shared_memory_type": "mmap",  # in the data directory: /dev/shm would keep what a killed server had
    "log_checkpoints": "off",
    "log_statement": "none",
    "log_min_error_statement": "panic",  # a statement may quote a row's values
}


class ClusterError(Exception):
    """A cluster could not be made or started; the message holds the last line that the program said."""


class ClusterTemplate:
    """A data directory fresh from initdb, to be copied for each cluster: initdb runs once.

    Attributes:
        directory: the data directory.
        password: the superuser's, made for this template.
    """

    def __init__(self, directory: Path, launchers: Path) -> None:
        """Run initdb.

        Args:
            directory: where the data directory is to be; it must not exist.
            launchers: the directory with the Postgres programs.

        Raises:
            ClusterError: initdb failed.
        """
        self.directory = directory
        self.password = secrets.token_urlsafe(18)
        self._launchers = launchers
        password_file = directory.with_name(f"{directory.name}.password")
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        lines: list[str] = []
        argv = [
            "initdb",
            *("-D", str(directory), "-U", SUPERUSER, f"--pwfile={password_file}"),
            *("--auth-host=scram-sha-256", "--auth-local=reject", "--encoding=UTF8", "--locale=C.UTF-8"),
            *("--no-sync", "--no-instructions", "--wal-segsize=4"),
        ]
        try:
            with ChildProcess(argv, program_environment(launchers), on_line=lines.append) as initdb:
                if initdb.start().wait(START_SECONDS) != 0:
                    raise ClusterError(f"initdb failed: {lines[-1] if lines else 'it said nothing'}")
        finally:
            password_file.unlink()

    def copy_to(self, directory: Path) -> None:
        """Copy the data directory, its owner too."""
        shutil.copytree(self.directory, directory, symlinks=True)
        owner = self.directory.stat()
        if owner.st_uid != os.geteuid():
            for path in (directory, *directory.rglob("*")):
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


class PostgresCluster:
    """One running server, as a context manager; leaving it stops the server, whatever is connected.

    Attributes:
        name: how it is called in messages and file names.
        port: where it listens on 127.0.0.1, once entered.
    """

    def __init__(self, directory: Path, launchers: Path, name: str, template: ClusterTemplate) -> None:
        """Describe the cluster; nothing starts yet.

        Args:
            directory: an existing directory; the data directory and the server's log get a place in it.
            launchers: the directory with the Postgres programs.
            name: a file name.
            template: what the data directory is copied from.
        """
        self.name = name
        self.port = 0
        self._data = directory / name
        self._log = directory / f"{name}.log"
        self._said: deque[str] = deque(maxlen=_LINES_REMEMBERED)
        self._launchers = launchers
        self._template = template
        self._server: ChildProcess | None = None

    def dsn(self, user: str = SUPERUSER, password: str | None = None, database: str = "postgres") -> str:
        """A connection string; for the superuser without a password, its own."""
        password = self._template.password if password is None else password
        # sslmode: the user's own PGSSLMODE may ask for more than a loopback server has
        return make_conninfo(
            host=HOST, port=self.port, user=user, password=password, dbname=database, sslmode="disable"
        )

    def __enter__(self) -> PostgresCluster:
        """Copy the data directory and start the server; it accepts connections when this returns.

        Raises:
            ClusterError: it did not start.
        """
        self._template.copy_to(self._data)
        try:
            for attempt in range(_ATTEMPTS):
                self.port = free_port()
                if self._started():
                    return self
                if not self._port_was_taken() or attempt + 1 == _ATTEMPTS:
                    break
        except BaseException:
            self.stop()
            raise
        raise ClusterError(f"the {self.name} server did not start: {self._last_line()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server: all sessions are ended first; killed when that takes more than `STOP_SECONDS`."""
        server, self._server = self._server, None
        if server is None:
            return
        try:
            os.kill(server.pid, signal.SIGINT)
            server.wait(STOP_SECONDS)
        except (ProcessLookupError, TimeoutError):
            server.kill()
            server.wait()

    def execute(self, *statements: LiteralString | sql.Composed, database: str = "postgres") -> None:
        """Run statements as the superuser, each in its own transaction."""
        with psycopg.connect(self.dsn(database=database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def create_role(self, name: str, options: LiteralString, member_of: tuple[str, ...] = ()) -> str:
        """Create a role that can log in, with a password made here.

        Args:
            name: the role's.
            options: as in `CREATE ROLE … WITH`, such as `BYPASSRLS`.
            member_of: the roles whose rights it has.

        Returns:
            the password.
        """
        password = secrets.token_urlsafe(18)
        role = sql.Identifier(name)
        self.execute(
            sql.SQL("CREATE ROLE {} WITH LOGIN " + options + " PASSWORD {}").format(role, sql.Literal(password)),
            *(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), role) for group in member_of),
        )
        return password

    def create_database(self, name: str, owner: str) -> None:
        """Create an empty database that belongs to `owner`."""
        self.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner)))

    def _started(self) -> bool:
        argv = ["postgres", "-D", str(self._data)]
        for name, value in {**_SETTINGS, "port": str(self.port)}.items():
            argv += ["-c", f"{name}={value}"]
        log = LogFile(self._log)
        self._said.clear()
        settled = threading.Event()

        def note(line: str) -> None:
            self._said.append(line)
            log.put(line)
            # a connection would be no sign: where the port was taken, it would be another server's
            if _READY in line:
                settled.set()

        def ended(_: int) -> None:
            log.close()
            settled.set()

        self._server = ChildProcess(argv, program_environment(self._launchers), on_line=note, on_exit=ended).start()
        if settled.wait(START_SECONDS) and self._server.exit_code is None:
            return True
        self.stop()
        return False

    def _port_was_taken(self) -> bool:
        return any("could not bind" in line for line in self._said)

    def _last_line(self) -> str:
        lines = [*self._said] or ["it said nothing"]
        return next((line for line in reversed(lines) if "FATAL" in line or "HINT" in line), lines[-1])


def program_environment(launchers: Path) -> dict[str, str]:
    """What a Postgres program needs to know; with a time zone, initdb need not search for one."""
    return {"PATH": os.pathsep.join((str(launchers), os.defpath)), "TZ": "UTC", "LC_ALL": "C"}


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
