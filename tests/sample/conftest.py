"""Servers of both bundled major versions, and databases with the marketplace and with the scrub functions."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
from etl_runtime.scrub_functions import install
from psycopg.rows import TupleRow

from etl_local.clusters import ClusterTemplate, PostgresCluster
from etl_local.postgres_installation import PostgresInstallation
from etl_local.sample.marketplace import Marketplace, generate

Connection = psycopg.Connection[TupleRow]
Made = TypeVar("Made")

ROOT = Path(__file__).parents[2]
RULES = ROOT / "scrub"
KEY = "5a" * 32
OWNER = "marketplace_owner"
SCALE = 0.1


@dataclass(frozen=True)
class Server:
    cluster: PostgresCluster
    programs: Path
    owner_password: str

    def new_database(self, name: str) -> str:
        """An empty database of an ordinary role, and that role's connection string to it."""
        self.cluster.create_database(name, OWNER)
        return self.dsn(name)

    def dsn(self, database: str) -> str:
        return self.cluster.dsn(OWNER, self.owner_password, database)


@pytest.fixture(scope="session")
def installations() -> Iterator[dict[int, tuple[Path, Path]]]:
    """Major version → a directory for its servers, and its programs."""
    # Not tmp_path: the server runs as another user than root, who cannot enter pytest's directories.
    with tempfile.TemporaryDirectory(prefix="sample-") as name:
        Path(name).chmod(0o755)
        places: dict[int, tuple[Path, Path]] = {}
        for major in (16, 18):
            directory = Path(name) / str(major)
            directory.mkdir()
            places[major] = directory, PostgresInstallation.bundled(major).launchers(directory)
        yield places


@pytest.fixture(scope="session")
def servers(installations: dict[int, tuple[Path, Path]]) -> Iterator[dict[int, Server]]:
    running: dict[int, Server] = {}
    try:
        for major, (directory, programs) in installations.items():
            template = ClusterTemplate(directory / "template", programs)
            cluster = PostgresCluster(directory, programs, "sample", template).__enter__()
            running[major] = Server(cluster, programs, "")
            running[major] = Server(cluster, programs, cluster.create_role(OWNER, "NOCREATEDB"))
        yield running
    finally:
        for server in running.values():
            server.cluster.stop()


@pytest.fixture(scope="session", params=[16, 18])
def server(servers: dict[int, Server], request: pytest.FixtureRequest) -> Server:
    return servers[request.param]


@pytest.fixture(scope="session")
def once() -> Callable[[Callable[[Server], Made], Server], Made]:
    """What a function makes on a server, made once: fixtures with a parameter are made again at each change of it."""
    return functools.cache(lambda make, server: make(server))


@pytest.fixture(scope="session")
def marketplace(server: Server, once: Callable[..., tuple[str, Marketplace]]) -> tuple[str, Marketplace]:
    """A marketplace at a tenth of its size, made by an ordinary role: its connection string, and what generate told."""
    return once(_marketplace, server)


def _marketplace(server: Server) -> tuple[str, Marketplace]:
    dsn = server.new_database("marketplace")
    return dsn, generate(dsn, SCALE)


@pytest.fixture(scope="session")
def scrub_database(server: Server, once: Callable[..., str]) -> str:
    """A database with the scrub functions and nothing else."""
    return once(_scrub_database, server)


def _scrub_database(server: Server) -> str:
    dsn = server.new_database("functions")
    with connect(dsn) as connection:
        install(connection, KEY)
    return dsn


@pytest.fixture(scope="session")
def empty_database(server: Server, once: Callable[..., str]) -> str:
    """A database with nothing in it; what a test does there it undoes."""
    return once(_empty_database, server)


def _empty_database(server: Server) -> str:
    return server.new_database("empty")


@pytest.fixture
def scrub(scrub_database: str) -> Iterator[Connection]:
    with connect(scrub_database) as connection:
        yield connection


def connect(dsn: str) -> Connection:
    """A session as a transform has it, without a search path."""
    connection = psycopg.connect(dsn, autocommit=True)
    connection.execute("SET search_path = ''")
    return connection
