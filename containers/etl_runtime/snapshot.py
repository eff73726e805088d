"""One moment of the source database."""

from __future__ import annotations

from datetime import UTC, datetime

from etl_runtime.postgres import Connection


def now() -> str:
    """This moment, as manifests have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Snapshot:
    """A transaction whose snapshot pg_dump shares, and what is known of the database in it.

    Attributes:
        identifier: By which pg_dump takes the same snapshot.
        lsn: Where the source's log was; on a standby, how far it had replayed.
        unlogged_tables: Names of those whose rows a standby does not have, so that pg_dump leaves them out.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        row = connection.execute(
            "SELECT pg_export_snapshot(), pg_database_size(current_database()), current_setting('server_version'),"
            " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text"
        ).fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        self.identifier, self.database_bytes, self.server_version, self.lsn = row
        self.taken_at = now()
        self._files = connection.execute(
            "SELECT oid::bigint, relfilenode::bigint FROM pg_catalog.pg_class WHERE relkind = 'r' AND oid >= 16384"
        ).fetchall()
        self.unlogged_tables: list[str] = [
            name
            for (name,) in connection.execute(
                "SELECT oid::regclass::text FROM pg_catalog.pg_class WHERE relkind = 'r' AND relpersistence = 'u'"
                " AND pg_is_in_recovery() ORDER BY 1"
            )
        ]

    def largest_tables(self, number: int) -> int:
        """Bytes of the largest tables as of their last VACUUM or ANALYZE: to look at them now would wait for locks."""
        row = self._connection.execute(
            "SELECT coalesce(sum(pages), 0)::bigint * current_setting('block_size')::bigint FROM"
            " (SELECT t.relpages + coalesce(o.relpages, 0) AS pages FROM pg_catalog.pg_class AS t"
            " LEFT JOIN pg_catalog.pg_class AS o ON o.oid = t.reltoastrelid"
            " WHERE t.relkind = 'r' ORDER BY pages DESC LIMIT %s) AS largest",
            (number,),
        ).fetchone()
        assert row is not None  # noqa: S101 - an aggregate has one row
        return row[0]

    @property
    def server_major(self) -> int:
        """Major version of the server."""
        return self._connection.info.server_version // 10000

    def rewritten_tables(self, connection: Connection) -> list[str]:
        """Names of the tables whose rows are in another file by now.

        Args:
            connection: One that has a snapshot of now.
        """
        found = connection.execute(
            "SELECT t.oid::regclass::text FROM pg_catalog.pg_class AS t"
            " JOIN unnest(%s::bigint[], %s::bigint[]) AS seen (oid, file) ON seen.oid = t.oid::bigint"
            " WHERE t.relfilenode::bigint <> seen.file ORDER BY 1",
            ([oid for oid, _ in self._files], [file for _, file in self._files]),
        )
        return [name for (name,) in found]
