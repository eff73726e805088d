"""COPY … TO STDOUT as one text: psycopg hands out a row at a time, at twice the cost of all that is done here."""

from __future__ import annotations

import select

import psycopg
from psycopg import pq, sql

from etl_runtime.postgres import Connection


def copied_out(connection: Connection, statement: sql.Composable) -> bytes:
    """The rows of a COPY statement, as COPY text.

    It may be called within `connection.transaction()`; the connection waits for nothing else.

    Raises:
        psycopg.Error: what the server says.
    """
    pgconn = connection.pgconn
    result = pgconn.exec_(statement.as_bytes(connection))
    if result.status != pq.ExecStatus.COPY_OUT:
        raise psycopg.errors.error_from_result(result, encoding="utf-8")
    rows: list[bytes] = []
    while True:
        size, data = pgconn.get_copy_data(1)
        if size > 0:
            rows.append(bytes(data))
        elif size < 0:
            break
        else:
            # Other threads go on meanwhile, which they would not within libpq.
            select.select([pgconn.socket], [], [])
            pgconn.consume_input()
    while (ended := pgconn.get_result()) is not None:
        result = ended
    if result.status != pq.ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(result, encoding="utf-8")
    return b"".join(rows)
