"""What does not follow a database's name: owner, limits, `ALTER DATABASE SET` for all and for single roles, grants."""

from __future__ import annotations

import re

from psycopg import sql

from etl_runtime.postgres import Connection
from etl_runtime.trusted_sql import trusted

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


def carried(connection: Connection, database: str, onto: str) -> list[sql.Composed]:
    """Statements that give one database the owner, the limit, the settings and the rights that another has now."""
    return [
        *_owner_and_limit(connection, database, onto),
        *_settings(connection, database, onto),
        *_grants(connection, database, onto),
    ]


def _owner_and_limit(connection: Connection, database: str, onto: str) -> list[sql.Composed]:
    row = connection.execute(
        "SELECT pg_get_userbyid(datdba), datconnlimit, pg_get_userbyid(datdba) = current_user"
        " FROM pg_database WHERE datname = %s",
        [database],
    ).fetchone()
    if row is None:
        return []
    owner, limit, is_own = row
    target = sql.Identifier(onto)
    statements: list[sql.Composed] = []
    if limit >= 0:
        statements.append(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(target, sql.Literal(limit)))
    if not is_own:
        statements.append(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(target, sql.Identifier(owner)))
    return statements


def _settings(connection: Connection, database: str, onto: str) -> list[sql.Composed]:
    """`ALTER DATABASE … SET …` for what is set on a database."""
    rows = connection.execute(
        "SELECT pg_get_userbyid(nullif(s.setrole, 0)), unnest(s.setconfig) FROM pg_db_role_setting AS s"
        " JOIN pg_database AS d ON d.oid = s.setdatabase WHERE d.datname = %s",
        [database],
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


def _grants(connection: Connection, database: str, onto: str) -> list[sql.Composed]:
    """REVOKE and GRANT that give a database the rights of another."""
    row = connection.execute("SELECT datacl IS NULL FROM pg_database WHERE datname = %s", [database]).fetchone()
    if row is None or row[0]:
        return []
    target = sql.Identifier(onto)
    statements = [sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(target)]
    rows = connection.execute(
        "SELECT CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END,"
        " a.privilege_type, a.is_grantable"
        " FROM pg_database AS d, aclexplode(d.datacl) AS a WHERE d.datname = %s AND a.grantee <> d.datdba",
        [database],
    ).fetchall()
    for role, privilege, grantable in rows:
        grantee = sql.SQL("PUBLIC") if role is None else sql.Identifier(role)
        option = sql.SQL(" WITH GRANT OPTION" if grantable else "")
        statements.append(sql.SQL("GRANT {} ON DATABASE {} TO {}").format(trusted(privilege), target, grantee) + option)
    return statements
