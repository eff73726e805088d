"""The sample marketplace: fills an empty database at a chosen size, the same data each time.

Its SQL makes the rows inside the server, from hashes of their numbers. Every person, address and number in it is
synthetic, in ranges that are reserved for examples.
"""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import psycopg

_BEFORE: Final = ("generator", "types")
# Two connections, so that two cores share the work; no file needs another of its own stage.
_AT_ONCE: Final = (
    ("people", "login_attempts", "suppliers", "briefs", "reporting"),
    ("services", "audit_events"),
)
_AFTER: Final = ("relations", "behaviour")
SAMPLE_BYTES: Final = 80_000_000
"""Size of the sample at scale 1, as `pg_database_size` counts it; a larger one is in proportion."""
_SETTINGS: Final = {
    "search_path": "sample_generator",
    "TimeZone": "UTC",
    "client_min_messages": "warning",
    "synchronous_commit": "off",
    "maintenance_work_mem": "128MB",
}


@dataclass(frozen=True, slots=True)
class Marketplace:
    """What was generated: bytes as `pg_database_size` counts them, and how long it took."""

    database_bytes: int
    seconds: float


def generate(conninfo: str, scale: float = 1.0) -> Marketplace:
    """Fill an empty database with the marketplace, and analyze it.

    Args:
        conninfo: a connection string, of a role that may create schemas, tables and large objects in the database.
        scale: 1 is about 80 MB, `SAMPLE_BYTES`; the number of rows is in proportion, but for a few small tables.

    Returns:
        the size and the time taken.

    Raises:
        ValueError: the scale is not a number above 0.
        psycopg.Error: the database is not empty, the role may not, or the server is gone.
    """
    if not 0 < scale < math.inf:
        raise ValueError(f"scale must be a number above 0, got {scale}")
    started = time.monotonic()
    _run(conninfo, scale, _BEFORE)
    with ThreadPoolExecutor(len(_AT_ONCE), thread_name_prefix="sample") as pool:
        list(pool.map(lambda names: _run(conninfo, scale, names), _AT_ONCE))
    _run(conninfo, scale, _AFTER)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("DROP SCHEMA sample_generator CASCADE")
        connection.execute("ANALYZE")
        size = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    return Marketplace(size[0] if size else 0, time.monotonic() - started)


def _run(conninfo: str, scale: float, names: tuple[str, ...]) -> None:
    """Run SQL files in one transaction."""
    with psycopg.connect(conninfo) as connection:
        for name, value in {**_SETTINGS, "sample_generator.scale": str(scale)}.items():
            connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        for name in names:
            connection.execute(files("etl_local.sample").joinpath("sql", f"{name}.sql").read_bytes())
