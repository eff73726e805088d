"""The target: the names that a load uses on its server, the lock, and the marks that loads leave on databases."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import psycopg
from psycopg import sql

from etl_runtime.carried_settings import carried
from etl_runtime.contract import MIGRATOR_NAME, ExitCode
from etl_runtime.faults import Fault
from etl_runtime.postgres import Access, Connection, is_lost
from etl_runtime.postgres_errors import error_text

MAINTENANCE_DATABASE = "postgres"
_IDENTIFIER_BYTES = 63
_NOTICES_A_DEAD_CLIENT = (
    "SELECT pg_catalog.set_config(name, value, false) FROM (VALUES ('tcp_keepalives_idle', '30'),"
    " ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3')) AS s (name, value)"
)
"""A lock whose holder's machine is gone is free again after a minute, not after the two hours that are TCP's own."""


def _stem(name: str, most: int) -> str:
    """The name in at most so many bytes; a long one keeps its beginning, and still differs from every other name."""
    content = name.encode()
    if len(content) <= most:
        return name
    digest = hashlib.sha256(content).hexdigest()[:8]
    return content[: most - len(digest) - 1].decode("utf-8", "ignore") + "_" + digest


def now() -> datetime:
    """The time, as marks have it."""
    return datetime.now(UTC)


def load_mark(execution_id: str, manifest_sha256: str) -> dict[str, str]:
    """The mark of a database that an execution has just filled."""
    return {
        "execution_id": execution_id,
        "manifest_sha256": manifest_sha256,
        "loaded_at": now().isoformat(timespec="seconds"),
    }


class TargetDatabase:
    """The target of one load.

    A database's comment follows it through a rename, so that is where a load leaves its mark: which execution filled
    it, and when it was replaced. The mark adds no object to the database itself.

    Args:
        access: To the target server; the database named there is the live one.
        execution_id: Of the load; its name alone will do.

    Attributes:
        live: The database that people use.
        load: The one that is being filled.
        old: The one that this load replaced.
    """

    def __init__(self, access: Access, execution_id: str) -> None:
        self.access = access
        self.execution_id = execution_id
        self.live = access.database.name
        suffix = hashlib.sha256(execution_id.rpartition(":")[2].encode()).hexdigest()[:12]
        stem = _stem(self.live, _IDENTIFIER_BYTES - len("_load_") - len(suffix))
        self.load = f"{stem}_load_{suffix}"
        self.old = f"{stem}_old_{suffix}"
        self._left_over = re.compile(re.escape(stem) + r"_(load|old)_[0-9a-f]{12}")

    @contextmanager
    def locked(self) -> Generator[Connection]:
        """A connection to the maintenance database that holds this target's lock: one load at a time.

        Raises:
            Fault: TRANSIENT when another load has it, REFUSED for a superuser.
        """
        with self.access.connect(MAINTENANCE_DATABASE) as connection:
            connection.execute(_NOTICES_A_DEAD_CLIENT)
            key = int.from_bytes(
                hashlib.sha256(f"{MIGRATOR_NAME}\0{self.live}".encode()).digest()[:8], "big", signed=True
            )
            row = connection.execute(
                "SELECT pg_try_advisory_lock(%s), rolsuper FROM pg_roles WHERE rolname = current_user", [key]
            ).fetchone()
            if row is None or not row[0]:
                raise Fault(ExitCode.TRANSIENT, f"another load into {self.live} is running; wait for it")
            if row[1]:
                raise Fault(
                    ExitCode.REFUSED,
                    f"{self.access.database.user} is a superuser, and restoring a dump runs its code: "
                    "load as an ordinary role with CREATEDB",
                )
            yield connection

    def exists(self, connection: Connection, database: str) -> bool:
        """Whether the server has a database of this name."""
        return connection.execute("SELECT FROM pg_database WHERE datname = %s", [database]).fetchone() is not None

    def mark(self, connection: Connection, database: str) -> dict[str, Any]:
        """What loads wrote on a database; {} when they wrote nothing or the database does not exist."""
        row = connection.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [database]
        ).fetchone()
        try:
            document = cast(dict[str, Any], json.loads(row[0])) if row and row[0] else {}
            return dict(cast(Mapping[str, Any], document[MIGRATOR_NAME]))
        except (ValueError, KeyError, TypeError):
            # No comment, or somebody else's.
            return {}

    def write_mark(self, connection: Connection, database: str, mark: Mapping[str, Any]) -> None:
        """Replace a database's mark, in the connection's transaction."""
        connection.execute(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(
                sql.Identifier(database), sql.Literal(json.dumps({MIGRATOR_NAME: mark}))
            )
        )

    def is_loaded(self, connection: Connection) -> bool:
        """Whether the live database is the work of this very execution.

        Raises:
            Fault: REFUSED when it was, and was rolled back: what people took back must not come again by itself.
        """
        if self.is_work_of_this(self.mark(connection, self.old)):
            raise Fault(
                ExitCode.REFUSED, f"this load was rolled back and is kept as {self.old}: start another execution"
            )
        return self.is_work_of_this(self.mark(connection, self.live))

    def is_work_of_this(self, mark: Mapping[str, Any]) -> bool:
        """Whether a mark says that this execution filled the database."""
        filled_by = str(mark.get("execution_id", ""))
        return filled_by.rpartition(":")[2] == self.execution_id.rpartition(":")[2]

    def left_overs(self, connection: Connection, keep_previous: timedelta, keep_most: int) -> list[str]:
        """What broken loads left half done, and previous databases beyond their time or their number.

        Args:
            connection: To any database of the server.
            keep_previous: How long a previous database is kept.
            keep_most: How many of them there may be; one place of these is left for the one that is live now.
        """
        rows = connection.execute(
            "SELECT datname FROM pg_database WHERE pg_has_role(datdba, 'USAGE') ORDER BY datname"
        ).fetchall()
        found: list[str] = []
        previous: list[tuple[datetime, str]] = []
        for (name,) in rows:
            kind = self._left_over.fullmatch(name)
            if kind is None:
                continue
            replaced = self.mark(connection, name).get("replaced_at")
            if kind[1] == "load":
                found.append(name)
            elif replaced:
                previous.append((datetime.fromisoformat(replaced), name))
        for number, (replaced_at, name) in enumerate(sorted(previous, reverse=True), 1):
            if number >= keep_most or now() - replaced_at >= keep_previous:
                found.append(name)
        return found

    def drop(self, connection: Connection, database: str) -> None:
        """Drop a database of ours, whoever is connected to it.

        Raises:
            Fault: UNAVAILABLE when that is refused.
        """
        try:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))
        except psycopg.Error as error:
            if is_lost(error):
                raise
            raise Fault(ExitCode.UNAVAILABLE, f"{database} cannot be dropped: {error_text(error)}") from None

    def create(self, connection: Connection, encoding: str) -> None:
        """Make the empty database to restore into, with the live one's locale where there is a live one.

        Raises:
            Fault: CONFIG when it may not be made, or when it could not take the live one's place in the end.
        """
        row = connection.execute(
            "SELECT pg_has_role(datdba, 'USAGE'), pg_encoding_to_char(encoding), to_jsonb(d)"
            " FROM pg_database AS d WHERE datname = %s",
            [self.live],
        ).fetchone()
        user = self.access.database.user
        if row is not None and not row[0]:
            raise Fault(ExitCode.CONFIG, f"{user} does not own {self.live} and could not swap it: make it the owner")
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {}").format(
            sql.Identifier(self.load), sql.Literal(encoding)
        )
        if row is not None and row[1] == encoding:
            statement += _locale(row[2])
        try:
            connection.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            raise Fault(ExitCode.CONFIG, f"{user} may not create databases: grant it CREATEDB") from None
        try:
            # What is done to the live database at the very end is tried here, before hours of work.
            with connection.transaction(force_rollback=True):
                for statement in carried(connection, self.live, self.load):
                    connection.execute(statement)
        except psycopg.Error as error:
            if is_lost(error):
                raise
            raise Fault(
                ExitCode.CONFIG, f"what is set on {self.live} cannot be carried over: {error_text(error)}"
            ) from None


def _locale(database: Mapping[str, Any]) -> sql.Composed:
    """The locale of a database as options of CREATE DATABASE; `database` is its row of pg_database.

    The provider is there since PostgreSQL 15, its locale has had another column since 17.
    """
    options = sql.SQL(" LC_COLLATE {} LC_CTYPE {}").format(
        sql.Literal(database["datcollate"]), sql.Literal(database["datctype"])
    )
    locale = database.get("datlocale") or database.get("daticulocale")
    provider = database.get("datlocprovider", "c")
    if provider == "i" and locale:
        options += sql.SQL(" LOCALE_PROVIDER icu ICU_LOCALE {}").format(sql.Literal(locale))
    elif provider == "b" and locale:
        options += sql.SQL(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {}").format(sql.Literal(locale))
    return options
