"""A session in the scratch, on a real server."""

from __future__ import annotations

import random

import psycopg
import pytest
from etl_runtime.table_session import TableSession

from etl_local.clusters import PostgresCluster
from tests.containers.compiled_tables import expression, shape

pytestmark = pytest.mark.end_to_end


def test_rows_of_any_size_leave_in_the_order_in_which_they_came(cluster: PostgresCluster, name: str) -> None:
    """Postgres fills the gaps that larger rows left in the pages before, where it is let."""
    cluster.create_database(name, "postgres")
    choose = random.Random(5)
    try:
        with psycopg.connect(cluster.dsn(database=name), autocommit=True) as connection:
            connection.execute("CREATE TABLE t (k bigint, v text)")
            session = TableSession(connection, "UTF8")
            of = shape({"k": "bigint", "v": "text"}, {"v": expression("upper(v)")})
            for _ in range(20):
                rows = [(number, "x" * choose.randrange(2000)) for number in range(300)]
                made = session.cleaned(of, "".join(f"{key}\t{value}\n" for key, value in rows).encode())
                assert made.decode() == "".join(f"{key}\t{value.upper()}\n" for key, value in rows)
    finally:
        cluster.execute(f"DROP DATABASE {name}")  # type: ignore[arg-type]
