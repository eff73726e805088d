"""The two databases of a stand-in: one to dump, and one to replace, with the roles that real ones would have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from etl_local.clusters import HOST, PostgresCluster

DATABASE: Final = "marketplace"
OWNER: Final = "marketplace_owner"
DUMP_ROLE: Final = "etl_dump"
LOAD_ROLE: Final = "etl_load"
_LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class SourceError(Exception):
    """A connection string that cannot be the source; the message says why and repeats no password."""


@dataclass(frozen=True, kw_only=True)
class Database:
    """One database as the pipeline sees it, and as a person does.

    Attributes:
        host: of the server, a loopback name or address.
        port: of the server.
        name: the database's.
        user: the role by which the pipeline signs in.
        password: that role's.
        dsn: a connection string for whoever fills it, or looks at it.
    """

    host: str
    port: int
    name: str
    user: str
    password: str
    dsn: str

    def credentials(self) -> str:
        """The text of the secret: `{"username", "password"}` as JSON."""
        return json.dumps({"username": self.user, "password": self.password})


def create_source(cluster: PostgresCluster) -> Database:
    """An empty database of an owner, and the role that may read all of it and write nothing."""
    owner_password = cluster.create_role(OWNER, "NOCREATEDB")
    dump_password = cluster.create_role(DUMP_ROLE, "BYPASSRLS", member_of=("pg_read_all_data",))
    cluster.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(sql.Identifier(DUMP_ROLE)))
    cluster.create_database(DATABASE, OWNER)
    return _database(cluster, DUMP_ROLE, dump_password, cluster.dsn(OWNER, owner_password, DATABASE))


def create_target(cluster: PostgresCluster) -> Database:
    """A live database with nothing in it, and its owner: no superuser, but with what RDS gives a master user."""
    password = cluster.create_role(LOAD_ROLE, "CREATEDB CREATEROLE", member_of=("pg_monitor", "pg_signal_backend"))
    cluster.create_database(DATABASE, LOAD_ROLE)
    return _database(cluster, LOAD_ROLE, password, cluster.dsn(LOAD_ROLE, password, DATABASE))


def existing_source(dsn: str) -> Database:
    """A database of the user's own as the source.

    Args:
        dsn: a connection string with host, user and database; the role needs no more than to read all of it.

    Raises:
        SourceError: a part is missing, or see `local_host`.
    """
    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
    except Exception:
        raise SourceError("the source is no connection string of libpq's") from None
    missing = [name for name in ("host", "user", "dbname") if not parts.get(name)]
    if missing:
        raise SourceError(f"the source's connection string has no {', '.join(missing)}")
    return Database(
        host=local_host(parts["host"]),
        port=int(parts.get("port", "5432")),
        name=parts["dbname"],
        user=parts["user"],
        password=parts.get("password", ""),
        dsn=dsn,
    )


def local_host(host: str) -> str:
    """The host of a source as a task gets it: `localhost`, or a loopback address in its usual form.

    Args:
        host: a name, an address, or a socket's directory; empty for libpq's own socket.

    Raises:
        SourceError: it is a socket, or not this machine.
    """
    if not host or host[0] in "/@":
        raise SourceError("name the source by localhost or another loopback address: tasks are not given its socket")
    if host == "localhost":
        return host
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if address is None or not any(address in network for network in _LOOPBACK):
        raise SourceError(
            "the source must be on this machine (localhost or another loopback address), for a stand-in uses no TLS: "
            "open a tunnel to another"
        )
    return str(address)


def _database(cluster: PostgresCluster, user: str, password: str, dsn: str) -> Database:
    return Database(host=HOST, port=cluster.port, name=DATABASE, user=user, password=password, dsn=dsn)
