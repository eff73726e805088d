"""The swap: two databases change names in one transaction, forth by a load and back by a rollback."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql

from etl_runtime.carried_settings import carried
from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault, releasing
from etl_runtime.postgres import Connection
from etl_runtime.postgres_errors import error_text
from etl_runtime.target_database import MAINTENANCE_DATABASE, TargetDatabase, load_mark, now

_EVERY_SECONDS = 0.02


def swap_in(target: TargetDatabase, connection: Connection, manifest_sha256: str) -> None:
    """Make the loaded database the live one, and keep the previous one under another name.

    What is set on the live database does not follow a name, so the new one gets it in the same transaction. On any
    failure the previous one stays live, and open.

    Args:
        target: The load.
        connection: That of `TargetDatabase.locked`.
        manifest_sha256: Of the dump that was loaded.

    Raises:
        Fault: UNAVAILABLE when the renames are refused or sessions do not end.
    """
    mark = load_mark(target.execution_id, manifest_sha256)
    if not target.exists(connection, target.live):
        with connection.transaction():
            _rename(connection, target.load, target.live)
            target.write_mark(connection, target.live, mark)
            releasing.set()
        return
    replaced = {**target.mark(connection, target.live), "replaced_at": mark["loaded_at"]}
    _exchange(target, connection, [(target.live, target.old), (target.load, target.live)], mark, replaced)


def roll_back(target: TargetDatabase, connection: Connection) -> bool:
    """Make the database that a load replaced the live one again, and keep what the load brought in its stead.

    Doing it again changes nothing: a rollback names the load that it undoes.

    Args:
        target: Of the load to undo.
        connection: That of `TargetDatabase.locked`.

    Returns:
        Whether there was something to do.

    Raises:
        Fault: REFUSED when the live database is another load's work, NO_INPUT when the previous one is there no more,
            UNAVAILABLE when the renames are refused or sessions do not end.
    """
    execution = target.execution_id.rpartition(":")[2]
    brought, replaced = target.mark(connection, target.live), target.mark(connection, target.old)
    if target.is_work_of_this(replaced):
        return False
    if not target.is_work_of_this(brought):
        raise Fault(ExitCode.REFUSED, f"{target.live} is not what load {execution} brought: nothing is rolled back")
    if not target.exists(connection, target.old):
        raise Fault(ExitCode.NO_INPUT, f"what load {execution} replaced is kept no more: load an earlier dump instead")
    live_again = {key: value for key, value in replaced.items() if key != "replaced_at"}
    out = {**brought, "replaced_at": now().isoformat(timespec="seconds")}
    renames = [(target.live, target.load), (target.old, target.live), (target.load, target.old)]
    _exchange(target, connection, renames, live_again, out)
    return True


def _exchange(
    target: TargetDatabase,
    connection: Connection,
    renames: Sequence[tuple[str, str]],
    live_mark: Mapping[str, Any],
    old_mark: Mapping[str, Any],
) -> None:
    statements = carried(connection, target.live, target.live)
    try:
        with _sessions_ending(target), connection.transaction():
            for name, onto in renames:
                _rename(connection, name, onto)
            for statement in statements:
                connection.execute(statement)
            target.write_mark(connection, target.old, old_mark)
            target.write_mark(connection, target.live, live_mark)
            releasing.set()
    except psycopg.Error as error:
        if error.sqlstate is None or error.sqlstate.startswith("57P"):
            # The connection is gone, and perhaps after the server had done it all; the next run will see.
            raise
        raise Fault(ExitCode.UNAVAILABLE, f"swap refused, {target.live} is as it was: {error_text(error)}") from None


@contextmanager
def _sessions_ending(target: TargetDatabase) -> Generator[None]:
    """Sessions of the databases that are renamed are told to end, over and over, until the block is done.

    A rename locks its database, waits for its sessions to be gone for up to five seconds, and fails otherwise; who
    comes meanwhile waits for that lock (`RenameDatabase` in dbcommands.c). So nobody slips in, and nothing has to be
    closed that a killed program would leave closed.
    """
    done = threading.Event()

    def end_sessions(connection: Connection) -> None:
        connection.execute(
            # The kind of others' sessions is hidden from an ordinary role; those of no user are the server's own.
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ANY(%s) AND usesysid IS NOT NULL",
            [[target.live, target.old]],
        )

    def keep_ending(connection: Connection) -> None:
        with suppress(psycopg.Error):  # then the rename fails, and says so
            while not done.wait(_EVERY_SECONDS):
                end_sessions(connection)

    with target.access.connect(MAINTENANCE_DATABASE) as connection:
        end_sessions(connection)
        thread = threading.Thread(target=keep_ending, args=[connection], name="sessions")
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _rename(connection: Connection, name: str, onto: str) -> None:
    connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(onto)))
