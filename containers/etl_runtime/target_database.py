"""The target: a dump is restored beside the live database, which is replaced only by two renames in one transaction."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import psycopg
from psycopg import sql

from etl_runtime.contract import MIGRATOR_NAME, ExitCode
from etl_runtime.faults import Fault
from etl_runtime.postgres import Access, Connection
from etl_runtime.postgres_errors import error_text
from etl_runtime.program import logger
from etl_runtime.trusted_sql import trusted

MAINTENANCE_DATABASE = "postgres"
_IDENTIFIER_BYTES = 63
_SESSIONS_END_SECONDS = 10


_LISTS_OF_NAMES = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
"""Settings stored as quoted names: `variable_is_guc_list_quote` in PostgreSQL's src/bin/pg_dump/dumputils.c."""


def list_elements(stored: str) -> list[str]:
    """The names in a setting such as `"$user", public`, as it is stored."""
    return [
        quoted.replace('""', '"') if bare == "" else bare
        for quoted, bare in re.findall(r'"((?:[^"]|"")*)"|([^\s,"]+)', stored)
    ]


def _stem(name: str, most: int) -> str:
    """The name in at most so many bytes; a long one keeps its beginning, and still differs from every other name."""
    content = name.encode()
    if len(content) <= most:
        return name
    digest = hashlib.sha256(content).hexdigest()[:8]
    return content[: most - len(digest) - 1].decode("utf-8", "ignore") + "_" + digest


def _now() -> datetime:
    return datetime.now(UTC)


