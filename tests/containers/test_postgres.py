from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from etl_runtime import postgres
from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault, Terminated
from etl_runtime.postgres import (
    CLIENT_FLOOR,
    Access,
    check_client,
    clean_environment,
    lost_connections,
    run_tool,
    tool,
    tool_fault,
    tool_version,
)
from etl_runtime.program import run
from etl_runtime.settings.database import Database

DATABASE = Database(
    host="target.example.com",
    port=5432,
    name='it\'s a "name"; --',
    user="etl_load",
    password="correct-horse-4711",
    authentication="secret",
    sslmode="verify-full",
    sslrootcert="/etc/postgres-etl/rds-ca.pem",
)
Program = Callable[[str, str], Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Puts a program of this name on PATH; its body is Python."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def write(name: str, body: str) -> Path:
        path = tmp_path / name
        path.write_text(f"#!{sys.executable} -IS\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


def test_a_tool_reaches_the_database_by_variables_alone() -> None:
    variables = {
        "PGHOST": "target.example.com",
        "PGPORT": "5432",
        "PGDATABASE": 'it\'s a "name"; --',
        "PGUSER": "etl_load",
        "PGPASSWORD": "correct-horse-4711",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/etc/postgres-etl/rds-ca.pem",
        "PGCONNECT_TIMEOUT": "10",
        "PGAPPNAME": "postgres-etl",
    }
    access = Access(DATABASE, "eu-west-2")
    assert access.tool_environment() == variables
    assert access.tool_environment("other") == variables | {"PGDATABASE": "other"}
    local = Access(replace(DATABASE, host="127.0.0.1", sslmode="disable"), "eu-west-2").tool_environment()
    assert local == {k: v for k, v in variables.items() if k != "PGSSLROOTCERT"} | {
        "PGHOST": "127.0.0.1",
        "PGSSLMODE": "disable",
    }


def test_each_use_has_a_token_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is good for 15 minutes; the last connection of a load is made hours after the first."""
    asked: list[tuple[str, str, int, str]] = []

    def sign(region: str, host: str, port: int, user: str) -> str:
        asked.append((region, host, port, user))
        return f"token {len(asked)}"

    monkeypatch.setattr(postgres, "database_token", sign)
    access = Access(replace(DATABASE, authentication="iam", password=None), "eu-west-2")
    assert [access.tool_environment()["PGPASSWORD"] for _ in range(3)] == ["token 1", "token 2", "token 3"]
    assert set(asked) == {("eu-west-2", "target.example.com", 5432, "etl_load")}


def test_a_child_gets_nothing_of_the_program_s_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "DB_CREDENTIALS", "PGOPTIONS"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("PATH", "/usr/bin")
    environment = clean_environment({"PGHOST": "x"})
    assert environment["PATH"] == "/usr/bin"
    assert environment["PGHOST"] == "x"
    assert set(environment) <= {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PGHOST"}


def test_a_tool_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Fault) as stopped:
        tool("pg_dump")
    assert (stopped.value.code, stopped.value.message) == (
        ExitCode.CONFIG,
        "pg_dump is not on PATH: the image lacks Postgres's tools",
    )


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("pg_dump (PostgreSQL) 18.6", (18, 6)),
        ("pg_dump (PostgreSQL) 16.15 (Debian 16.15-1.pgdg12+1)", (16, 15)),
    ],
)
def test_a_tool_s_version_is_what_it_says(program: Program, said: str, version: tuple[int, int]) -> None:
    program("pg_dump", f"print({said!r})")
    assert tool_version("pg_dump") == version


def test_a_tool_that_names_no_release_is_refused(program: Program) -> None:
    program("pg_dump", "print('pg_dump (PostgreSQL) 19devel')")
    with pytest.raises(Fault, match="does not name a PostgreSQL release"):
        tool_version("pg_dump")


@pytest.mark.parametrize(("major", "floor"), CLIENT_FLOOR.items())
def test_a_client_below_the_floor_of_its_major_is_refused(program: Program, major: int, floor: int) -> None:
    program("pg_dump", f"print('pg_dump (PostgreSQL) {major}.{floor}')")
    assert check_client("pg_dump", 14) == (major, floor)
    program("pg_dump", f"print('pg_dump (PostgreSQL) {major}.{floor - 1}')")
    with pytest.raises(Fault) as stopped:
        check_client("pg_dump", 14)
    assert stopped.value.code == ExitCode.CONFIG
    assert f"pg_dump {major}.{floor - 1} is below {major}.{floor}" in stopped.value.message


def test_a_client_older_than_the_server_is_refused(program: Program) -> None:
    program("pg_dump", "print('pg_dump (PostgreSQL) 16.99')")
    with pytest.raises(Fault) as stopped:
        check_client("pg_dump", 17)
    assert (stopped.value.code, stopped.value.message) == (
        ExitCode.CONFIG,
        "pg_dump 16.99 is older than the server: use an image of 17 or later",
    )


def test_a_tool_runs_to_its_end_and_gives_what_it_said(program: Program) -> None:
    path = program(
        "pg_dump", "import os, sys; print('rows'); print(os.environ['PGHOST'], file=sys.stderr); sys.exit(3)"
    )
    ticks: list[int] = []
    assert run_tool([str(path)], {"PGHOST": "there"}, tick=lambda: ticks.append(1)) == (3, "there\n")


def test_a_tool_is_ended_when_what_watches_it_stops(program: Program, tmp_path: Path) -> None:
    path = program(
        "pg_dump", f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    )

    def stop() -> None:
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            raise Terminated

    with pytest.raises(Terminated):
        run_tool([str(path)], {}, tick=stop)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_sigterm_while_a_tool_starts_ends_it_too(
    program: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The signal comes when the child runs and nobody has its name yet."""
    path = program("initdb", "import time; time.sleep(60)")
    children: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            children.append(self)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    try:
        assert run("transform", lambda _: run_tool([str(path)], {}) and None, {}) == ExitCode.TERMINATED
        statuses = [child.poll() for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert statuses == [-signal.SIGTERM]
    assert "stopped by SIGTERM" in capsys.readouterr().out


def test_a_tool_can_be_started_in_any_thread(program: Program) -> None:
    path = program("pg_dump", "raise SystemExit(3)")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run_tool, [str(path)], {}).result() == (3, "")


def test_a_child_that_does_not_listen_is_killed(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_STOP_SECONDS", 0.1)
    path = program(
        "pg_dump",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(tmp_path / 'ready')!r}, 'w'); time.sleep(60)",
    )
    child = postgres.subprocess.Popen([str(path)])
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)
    postgres.end(child)
    assert child.returncode == -signal.SIGKILL


