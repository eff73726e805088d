"""COPY out as one text, on a real server."""

from __future__ import annotations

import psycopg
import pytest
from etl_runtime.copy_out import copied_out
from etl_runtime.postgres import Connection
from psycopg import sql

from etl_local.clusters import PostgresCluster

pytestmark = pytest.mark.end_to_end


def test_the_text_is_all_rows_whatever_their_size_and_the_connection_can_go_on(cluster: PostgresCluster) -> None:
    with psycopg.connect(cluster.dsn(database="postgres"), autocommit=True) as connection:
        query = sql.SQL("COPY (SELECT n, repeat('x', n * 7) FROM generate_series(1, 3000) AS n) TO STDOUT")
        text = copied_out(connection, query)
        assert text == b"".join(f"{n}\t{'x' * (n * 7)}\n".encode() for n in range(1, 3001))
        assert copied_out(connection, sql.SQL("COPY (SELECT 1 WHERE false) TO STDOUT")) == b""
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("COPY (SELECT nothing) TO STDOUT", psycopg.errors.UndefinedColumn),
        ("COPY (SELECT 1 / (50 - n) FROM generate_series(1, 100) AS n) TO STDOUT", psycopg.errors.DivisionByZero),
        ("SELECT 1", psycopg.Error),
    ],
)
def test_an_error_before_or_between_rows_is_raised_and_the_transaction_undone(
    cluster: PostgresCluster, statement: str, error: type[psycopg.Error]
) -> None:
    with psycopg.connect(cluster.dsn(database="postgres"), autocommit=True) as connection:
        with pytest.raises(error):
            _make_and_copy(connection, statement)
        assert connection.execute("SELECT to_regclass('pg_temp.made')").fetchone() == (None,)


def _make_and_copy(connection: Connection, statement: str) -> None:
    with connection.transaction():
        connection.execute("CREATE TEMP TABLE made (n integer)")
        copied_out(connection, sql.SQL(statement))  # type: ignore[arg-type]