class TargetDatabase:
    """The names that one load uses, and the swap.

    A database's comment follows it through a rename, so that is where a load leaves its mark: which execution filled
    it, or when it was replaced. The mark adds no object to the database itself.

    Args:
        access: To the target server; the database named there is the live one.
        execution_id: Which load this is.
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
            Fault: TRANSIENT when another load has it.
        """
        with self.access.connect(MAINTENANCE_DATABASE) as connection:
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

    def mark(self, connection: Connection, database: str) -> dict[str, Any]:
        """What a load wrote on a database; {} when it wrote nothing or the database does not exist."""
        row = connection.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [database]
        ).fetchone()
        try:
            document = cast(dict[str, Any], json.loads(row[0])) if row and row[0] else {}
            return cast(dict[str, Any], document[MIGRATOR_NAME])
        except (ValueError, KeyError, TypeError):
            # No comment, or somebody else's.
            return {}

    def is_loaded(self, connection: Connection) -> bool:
        """Whether the live database is the work of this very execution."""
        return self.mark(connection, self.live).get("execution_id") == self.execution_id

    def clear_left_overs(self, connection: Connection, keep_previous: timedelta) -> None:
        """Drop what broken loads left half done, and previous databases kept for long enough."""
        rows = connection.execute(
            "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = current_user ORDER BY datname"
        ).fetchall()
        for (name,) in rows:
            kind = self._left_over.fullmatch(name)
            if kind is None:
                continue
            replaced = self.mark(connection, name).get("replaced_at")
            if kind[1] == "load" or (replaced and _now() - datetime.fromisoformat(replaced) >= keep_previous):
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def create(self, connection: Connection, encoding: str) -> None:
        """Make the empty database to restore into, with the live one's locale where there is a live one.

        Raises:
            Fault: CONFIG when it may not be made, or when it could not take the live one's place in the end.
        """
        row = connection.execute(
            "SELECT pg_encoding_to_char(encoding), datcollate, datctype, pg_has_role(datdba, 'USAGE')"
            " FROM pg_database WHERE datname = %s",
            [self.live],
        ).fetchone()
        user = self.access.database.user
        if row is not None and not row[3]:
            raise Fault(ExitCode.CONFIG, f"{user} does not own {self.live} and could not swap it: make it the owner")
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {}").format(
            sql.Identifier(self.load), sql.Literal(encoding)
        )
        if row is not None and row[0] == encoding:
            statement += sql.SQL(" LC_COLLATE {} LC_CTYPE {}").format(sql.Literal(row[1]), sql.Literal(row[2]))
        try:
            connection.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            raise Fault(ExitCode.CONFIG, f"{user} may not create databases: grant it CREATEDB") from None
        try:
            # What is done to the live database at the very end is tried here, before hours of work.
            with connection.transaction(force_rollback=True):
                for carried in self._carried(connection, self.load):
                    connection.execute(carried)
        except psycopg.Error as error:
            raise Fault(
                ExitCode.CONFIG, f"what is set on {self.live} cannot be carried over: {error_text(error)}"
            ) from None

    def swap(self, connection: Connection, manifest_sha256: str) -> None:
        """Make the loaded database the live one, and keep the previous one under another name.

        Grants on the database and `ALTER DATABASE SET` values do not follow a name, so the previous one's are given to
        the new one in the same transaction. On any failure the previous one stays live, and open.

        Raises:
            Fault: UNAVAILABLE when the renames are refused or sessions do not end.
        """
        exists = (
            connection.execute("SELECT oid FROM pg_database WHERE datname = %s", [self.live]).fetchone() is not None
        )
        live, load, old = map(sql.Identifier, (self.live, self.load, self.old))
        carried = self._carried(connection, self.live)
        try:
            if exists:
                connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(live))
                self._end_sessions(connection)
            with connection.transaction():
                if exists:
                    connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(live, old))
                connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(load, live))
                if exists:
                    for statement in carried:
                        connection.execute(statement)
                    self._write_mark(connection, self.old, {"replaced_at": _now().isoformat(timespec="seconds")})
                self._write_mark(
                    connection,
                    self.live,
                    {
                        "execution_id": self.execution_id,
                        "manifest_sha256": manifest_sha256,
                        "loaded_at": _now().isoformat(timespec="seconds"),
                    },
                )
        except BaseException as error:
            if exists:
                self._reopen(connection)
            if not isinstance(error, psycopg.Error):
                raise
            raise Fault(ExitCode.UNAVAILABLE, f"swap refused, {self.live} is as it was: {error_text(error)}") from None
        if exists:
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(old))

    def _reopen(self, connection: Connection) -> None:
        """Let people connect to the live database again, whatever became of the connection that closed it.

        SIGTERM leaves a connection in the middle of a statement, and its transaction would hold up another one.
        """
        connection.close()
        try:
            with self.access.connect(MAINTENANCE_DATABASE) as fresh:
                fresh.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(self.live)))
        except (Fault, psycopg.Error) as error:
            advice = f"ALTER DATABASE {self.live} ALLOW_CONNECTIONS true"
            logger().error("live_database_closed", error=type(error).__name__, advice=advice)

    def _write_mark(self, connection: Connection, database: str, mark: dict[str, str]) -> None:
        connection.execute(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(
                sql.Identifier(database), sql.Literal(json.dumps({MIGRATOR_NAME: mark}))
            )
        )

    def _end_sessions(self, connection: Connection) -> None:
        connection.execute(
            # The kind of others' sessions is hidden from an ordinary role; those of no user are the server's own.
            "SELECT pg_terminate_backend(pid, %s) FROM pg_stat_activity WHERE datname = %s AND usesysid IS NOT NULL",
            [_SESSIONS_END_SECONDS * 1000, self.live],
        )

    def _carried(self, connection: Connection, onto: str) -> list[sql.Composed]:
        """What gives a database the settings and rights that the live one has now."""
        return [*self._settings(connection, onto), *self._grants(connection, onto)]

    def _settings(self, connection: Connection, onto: str) -> list[sql.Composed]:
        """`ALTER DATABASE … SET …` for what is set on the live database, for all roles and for single ones."""
        rows = connection.execute(
            "SELECT pg_get_userbyid(nullif(s.setrole, 0)), unnest(s.setconfig) FROM pg_db_role_setting AS s"
            " JOIN pg_database AS d ON d.oid = s.setdatabase WHERE d.datname = %s",
            [self.live],
        ).fetchall()
        statements: list[sql.Composed] = []
        for role, setting in rows:
            name, _, value = setting.partition("=")
            target = sql.SQL("DATABASE {}").format(sql.Identifier(onto))
            if role is not None:
                target = sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), sql.Identifier(onto))
            elements = list_elements(value) if name in _LISTS_OF_NAMES else [value]
            shown = sql.SQL(", ").join(map(sql.Literal, elements))
            statements.append(sql.SQL("ALTER {} SET {} TO {}").format(target, trusted(name), shown))
        return statements

    def _grants(self, connection: Connection, onto: str) -> list[sql.Composed]:
        """REVOKE and GRANT that give the new live database the rights of the one it replaces."""
        row = connection.execute("SELECT datacl IS NULL FROM pg_database WHERE datname = %s", [self.live]).fetchone()
        if row is None or row[0]:
            return []
        database = sql.Identifier(onto)
        statements = [sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database)]
        rows = connection.execute(
            "SELECT CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END,"
            " a.privilege_type, a.is_grantable"
            " FROM pg_database AS d, aclexplode(d.datacl) AS a WHERE d.datname = %s AND a.grantee <> d.datdba",
            [self.live],
        ).fetchall()
        for role, privilege, grantable in rows:
            grantee = sql.SQL("PUBLIC") if role is None else sql.Identifier(role)
            option = sql.SQL(" WITH GRANT OPTION" if grantable else "")
            statements.append(
                sql.SQL("GRANT {} ON DATABASE {} TO {}").format(trusted(privilege), database, grantee) + option
            )
        return statements
