"""Extract from a standby: the same dump, at the place in the log that it has replayed."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from etl_local import clusters
from etl_local.clusters import ClusterTemplate, PostgresCluster
from tests.containers.end_to_end.programs import DUMP_ROLE, Programs, wait_until

pytestmark = pytest.mark.end_to_end

MANIFEST = "dev/nightly/etl-dump/manifest.json"
REPLICATION = {
    "wal_level": "replica",
    "max_wal_senders": "4",
    # A standby's session stands in the way of what it replays for no time at all.
    "max_standby_streaming_delay": "0",
}


class Backup:
    """What a standby's data directory is made of: a base backup of its primary."""

    def __init__(self, primary: PostgresCluster, template: ClusterTemplate, launchers: Path) -> None:
        self.password = template.password
        self._owner = template.directory.stat()
        self._primary = primary
        self._launchers = launchers

    def copy_to(self, directory: Path) -> None:
        argv = [self._launchers / "pg_basebackup", "--checkpoint=fast", "--write-recovery-conf", "--no-sync", "-D"]
        parts = conninfo_to_dict(self._primary.dsn())
        environment = {
            "PATH": os.defpath,
            "PGHOST": str(parts["host"]),
            "PGPORT": str(parts["port"]),
            "PGUSER": str(parts["user"]),
            "PGPASSWORD": self.password,
        }
        subprocess.run([*argv, directory], env=environment, check=True)
        for path in (directory, *directory.rglob("*")):
            os.chown(path, self._owner.st_uid, self._owner.st_gid)


@dataclass
class Pair:
    """A primary and its standby; `programs` are those whose source is the standby."""

    primary: PostgresCluster
    programs: Programs

    def change(self, *statements: str) -> None:
        """Change the primary, and wait until the standby has replayed it."""
        with psycopg.connect(self.primary.dsn(), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())
            row = connection.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        assert row is not None
        reached = f"SELECT 1 WHERE pg_last_wal_replay_lsn() >= '{row[0]}'"
        wait_until(lambda: bool(self.programs.query("postgres", reached)))


@pytest.fixture(scope="module")
def pair(servers_directory: Path, launchers: Path, programs_of_session: Programs) -> Iterator[Pair]:
    directory = servers_directory / "pair"
    directory.mkdir()
    directory.chmod(0o777)
    template = ClusterTemplate(directory / "template", launchers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "_SETTINGS", {**clusters._SETTINGS, **REPLICATION})
        patch.setattr(clusters, "_READY", "database system is ready to accept")  # read-only connections, a standby
        with PostgresCluster(directory, launchers, "primary", template) as primary:
            password = primary.create_role(DUMP_ROLE, "BYPASSRLS", ("pg_read_all_data",))
            backup = Backup(primary, template, launchers)
            with PostgresCluster(directory, launchers, "standby", backup) as standby:  # type: ignore[arg-type]
                programs = replace(programs_of_session, cluster=standby, passwords={DUMP_ROLE: password}, started=[])
                yield Pair(primary, programs)
                programs.end_all()


def _rows(pair: Pair, bucket: str) -> dict[str, int]:
    manifest = json.loads(pair.programs.objects(bucket)[MANIFEST])
    return {file["table"]: file["rows"] for file in manifest["files"] if file["table"]}


def test_a_standby_is_dumped_and_says_which_tables_have_no_rows_there(pair: Pair, bucket: str) -> None:
    pair.change(
        "CREATE TABLE users AS SELECT generate_series(1, 7) AS id",
        "CREATE UNLOGGED TABLE cache AS SELECT 1 AS id",
    )
    run = pair.programs.run("pg_dump", pair.programs.extract_environment("nightly", "postgres", bucket))
    pair.change("DROP TABLE users, cache")
    assert run.code == 0, run.text
    assert _rows(pair, bucket) == {"public.users": 7}
    manifest = json.loads(pair.programs.objects(bucket)[MANIFEST])
    replayed = f"SELECT '{manifest['snapshot']['lsn']}'::pg_lsn <= pg_last_wal_replay_lsn()"
    assert pair.programs.query("postgres", replayed) == [(True,)]
    assert run.event("unlogged_tables_are_empty_on_a_standby")["tables"] == ["cache"]


def test_a_conflict_with_recovery_is_a_passing_fault(pair: Pair, bucket: str) -> None:
    """The primary has taken the rows away that the dump is about to read."""
    pair.change("CREATE TABLE large AS SELECT n, md5(n::text) FROM generate_series(1, 1000000) AS n")
    environment = pair.programs.extract_environment("nightly", "postgres", bucket)
    process = pair.programs.start("pg_dump", environment)
    copying = (
        f"SELECT 1 FROM pg_stat_activity WHERE usename = '{DUMP_ROLE}' AND state = 'active' AND query LIKE 'COPY%'"
    )
    wait_until(lambda: bool(pair.programs.query("postgres", copying)))
    pair.change("TRUNCATE large")
    run = pair.programs.ended(process)
    assert run.code == 75, run.text
    # Either is true, and which is seen first is chance.
    assert re.search("due to conflict with recovery|was truncated or rewritten after the snapshot", run.error)
    assert MANIFEST not in pair.programs.objects(bucket)
    again = pair.programs.run("pg_dump", environment)
    assert (again.code, _rows(pair, bucket)) == (0, {"public.large": 0}), again.text
    pair.change("DROP TABLE large")
