"""What the target's server must have room for, looked up before anything is made on it."""

from __future__ import annotations

from collections.abc import Collection

from etl_runtime.contract import Env, ExitCode
from etl_runtime.faults import Fault
from etl_runtime.postgres import Connection
from etl_runtime.program import logger

_GIB = 1 << 30
_MOST_INDEX_KIB = 2 << 20
_SESSIONS_BESIDE_JOBS = 3
"""The one with the lock, the one that drops or swaps, and one of pg_restore's beside its jobs."""


def check_server(connection: Connection, jobs: int) -> None:
    """Refuse a server that takes no writes, or not as many sessions as a load needs.

    Raises:
        Fault: CONFIG for a read-only one, TRANSIENT where too many sessions are there just now.
    """
    row = connection.execute(
        "SELECT current_setting('transaction_read_only')::boolean,"
        " least(current_setting('max_connections')::integer"
        "       - current_setting('superuser_reserved_connections')::integer"
        "       - coalesce(current_setting('reserved_connections', true), '0')::integer"
        "       - (SELECT count(*) FROM pg_stat_activity WHERE usesysid IS NOT NULL),"
        "   (SELECT nullif(rolconnlimit, -1) - (SELECT count(*) FROM pg_stat_activity WHERE usesysid = r.oid)"
        "    FROM pg_roles AS r WHERE rolname = current_user))"
    ).fetchone()
    is_read_only, free = (bool(row[0]), int(row[1])) if row else (True, 0)
    if is_read_only:
        raise Fault(ExitCode.CONFIG, "the target's server is read-only: a standby, or default_transaction_read_only")
    # This very session is one of them.
    wanted = jobs + _SESSIONS_BESIDE_JOBS - 1
    if free < wanted:
        raise Fault(
            ExitCode.TRANSIENT,
            f"the target's server takes {max(free, 0)} more sessions of this role, and a load with "
            f"{Env.RESTORE_JOBS} {jobs} needs {wanted}",
        )


def check_storage(connection: Connection, storage_gib: int, database_bytes: int, leaving: Collection[str]) -> None:
    """Refuse a load for which the server's disk has not the room.

    Only who deployed it knows how large an RDS instance's disk is; what is on it, its databases say. The new database
    takes what it took at the source, and half of that again while its indexes are sorted and its log is kept.

    Args:
        connection: To any database of the server.
        storage_gib: The disk's size; 0 where it is not known, and nothing is refused then.
        database_bytes: The database's size at the source.
        leaving: Databases that will be dropped first.

    Raises:
        Fault: NO_SPACE, with both sizes.
    """
    if storage_gib == 0:
        return
    row = connection.execute(
        "SELECT coalesce(sum(CASE WHEN has_database_privilege(oid, 'CONNECT')"
        " OR pg_has_role('pg_read_all_stats', 'USAGE') THEN pg_database_size(oid) END), 0)"
        " FROM pg_database WHERE datname <> ALL(%s)",
        [list(leaving)],
    ).fetchone()
    used = int(row[0]) if row else 0
    free, wanted = storage_gib * _GIB - used, database_bytes * 3 // 2
    logger().info("storage", bytes_free=free, bytes_wanted=wanted)
    if free < wanted:
        raise Fault(
            ExitCode.NO_SPACE,
            f"the target's disk has {max(free, 0) / _GIB:.1f} GiB free, and a load of this dump needs "
            f"{wanted / _GIB:.1f} GiB: enlarge it, or keep fewer previous databases",
        )


def index_options(connection: Connection, jobs: int) -> str:
    """`PGOPTIONS` for the sessions that make indexes: as much memory as the server's size allows.

    All of them together take no more than the server's own cache does, by RDS's default a quarter of its memory. Two
    workers help with an index from 96 MiB on: https://www.postgresql.org/docs/current/runtime-config-resource.html
    """
    row = connection.execute(
        "SELECT (SELECT setting::bigint * 8 FROM pg_settings WHERE name = 'shared_buffers'),"
        " (SELECT setting::bigint FROM pg_settings WHERE name = 'maintenance_work_mem')"
    ).fetchone()
    cache_kib, own_kib = (int(row[0]), int(row[1])) if row else (0, 0)
    memory_kib = max(own_kib, min(cache_kib // jobs, _MOST_INDEX_KIB))
    return f"-c maintenance_work_mem={memory_kib}kB -c synchronous_commit=off"
