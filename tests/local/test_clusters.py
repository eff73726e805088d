"""The Postgres servers of a stand-in, and the roles and databases in them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from etl_local import clusters
from etl_local.clusters import ClusterError, ClusterTemplate, PostgresCluster
from etl_local.databases import create_source, create_target
from etl_local.postgres_installation import PostgresInstallation
from etl_local.state_directory import StateDirectory

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    with StateDirectory() as state:
        yield state.path


@pytest.fixture(scope="module")
def launchers(state: Path) -> Path:
    return PostgresInstallation.bundled().launchers(state)


@pytest.fixture(scope="module")
def template(state: Path, launchers: Path) -> ClusterTemplate:
    return ClusterTemplate(state / "template", launchers)


@pytest.fixture(scope="module")
def cluster(state: Path, launchers: Path, template: ClusterTemplate) -> Iterator[PostgresCluster]:
    with PostgresCluster(state, launchers, "shared", template) as cluster:
        yield cluster


def test_clusters_of_one_template_run_beside_each_other_and_give_their_ports_back(
    state: Path, launchers: Path, template: ClusterTemplate
):
    with (
        PostgresCluster(state, launchers, "one", template) as one,
        PostgresCluster(state, launchers, "two", template) as two,
    ):
        one.execute("CREATE DATABASE toys")
        with psycopg.connect(two.dsn()) as connection:
            names = connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate").fetchall()
            settings = connection.execute(
                "SELECT current_setting('server_encoding'), current_setting('lc_collate', true), datcollate"
                " FROM pg_database WHERE datname = 'postgres'"
            ).fetchone()
        assert names == [("postgres",)]
        assert settings is not None
        assert (settings[0], settings[2]) == ("UTF8", "C.UTF-8")
        ports = (one.port, two.port)
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_server_stops_whatever_is_connected(state: Path, launchers: Path, template: ClusterTemplate):
    with PostgresCluster(state, launchers, "busy", template) as cluster:
        connection = psycopg.connect(cluster.dsn())
        connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()


def test_a_server_listens_on_the_loopback_address_alone_and_asks_for_a_password(cluster: PostgresCluster):
    with psycopg.connect(cluster.dsn()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("SHOW unix_socket_directories").fetchone() == ("",)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(cluster.dsn(password="wrong"))


def test_a_port_that_is_taken_meanwhile_is_replaced_by_another(
    state: Path, launchers: Path, template: ClusterTemplate, cluster: PostgresCluster, monkeypatch: pytest.MonkeyPatch
):
    free = clusters.free_port
    offered = iter([cluster.port])
    monkeypatch.setattr(clusters, "free_port", lambda: next(offered, 0) or free())
    with PostgresCluster(state, launchers, "late", template) as late:
        assert late.port != cluster.port


def test_a_server_that_cannot_start_says_its_own_last_words(
    state: Path, launchers: Path, template: ClusterTemplate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(clusters, "_SETTINGS", {"shared_buffers": "no number"})
    with pytest.raises(ClusterError, match=r"the broken server did not start: .*shared_buffers"):
        PostgresCluster(state, launchers, "broken", template).__enter__()


def test_initdb_that_fails_says_its_own_last_words(state: Path, launchers: Path):
    (state / "full").mkdir()
    (state / "full" / "file").touch()
    with pytest.raises(ClusterError, match="initdb failed: "):
        ClusterTemplate(state / "full", launchers)
    assert not (state / "full.password").exists()


def test_the_dump_role_reads_everything_and_writes_nothing(state: Path, launchers: Path, template: ClusterTemplate):
    with PostgresCluster(state, launchers, "source", template) as cluster:
        source = create_source(cluster)
        with psycopg.connect(source.dsn) as owner:
            owner.execute("CREATE TABLE users (id int)")
            owner.execute("ALTER TABLE users ENABLE ROW LEVEL SECURITY")
            owner.execute("INSERT INTO users VALUES (1)")
        with psycopg.connect(cluster.dsn(source.user, source.password, source.name)) as dumper:
            assert dumper.execute("SELECT id FROM users").fetchall() == [(1,)]
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                dumper.execute("CREATE TABLE toys ()")
        with psycopg.connect(cluster.dsn()) as superuser:
            assert superuser.execute(
                "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolconfig FROM pg_roles WHERE rolname = %s",
                [source.user],
            ).fetchone() == (False, False, False, True, ["default_transaction_read_only=on"])


def test_the_load_role_replaces_its_database_without_being_a_superuser(
    state: Path, launchers: Path, template: ClusterTemplate
):
    with PostgresCluster(state, launchers, "target", template) as cluster:
        target = create_target(cluster)
        maintenance = cluster.dsn(target.user, target.password)
        with psycopg.connect(maintenance, autocommit=True) as loader:
            loader.execute("CREATE DATABASE marketplace_load")
            loader.execute("ALTER DATABASE marketplace RENAME TO marketplace_old")
            loader.execute("ALTER DATABASE marketplace_load RENAME TO marketplace")
            assert loader.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
        with psycopg.connect(target.dsn) as loader:
            assert loader.execute("SELECT current_database()").fetchone() == ("marketplace",)
