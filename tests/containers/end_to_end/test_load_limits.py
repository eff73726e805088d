"""Load: what the target's server has no room for, or does not take, is refused before anything is made on it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg import sql

from tests.containers.end_to_end.live_database import databases, tables
from tests.containers.end_to_end.programs import LOAD_ROLE, Programs, Run

pytestmark = pytest.mark.end_to_end

Load = Callable[..., Run]
BEFORE = {"public.before": 0}


def test_what_is_kept_no_longer_is_not_dropped_for_a_load_that_is_refused(
    programs: Programs, load: Load, live: str
) -> None:
    assert load("load-1").code == 0
    kept = databases(programs, live)
    run = load("load-2", KEEP_PREVIOUS_HOURS="0", RESTORE_JOBS="64")
    assert run.code == 75, run.text
    assert databases(programs, live) == kept


def test_a_server_without_room_for_the_sessions_is_refused_for_now(programs: Programs, load: Load, live: str) -> None:
    programs.query("postgres", f"ALTER ROLE {LOAD_ROLE} CONNECTION LIMIT 3")
    try:
        run = load()
    finally:
        programs.query("postgres", f"ALTER ROLE {LOAD_ROLE} CONNECTION LIMIT -1")
    told = "the target's server takes 2 more sessions of this role, and a load with RESTORE_JOBS 2 needs 4"
    assert (run.code, run.error, databases(programs, live)) == (75, told, [live])


def test_a_read_only_server_is_refused(programs: Programs, load: Load, live: str) -> None:
    programs.query("postgres", f"ALTER ROLE {LOAD_ROLE} SET default_transaction_read_only = on")
    try:
        run = load()
    finally:
        programs.query("postgres", f"ALTER ROLE {LOAD_ROLE} RESET default_transaction_read_only")
    told = "the target's server is read-only: a standby, or default_transaction_read_only"
    assert (run.code, run.error, databases(programs, live)) == (78, told, [live])


def test_owner_and_limit_of_the_live_database_are_kept(programs: Programs, load: Load, live: str) -> None:
    """The owner may be a group: the role that loads is a member of it."""
    group = f"owners_{live}"
    programs.cluster.create_role(group, "NOSUPERUSER CREATEDB")
    programs.query("postgres", f"GRANT {group} TO {LOAD_ROLE}")
    programs.query("postgres", f"ALTER DATABASE {live} OWNER TO {group}")
    programs.query("postgres", f"ALTER DATABASE {live} CONNECTION LIMIT 17")
    for number in (1, 2):
        run = load(f"load-{number}")
        assert run.code == 0, run.text
    state = f"SELECT pg_get_userbyid(datdba), datconnlimit FROM pg_database WHERE datname = '{live}'"
    assert programs.query("postgres", state) == [(group, 17)]
    assert "public.users" in tables(programs, live)


def test_a_locale_that_is_not_of_the_c_library_is_kept(programs: Programs, load: Load, target: str) -> None:
    name, owner = sql.Identifier(target), sql.Identifier(LOAD_ROLE)
    programs.cluster.execute(
        sql.SQL(
            "CREATE DATABASE {} OWNER {} TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
        ).format(name, owner)
    )
    run = load()
    assert run.code == 0, run.text
    state = f"SELECT datlocprovider::text, datlocale FROM pg_database WHERE datname = '{target}'"
    assert programs.query("postgres", state) == [("b", "C.UTF-8")]
