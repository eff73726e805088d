"""The frame around each program: structured logs, SIGTERM, and one exit code for every way out."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import structlog
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from etl_runtime.contract import Env, ExitCode
from etl_runtime.faults import Fault, Terminated, releasing, stopping

Log = structlog.stdlib.BoundLogger

_TRANSIENT_CODES = frozenset(
    {
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "RequestTimeout",
        "ServiceUnavailable",
        "InternalError",
        "503",
        # It was completed, and the answer to that was lost.
        "NoSuchUpload",
    }
)


def logger() -> Log:
    """The program's logger; `run` binds the program's name and its execution to it."""
    return structlog.get_logger()


def _configure_logs(program: str, environ: Mapping[str, str]) -> None:
    level = logging.getLevelNamesMapping().get(environ.get(Env.LOG_LEVEL, "INFO").upper(), logging.INFO)
    renderer: Any = (
        structlog.dev.ConsoleRenderer()
        if sys.stdout.isatty()
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=False,
    )
    # What libraries log goes nowhere: psycopg, for one, quotes the server's errors.
    logging.getLogger().addHandler(logging.NullHandler())
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(program=program)
    if Env.EXECUTION_ID in environ:
        structlog.contextvars.bind_contextvars(execution_id=environ[Env.EXECUTION_ID])


def _raise_terminated(_signal: int, _frame: FrameType | None) -> None:
    # A second SIGTERM must not cut the clean-up short.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stopping.set()
    raise Terminated


def run(program: str, body: Callable[[Mapping[str, str]], None], environ: Mapping[str, str] | None = None) -> ExitCode:
    """Run a program's body and say how it ended.

    Args:
        program: Its name in the logs.
        body: Gets the environment; raises `Fault` to stop with a reason.
        environ: The environment; the process's own by default.

    Returns:
        The exit code for `sys.exit`. Every fault has been logged as one `failed` event. An unforeseen exception is
        logged by its type and place alone, since its text may quote a row.
    """
    environ = os.environ if environ is None else environ
    _configure_logs(program, environ)
    stopping.clear()
    releasing.clear()
    signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        body(environ)
    except Fault as fault:
        code, message = fault.code, fault.message
    except Terminated:
        code, message = ExitCode.TERMINATED, f"stopped by SIGTERM; {_left_behind()}"
    except KeyboardInterrupt:
        code, message = ExitCode.TERMINATED, f"stopped by the keyboard; {_left_behind()}"
    except ClientError as error:
        code, message = _aws_fault(error)
    except NoCredentialsError:
        code, message = ExitCode.CONFIG, "no AWS credentials: give the task a role"
    except (BotoConnectionError, HTTPClientError, IncompleteReadError, FlexibleChecksumError) as error:
        code, message = ExitCode.TRANSIENT, f"AWS could not be reached ({type(error).__name__})"
    except BotoCoreError as error:
        code, message = ExitCode.SOFTWARE, f"an AWS call could not be made ({type(error).__name__})"
    except OSError as error:
        code = ExitCode.NO_SPACE if error.errno in (28, 122) else ExitCode.SOFTWARE
        message = f"{os.strerror(error.errno)}" if error.errno else type(error).__name__
        message += f": {error.filename}" if isinstance(error.filename, str) else ""
        message += "; give the program a larger disk" if code is ExitCode.NO_SPACE else ""
    except Exception as error:
        code, message = ExitCode.SOFTWARE, _unforeseen(error)
    else:
        return ExitCode.DONE
    logger().error("failed", error=message, exit_code=int(code))
    return code


def _left_behind() -> str:
    if releasing.is_set():
        return "it may have been released whole already, run it again to be sure"
    return "nothing was released, run it again"


def _aws_fault(error: ClientError) -> tuple[ExitCode, str]:
    told: Mapping[str, Any] = error.response.get("Error", {})
    code, bucket = str(told.get("Code", "unknown")), told.get("BucketName")
    transient = code in _TRANSIENT_CODES
    return (
        ExitCode.TRANSIENT if transient else ExitCode.UNAVAILABLE,
        f"AWS refused {error.operation_name}: {code}"
        + (f" (bucket {bucket})" if bucket else "")
        + ("; it may pass" if transient else "; check the role, the bucket's owner and its key"),
    )


def _unforeseen(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = ""
    if trace is not None:
        place = f" at {os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"  # noqa: PTH119 - a frame's file is text
    return f"unforeseen {type(error).__name__}{place}; its text is not shown as it may quote a row"
