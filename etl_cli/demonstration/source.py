"""A database of the user's own as the source: reached and measured before anything is started for it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import make_conninfo

from etl_cli.ending import RefusedError


@dataclass(frozen=True, slots=True)
class Source:
    """A database that can be dumped: a connection string with all that libpq found out, and its size in bytes."""

    dsn: str
    database_bytes: int


def reach(dsn: str) -> Source:
    """Sign in once, with whatever libpq would use (PGPASSWORD, ~/.pgpass, a service file).

    Raises:
        RefusedError: the text is no connection string, or the database cannot be reached.
    """
    try:
        connection = psycopg.connect(dsn, connect_timeout=10, application_name="postgres-etl")
    except psycopg.OperationalError as error:
        lines = str(error).splitlines()
        raise RefusedError(
            f"the source cannot be reached: {'; '.join(line.strip() for line in lines if line)}"
        ) from None
    except psycopg.Error:
        # libpq's words on a malformed string may quote its password.
        raise RefusedError("--source is no connection string such as postgresql://me@localhost/marketplace") from None
    with closing(connection):
        row = connection.execute("SELECT pg_catalog.pg_database_size(current_database())").fetchone()
        info = connection.info
        whole = make_conninfo(
            host=info.host, port=info.port, user=info.user, password=info.password, dbname=info.dbname
        )
        return Source(whole, row[0] if row else 0)
