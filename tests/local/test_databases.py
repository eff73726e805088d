"""A database of the user's own as the source."""

from __future__ import annotations

import json

import pytest

from etl_local.databases import SourceError, existing_source


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://reader:synthetic%40pw@localhost:5499/shop",
        "host=localhost port=5499 user=reader password='synthetic@pw' dbname=shop",
    ],
)
def test_a_connection_string_of_this_machine_is_taken_apart(dsn: str):
    source = existing_source(dsn)
    assert (source.host, source.port, source.name, source.user) == ("localhost", 5499, "shop", "reader")
    assert json.loads(source.credentials()) == {"username": "reader", "password": "synthetic@pw"}
    assert source.dsn == dsn


@pytest.mark.parametrize(
    ("given", "host"), [("127.0.0.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("0:0:0:0:0:0:0:1", "::1")]
)
def test_every_loopback_address_is_this_machine(given: str, host: str):
    assert existing_source(f"host={given} user=reader dbname=shop").host == host


@pytest.mark.parametrize("socket", ["/var/run/postgresql", "@postgresql"])
def test_a_socket_is_refused_for_what_it_is(socket: str):
    with pytest.raises(SourceError, match=r"^name the source by localhost .*: tasks are not given its socket$"):
        existing_source(f"host={socket} user=reader dbname=shop")


@pytest.mark.parametrize(
    ("dsn", "why"),
    [
        ("postgresql://reader:synthetic@db.example.com/shop", "must be on this machine"),
        ("host=192.0.2.1 user=reader dbname=shop", "must be on this machine"),
        ("host=::ffff:192.0.2.1 user=reader dbname=shop", "must be on this machine"),
        ("host=localhost,db.example.com user=reader dbname=shop", "must be on this machine"),
        ("postgresql://localhost", "has no user, dbname"),
        ("postgresql://reader:synthetic@localhost/shop?nonsense=1", "is no connection string"),
        ("shop", "is no connection string"),
    ],
)
def test_a_connection_string_that_cannot_be_the_source_is_refused_without_its_password(dsn: str, why: str):
    with pytest.raises(SourceError, match=why) as caught:
        existing_source(dsn)
    assert "synthetic" not in str(caught.value)
