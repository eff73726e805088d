"""A database of the user's own as the source: reached and measured before anything is started for it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from etl_cli.ending import RefusedError
from etl_local.databases import SourceError, local_host

_NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Source:
    """A database that can be dumped: a connection string with all that libpq found out, and its size in bytes."""

    dsn: str
    database_bytes: int


def reach(dsn: str) -> Source:
    """Sign in once, with whatever libpq would use (PGPASSWORD, ~/.pgpass, a service file).

    Raises:
        RefusedError: the text is no connection string, it leads to another machine or through a socket, to which
            nothing is sent then, or the database cannot be reached.
    """
    try:
        host = local_host(host_of(dsn))
        connection = psycopg.connect(dsn, connect_timeout=10, application_name="postgres-etl")
    except SourceError as error:
        raise RefusedError(str(error)) from None
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
        whole = make_conninfo(host=host, port=info.port, user=info.user, password=info.password, dbname=info.dbname)
        return Source(whole, row[0] if row else 0)


def host_of(dsn: str) -> str:
    """Where a connection string leads, PG* variables and service files considered; nothing is sent there.

    Returns:
        the address or name, several with commas between; empty for libpq's own socket.

    Raises:
        psycopg.ProgrammingError: the text is no connection string.
        psycopg.OperationalError: it names a service that there is not.
    """
    # libpq works out every option before it looks at their values, and goes nowhere with a wrong one.
    # https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PQCONNECTSTARTPARAMS
    connection = pq.PGconn.connect_start(make_conninfo(dsn, sslmode=_NOWHERE).encode())
    try:
        options = {option.keyword.decode(): (option.val or b"").decode() for option in connection.info}
        if options.get("sslmode") != _NOWHERE:
            raise psycopg.OperationalError(connection.error_message.decode(errors="replace"))
    finally:
        connection.finish()
    return options["hostaddr"] or options["host"]
