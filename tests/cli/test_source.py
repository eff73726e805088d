"""A source of the user's own: where it leads is known before anything is sent there."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from etl_cli.demonstration.source import host_of, reach
from etl_cli.ending import RefusedError

Refused = Callable[[str], str]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGSERVICEFILE", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Why a source is refused, by a program that would fail the test by signing in."""

    def connect(*_: Any, **__: Any) -> Any:
        pytest.fail("it was signed in")

    def refuse(dsn: str) -> str:
        monkeypatch.setattr(psycopg, "connect", connect)
        with pytest.raises(RefusedError) as caught:
            reach(dsn)
        return str(caught.value)

    return refuse


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://me:synthetic@db.example.com/shop",
        "postgresql://me:synthetic@localhost:5432,db.example.com:5432/shop",
        "host=localhost hostaddr=192.0.2.1 dbname=shop",
    ],
)
def test_another_machine_is_refused_before_the_password_is_sent_there(refused: Refused, dsn: str) -> None:
    assert refused(dsn) == (
        "the source must be on this machine (localhost or another loopback address), for a stand-in uses no TLS: "
        "open a tunnel to another"
    )


def test_another_machine_is_seen_behind_a_variable_and_a_service(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    services = tmp_path / "services"
    services.write_text("[shop]\nhost=db.example.com\ndbname=shop\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    assert host_of("service=shop") == "db.example.com"
    monkeypatch.setenv("PGHOST", "192.0.2.1")
    assert host_of("postgresql:///shop") == "192.0.2.1"
    assert refused("dbname=shop").startswith("the source must be on this machine")


@pytest.mark.parametrize("dsn", ["postgresql:///shop", "host=/var/run/postgresql dbname=shop"])
def test_a_socket_is_refused_for_what_it_is(refused: Refused, dsn: str) -> None:
    assert refused(dsn).startswith("name the source by localhost")


def test_a_service_that_is_not_there_is_named(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICEFILE", "/dev/null")
    assert refused("service=shop") == 'the source cannot be reached: definition of service "shop" not found'


def test_to_find_where_it_leads_nothing_is_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        assert host_of(f"postgresql://me@127.0.0.1:{port}/shop") == "127.0.0.1"
        with pytest.raises(BlockingIOError):
            server.accept()
        with socket.create_connection(("127.0.0.1", port)):  # what was sent would have been noticed
            server.setblocking(True)
            server.accept()[0].close()
