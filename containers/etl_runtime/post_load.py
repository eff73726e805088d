"""The target's own SQL: run in the new database before anyone sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import psycopg
from psycopg.pq import TransactionStatus

from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.postgres import Connection
from etl_runtime.postgres_errors import error_text
from etl_runtime.trusted_sql import trusted


def run_post_load(connection: Connection, scripts: Mapping[str, str]) -> None:
    """Run scripts in name order, in the connection's transaction.

    They are SQL as the server reads it: psql's commands are errors of syntax there, and so is data for COPY.

    Args:
        connection: To the new database, in a transaction.
        scripts: Name → text.

    Raises:
        Fault: DATA with the script, the line where the server says one, and the reason.
    """
    began = _transaction(connection)
    for name, text in sorted(scripts.items()):
        try:
            connection.execute(trusted(text))
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            place = error.diag.statement_position
            line = f":{text.count(chr(10), 0, int(place) - 1) + 1}" if place else ""
            raise Fault(ExitCode.DATA, f"post-load script stopped: {name}{line}: {_reason(error, text)}") from None
        if connection.info.transaction_status is not TransactionStatus.INTRANS or _transaction(connection) != began:
            raise Fault(
                ExitCode.DATA, f"post-load script stopped: {name} ends the transaction in which all of them run"
            )


def _reason(error: psycopg.Error, script: str) -> str:
    """What to say of an error: its message where all that it names stands in the script, or where it names no value."""
    message, state = error.diag.message_primary or "", error.diag.sqlstate
    if state is None:  # psycopg's own: the server waits for what `execute` does not give
        return "COPY has no data here; write INSERT"
    named = re.findall(r'"([^"]+)"', message)
    if state.startswith("42") and named and error.diag.context is None and all(name in script for name in named):
        return message
    return error_text(error)


def _transaction(connection: Connection) -> str:
    row = connection.execute("SELECT pg_catalog.pg_current_xact_id()::text").fetchone()
    return str(row[0]) if row else ""
