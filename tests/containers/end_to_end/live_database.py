"""What a superuser sees of a load's target."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from tests.containers.end_to_end.programs import Programs

pytestmark = pytest.mark.end_to_end


def databases(programs: Programs, name: str) -> list[str]:
    rows = programs.query("postgres", f"SELECT datname FROM pg_database WHERE datname LIKE '{name}%' ORDER BY 1")
    return [row[0] for row in rows]


def comment(programs: Programs, database: str) -> dict[str, Any]:
    statement = f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{database}'"
    document: dict[str, Any] = json.loads(programs.query("postgres", statement)[0][0])
    return document


def tables(programs: Programs, database: str) -> dict[str, int]:
    names = programs.query(
        database, "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname !~ '^(pg_|inf)'"
    )
    return {name: programs.query(database, f"SELECT count(*) FROM ONLY {name}")[0][0] for (name,) in names}


@contextmanager
def superuser_session(programs: Programs, database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(programs.cluster.dsn(database=database), autocommit=True) as connection:
        yield connection
