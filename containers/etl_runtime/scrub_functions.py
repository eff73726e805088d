"""Schema `scrub` of a database: the pseudonyms' functions, and in them the key."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files

from etl_runtime.postgres import Connection
from etl_runtime.trusted_sql import trusted

_KEY = re.compile(r"(?:[0-9a-fA-F]{2}){32,64}")
_BLOCK = 64
_FILES = ("digest", "texts", "people", "numbers", "types", "arrays", "json")
"""In the order in which they need each other."""


def definitions(server_version: int) -> Iterator[str]:
    """The SQL files that make the functions, without a key: each of them raises when it is called.

    Args:
        server_version: As libpq tells it, 170004 for 17.4; from 14 on.
    """
    since = "since_16" if server_version >= 160000 else "before_16"
    for name in (*_FILES[:-2], since, *_FILES[-2:]):
        yield files("etl_runtime").joinpath(f"sql/{name}.sql").read_text(encoding="utf-8")


def key_constants(key: str) -> dict[str, bytes]:
    """What is made of the key, by the name of the function that returns it.

    Raises:
        ValueError: The key is not the hex of 32 to 64 bytes.
    """
    if not _KEY.fullmatch(key):
        raise ValueError("the scrub key has not 64 to 128 hexadecimal digits")
    block = bytes.fromhex(key).ljust(_BLOCK, b"\0")
    return {
        "inner_pad": bytes(byte ^ 0x36 for byte in block),
        "outer_pad": bytes(byte ^ 0x5C for byte in block),
        "round_key": hmac.digest(block, b"round_key:", sha256),
    }


def install(connection: Connection, key: str) -> None:
    """Make schema `scrub`, all of it or nothing; any role may call its functions.

    The key becomes three constants in function bodies. Whoever may read the catalog of this database can read them, as
    whoever may run a script in it could read a setting; and the files that hold the catalog hold the originals as well.

    Args:
        connection: To the database, as the role that will own the functions.
        key: Hex of 32 to 64 secret bytes.

    Raises:
        ValueError: The key is not such.
        psycopg.errors.DuplicateSchema: There is a schema of this name.
    """
    constants = key_constants(key)
    with connection.transaction():
        for text in definitions(connection.info.server_version):
            connection.execute(trusted(text))
        for name, constant in constants.items():
            _define(connection, f"{name}()", "bytea", f"decode('{constant.hex()}', 'hex')")
        if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
            _define(connection, "octets(value text)", "bytea", "convert_to(value, 'SQL_ASCII')")
        connection.execute("GRANT USAGE ON SCHEMA scrub TO PUBLIC")


def _define(connection: Connection, signature: str, result: str, expression: str) -> None:
    connection.execute(
        trusted(
            f"CREATE OR REPLACE FUNCTION scrub.{signature} RETURNS {result}"
            f" LANGUAGE sql STABLE PARALLEL SAFE RETURN {expression}"
        )
    )
