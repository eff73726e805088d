"""Load in place: the content of the live database is replaced in one transaction, or stays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.containers.aws_account import ACCOUNT, REGION
from tests.containers.end_to_end.clean_dump import CleanDump
from tests.containers.end_to_end.live_database import comment, databases, tables
from tests.containers.end_to_end.programs import LOAD_ROLE, Programs, Run, wait_until
from tests.containers.end_to_end.source_database import TABLES

pytestmark = pytest.mark.end_to_end

Load = Callable[..., Run]
BEFORE = {"public.before": 0}
IN_PLACE = {"RESTORE_MODE": "in-place"}


@pytest.fixture
def without_createdb(programs: Programs) -> object:
    """The load role as a server has it where no second database is allowed."""
    programs.query("postgres", f"ALTER ROLE {LOAD_ROLE} NOCREATEDB")
    yield
    programs.query("postgres", f"ALTER ROLE {LOAD_ROLE} CREATEDB")


@pytest.mark.usefixtures("without_createdb")
def test_the_content_is_replaced_and_the_database_stays_the_same_one(
    programs: Programs, load: Load, live: str, released: tuple[str, Path]
) -> None:
    programs.query(live, f"CREATE SCHEMA gone AUTHORIZATION {LOAD_ROLE}; CREATE TABLE gone.by AS SELECT 1")
    programs.query("postgres", f"ALTER DATABASE {live} SET statement_timeout = '7s'")
    oid = programs.query("postgres", f"SELECT oid FROM pg_database WHERE datname = '{live}'")
    run = load(**IN_PLACE, POST_LOAD_SCRIPTS='{"10.sql": "CREATE TABLE mine (id integer);"}')
    assert run.code == 0, run.text
    finished = run.event("finished")
    assert (finished["rows"], finished["tables"]) == (sum(TABLES.values()), len(TABLES))
    assert programs.query("postgres", f"SELECT oid FROM pg_database WHERE datname LIKE '{live}%'") == oid
    assert tables(programs, live) == {**TABLES, "public.events": 0, "public.mine": 0}
    assert programs.query(live, "SELECT nextval('users_id_seq')") == [(201,)]
    assert programs.query(live, "SELECT count(*) FROM totals") == [(200,)]
    assert programs.query(live, "SELECT reltuples FROM pg_class WHERE relname = 'catalogue'") == [(5000.0,)]
    assert programs.query(live, "SELECT has_schema_privilege('public', 'public', 'USAGE')") == [(True,)]
    (mark,) = comment(programs, live).values()
    manifest = CleanDump.read(programs, released[0]).objects["manifest.json"]
    assert mark.pop("loaded_at")
    assert mark == {
        "execution_id": f"arn:aws:states:{REGION}:{ACCOUNT}:execution:postgres-etl:load-1",
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
    }
    again = load(**IN_PLACE)
    assert (again.code, again.event("finished")["already_done"]) == (0, True)


def test_what_fails_in_place_leaves_the_content_as_it_was(programs: Programs, load: Load, live: str) -> None:
    run = load(**IN_PLACE, POST_LOAD_SCRIPTS='{"10.sql": "SELECT 1;\\nSELECT * FROM nothing_there;"}')
    told = 'post-load script stopped: 10.sql:2: relation "nothing_there" does not exist'
    assert (run.code, run.error, tables(programs, live), databases(programs, live)) == (65, told, BEFORE, [live])


def test_sigterm_in_place_leaves_the_content_as_it_was(
    programs: Programs, live: str, released: tuple[str, Path]
) -> None:
    bucket, rules = released
    slow = {"POST_LOAD_SCRIPTS": json.dumps({"10.sql": "SELECT pg_sleep(60)"})}
    environment = programs.load_environment("load-1", "nightly", bucket, live, rules, **IN_PLACE, **slow)
    process = programs.start("pg_restore", environment)
    sleeping = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{live}' AND wait_event = 'PgSleep'"
    run = programs.terminated(process, lambda: bool(programs.query("postgres", sleeping)))
    assert run.code == 143, run.text
    programs.query("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{live}'")
    wait_until(lambda: tables(programs, live) == BEFORE)


REFUSED = {
    "another's schema": (
        "CREATE SCHEMA theirs",
        78,
        "schema theirs of {live} belongs to postgres: etl_load cannot replace it",
    ),
    "another's database": (
        "ALTER DATABASE {live} OWNER TO postgres",
        78,
        "etl_load does not own {live}: make it the owner",
    ),
}


@pytest.mark.parametrize(("statement", "code", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_another_s_is_not_replaced_in_place(
    programs: Programs, load: Load, live: str, statement: str, code: int, told: str
) -> None:
    programs.query(live, statement.replace("{live}", live))
    run = load(**IN_PLACE)
    assert (run.code, run.error) == (code, told.replace("{live}", live))
    assert tables(programs, live) == BEFORE
