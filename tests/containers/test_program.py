from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    FlexibleChecksumError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from etl_runtime import faults
from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault, Terminated
from etl_runtime.program import logger, run

CONTAINERS = Path(__file__).parents[2] / "containers"
CANARY = "canary-4711@example.com"


def _raising(error: BaseException) -> Callable[[Mapping[str, str]], None]:
    def body(_environ: Mapping[str, str]) -> None:
        raise error

    return body


def _events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def _refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": CANARY}}, "PutObject")


ENDINGS: dict[str, tuple[BaseException, ExitCode, str]] = {
    "a fault": (Fault(ExitCode.DATA, "toc.dat ends too early"), ExitCode.DATA, "toc.dat ends too early"),
    "a fault that may pass": (Fault(ExitCode.TRANSIENT, "locked"), ExitCode.TRANSIENT, "locked"),
    "the keyboard": (
        KeyboardInterrupt(),
        ExitCode.TERMINATED,
        "stopped by the keyboard; nothing was released, run it again",
    ),
    "a worker that was stopped": (
        Terminated(),
        ExitCode.TERMINATED,
        "stopped by SIGTERM; nothing was released, run it again",
    ),
    "AWS says no": (
        _refused("AccessDenied"),
        ExitCode.UNAVAILABLE,
        "AWS refused PutObject: AccessDenied; check the role, the bucket's owner and its key",
    ),
    "the answer to an upload's completion was lost": (
        _refused("NoSuchUpload"),
        ExitCode.TRANSIENT,
        "AWS refused PutObject: NoSuchUpload; it may pass",
    ),
    "AWS says later": (_refused("SlowDown"), ExitCode.TRANSIENT, "AWS refused PutObject: SlowDown; it may pass"),
    "no credentials": (NoCredentialsError(), ExitCode.CONFIG, "no AWS credentials: give the task a role"),
    "no route": (
        EndpointConnectionError(endpoint_url="https://s3.example.com"),
        ExitCode.TRANSIENT,
        "AWS could not be reached (EndpointConnectionError)",
    ),
    "no answer": (
        ReadTimeoutError(endpoint_url="https://s3.example.com"),
        ExitCode.TRANSIENT,
        "AWS could not be reached (ReadTimeoutError)",
    ),
    "no connection in time": (
        ConnectTimeoutError(endpoint_url="https://s3.example.com"),
        ExitCode.TRANSIENT,
        "AWS could not be reached (ConnectTimeoutError)",
    ),
    "a download that was cut": (
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
        ExitCode.TRANSIENT,
        "AWS could not be reached (IncompleteReadError)",
    ),
    "a download that was changed on its way": (
        FlexibleChecksumError(error_msg="Expected checksum x did not match"),
        ExitCode.TRANSIENT,
        "AWS could not be reached (FlexibleChecksumError)",
    ),
    "a call of the wrong form": (
        ParamValidationError(report=CANARY),
        ExitCode.SOFTWARE,
        "an AWS call could not be made (ParamValidationError)",
    ),
    "a full disk": (
        OSError(errno.ENOSPC, "No space left on device", "/scratch/x"),
        ExitCode.NO_SPACE,
        "No space left on device: /scratch/x; give the program a larger disk",
    ),
    "a used-up quota": (
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        ExitCode.NO_SPACE,
        "Disk quota exceeded; give the program a larger disk",
    ),
    "a file that cannot be read": (
        PermissionError(errno.EACCES, "Permission denied", "/scratch/x"),
        ExitCode.SOFTWARE,
        "Permission denied: /scratch/x",
    ),
    "an error of the system without a number": (OSError(CANARY), ExitCode.SOFTWARE, "OSError"),
}


@pytest.mark.parametrize(("error", "code", "message"), ENDINGS.values(), ids=ENDINGS.keys())
def test_each_ending_has_its_exit_code_and_one_failed_event(
    error: BaseException, code: ExitCode, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("pg_dump", _raising(error), {"EXECUTION_ID": "nightly-1"}) == code
    (event,) = _events(capsys)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "failed",
        "level": "error",
        "program": "pg_dump",
        "execution_id": "nightly-1",
        "error": message,
        "exit_code": int(code),
    }