FAULTS = {
    "ERROR:  canceling statement due to lock timeout": ExitCode.TRANSIENT,
    "ERROR:  canceling statement due to statement timeout": ExitCode.TRANSIENT,
    "ERROR:  canceling statement due to conflict with recovery": ExitCode.TRANSIENT,
    "FATAL:  terminating connection due to administrator command": ExitCode.TRANSIENT,
    "server closed the connection unexpectedly": ExitCode.TRANSIENT,
    "ERROR:  deadlock detected": ExitCode.TRANSIENT,
    'ERROR:  could not extend file "base/1/2": No space left on device': ExitCode.NO_SPACE,
    "ERROR:  permission denied for table users": ExitCode.CONFIG,
    'ERROR:  query would be affected by row-level security policy for table "users"': ExitCode.CONFIG,
    'FATAL:  password authentication failed for user "x"': ExitCode.TRANSIENT,
    'ERROR:  relation "x" does not exist': ExitCode.UNAVAILABLE,
}


@pytest.mark.parametrize(("message", "code"), FAULTS.items())
def test_a_tool_s_failure_is_transient_where_time_may_mend_it(message: str, code: ExitCode) -> None:
    fault = tool_fault("pg_dump", 1, f"pg_dump: error: query failed: {message}\n")
    shown = message.partition(":  ")[2] or message
    assert (fault.code, fault.message) == (code, f"pg_dump failed (1): {shown}")


def test_a_tool_that_is_killed_is_asked_for_again(program: Program) -> None:
    """Out of memory, the kernel kills without a word."""
    program("pg_dump", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(Fault) as stopped:
        tool_version("pg_dump")
    assert (stopped.value.code, stopped.value.message) == (
        ExitCode.TRANSIENT,
        "pg_dump was killed: if it is again, give the task more memory",
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (psycopg.OperationalError("server closed the connection unexpectedly"), ExitCode.TRANSIENT),
        (psycopg.errors.AdminShutdown("terminating connection"), ExitCode.TRANSIENT),
        (psycopg.errors.DiskFull("could not extend file"), ExitCode.NO_SPACE),
    ],
)
def test_a_database_that_goes_away_is_transient(error: Exception, code: ExitCode) -> None:
    with pytest.raises(Fault) as stopped, lost_connections():
        raise error
    assert stopped.value.code == code
    assert stopped.value.message.startswith("the database did not go on: ")


def test_an_error_of_another_kind_is_not_taken_for_a_lost_connection() -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), lost_connections():
        raise psycopg.errors.UndefinedTable
