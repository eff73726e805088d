"""Starts programs of `etl_runtime` as forks of a process that has imported what they import: a tenth of a start's time.

A line of JSON on standard input is one run, `{"program", "environment", "output"}`; the answer is its exit status, a
line, negative where a signal ended it. What is imported beforehand is other people's: each run imports the programs'
own modules anew. Part of no image: see `faulty_program.py`.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import sys
from typing import Any

import boto3
import botocore.loaders
import botocore.session
import injected_faults

_SECONDS = 90
for _module in ("lz4.frame", "numpy", "structlog", "watchdog.observers", "yaml", "zstandard"):
    importlib.import_module(_module)
# The SDK's own descriptions of AWS, which take longest to read, are read once; sessions and clients are each run's own.
_descriptions = botocore.loaders.create_loader()
botocore.session.create_loader = lambda *_: _descriptions
boto3.Session("testing", "testing", region_name="eu-west-2").client("s3")


def _program(request: dict[str, Any]) -> None:
    """Become the program. An alarm ends what hangs."""
    signal.alarm(_SECONDS)
    os.environ.clear()
    os.environ.update(request["environment"])
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # It is not to find the modules of tests.
    sys.path.pop(0)
    if "FAULTS_RECORD" in os.environ:
        injected_faults.install()
    runpy.run_module(f"etl_runtime.{request['program']}", run_name="__main__", alter_sys=True)


def main() -> None:
    """Serve until standard input ends."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _program(json.loads(line))
            sys.exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