def test_an_unforeseen_error_is_told_by_type_and_place_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("transform", _raising(ValueError(CANARY)), {}) == ExitCode.SOFTWARE
    out = capsys.readouterr().out
    assert CANARY not in out
    error = json.loads(out)["error"]
    place, _, rest = error.removeprefix("unforeseen ValueError at ").partition("; ")
    assert place.startswith("test_program.py:")
    assert rest == "its text is not shown as it may quote a row"


def test_a_program_that_ends_well_says_nothing_more(capsys: pytest.CaptureFixture[str]) -> None:
    def body(environ: Mapping[str, str]) -> None:
        logger().info("finished", rows=environ["ROWS"], name="é")

    assert run("pg_restore", body, {"ROWS": "3"}) == ExitCode.DONE
    (event,) = _events(capsys)
    del event["timestamp"]
    assert event == {"event": "finished", "level": "info", "program": "pg_restore", "rows": "3", "name": "é"}


def test_a_program_takes_the_environment_of_its_process_where_it_is_given_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECUTION_ID", "nightly-1")
    seen: list[str] = []
    assert run("pg_dump", lambda environ: seen.append(environ["EXECUTION_ID"])) == ExitCode.DONE
    assert seen == ["nightly-1"]


@pytest.mark.parametrize(
    ("level", "events"), [("warning", ["two"]), ("INFO", ["one", "two"]), ("nonsense", ["one", "two"])]
)
def test_the_log_has_a_level(level: str, events: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def body(_environ: Mapping[str, str]) -> None:
        logger().info("one")
        logger().warning("two")

    run("pg_dump", body, {"LOG_LEVEL": level})
    assert [event["event"] for event in _events(capsys)] == events


def test_what_libraries_log_is_not_shown() -> None:
    """psycopg logs errors that it ignores, with the text of the server, which may quote a row."""
    program = f"""
import logging
from etl_runtime.program import logger, run
def body(environ):
    logging.getLogger("psycopg").warning("error ignored: {CANARY}")
    logger().info("finished")
run("pg_dump", body, {{}})
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=CONTAINERS)
    assert (said.stderr, json.loads(said.stdout)["event"]) == ("", "finished")


def test_sigterm_ends_a_program_with_143_after_its_clean_up(capsys: pytest.CaptureFixture[str]) -> None:
    cleaned: list[bool] = []

    def body(_environ: Mapping[str, str]) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except Exception:
            pytest.fail("SIGTERM was taken for an error")
        finally:
            # A second one must not cut the clean-up short.
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            cleaned.append(faults.stopping.is_set())

    assert run("transform", body, {}) == 143
    assert cleaned == [True]
    (event,) = _events(capsys)
    assert (event["event"], event["exit_code"]) == ("failed", 143)


def test_work_in_other_threads_learns_of_sigterm(capsys: pytest.CaptureFixture[str]) -> None:
    def body(_environ: Mapping[str, str]) -> None:
        faults.check_stopping()
        faults.stopping.set()
        faults.check_stopping()

    assert run("transform", body, {}) == ExitCode.TERMINATED
    assert run("transform", lambda _: faults.check_stopping(), {}) == ExitCode.DONE
    assert len(_events(capsys)) == 1


def test_a_stop_in_the_step_that_releases_does_not_say_that_nothing_was(capsys: pytest.CaptureFixture[str]) -> None:
    def released(_environ: Mapping[str, str]) -> None:
        faults.releasing.set()
        raise Terminated

    assert run("transform", released, {}) == ExitCode.TERMINATED
    assert run("transform", _raising(Terminated()), {}) == ExitCode.TERMINATED
    assert [event["error"] for event in _events(capsys)] == [
        "stopped by SIGTERM; it may have been released whole already, run it again to be sure",
        "stopped by SIGTERM; nothing was released, run it again",
    ]


def test_a_postponed_stop_comes_at_the_end_of_its_block(capsys: pytest.CaptureFixture[str]) -> None:
    steps: list[str] = []

    def body(_environ: Mapping[str, str]) -> None:
        with faults.stop_postponed():
            steps.append("before")
        with faults.stop_postponed():
            os.kill(os.getpid(), signal.SIGTERM)
            steps.append("in")
        steps.append("after")

    assert run("transform", body, {}) == ExitCode.TERMINATED
    assert (steps, faults.stopping.is_set()) == (["before", "in"], True)
    assert len(_events(capsys)) == 1
