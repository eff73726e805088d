"""What goes wrong in the scratch: a fault of the dump and its rules, which stays, or of the pod, which passes."""

from __future__ import annotations

import signal

import psycopg
import pytest
from etl_runtime.contract import ExitCode
from etl_runtime.scratch import scratch_fault
from etl_runtime.scripts import _not_by_a_script


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (psycopg.OperationalError("the connection is closed"), ExitCode.TRANSIENT),
        (psycopg.errors.AdminShutdown(), ExitCode.TRANSIENT),
        (psycopg.errors.CrashShutdown(), ExitCode.TRANSIENT),
        (psycopg.errors.CannotConnectNow(), ExitCode.TRANSIENT),
        (psycopg.errors.OutOfMemory(), ExitCode.TRANSIENT),
        (psycopg.errors.DiskFull(), ExitCode.NO_SPACE),
        # Of an expression that asks for what no other try gives it.
        (psycopg.errors.ObjectNotInPrerequisiteState(), ExitCode.DATA),
        (psycopg.errors.ProgramLimitExceeded(), ExitCode.DATA),
        (psycopg.errors.InvalidTextRepresentation(), ExitCode.DATA),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_scratch_that_goes_away_is_no_fault_of_a_row(error: psycopg.Error, code: ExitCode) -> None:
    assert scratch_fault("public.users", error).code == code


@pytest.mark.parametrize(
    ("status", "errors", "code"),
    [
        (-signal.SIGKILL, "", ExitCode.TRANSIENT),
        (2, "psql:/s/10.sql:1: FATAL:  57P01: terminating connection due to administrator command\n", 75),
        (
            2,
            "psql:/s/10.sql:3: WARNING:  57P02: terminating connection because of crash of another server process\n"
            "psql:/s/10.sql:3: server closed the connection unexpectedly\n",
            ExitCode.TRANSIENT,
        ),
        (2, "psql:/s/10.sql:3: error: connection to server was lost\n", ExitCode.TRANSIENT),
        (
            3,
            "psql:/s/10.sql:2: ERROR:  53100: could not extend file: No space left on device\n",
            ExitCode.NO_SPACE,
        ),
        (3, "psql:/s/10.sql:2: ERROR:  22012: division by zero\nCONTEXT:  server closed the connection\n", None),
    ],
)
def test_scripts_that_a_lost_server_or_a_full_disk_stopped_are_no_bad_scripts(
    status: int, errors: str, code: ExitCode | None
) -> None:
    fault = _not_by_a_script(status, errors)
    assert (fault.code if fault else None) == code
