"""The files of an empty scratch server: what initdb makes, or a copy of what it made when the image was built.

python -m etl_runtime.scratch_files DIRECTORY    # while an image is built
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.postgres import run_tool, tool, tool_fault
from etl_runtime.postgres_errors import tool_errors

ADMINISTRATOR = "postgres"


def make_scratch_files(directory: Path, template: Path | None = None) -> None:
    """Make the files.

    Args:
        directory: That there is not yet; nobody else may enter it.
        template: Such files to copy: that takes a tenth of initdb's time.

    Raises:
        Fault: NO_SPACE on a full disk; UNAVAILABLE when it fails otherwise; TRANSIENT when it was killed.
    """
    if template is None:
        argv = [
            tool("initdb"),
            f"--pgdata={directory}",
            f"--username={ADMINISTRATOR}",
            "--auth=trust",
            "--encoding=UTF8",
        ]
        argv += ["--locale=C", "--no-sync", "--no-instructions"]
    else:
        # Owners are kept where they can be: a server does not start on another one's files.
        argv = [tool("cp"), "--archive", "--reflink=auto", "--", str(template), str(directory)]
    # Asked to end, initdb ends its own children first: a kill would leave one that goes on writing.
    status, errors = run_tool(argv, {}, errors_in_memory=True)
    if status == -signal.SIGKILL:
        raise tool_fault(Path(argv[0]).name, status, "")
    if status != 0:
        raise Fault(
            ExitCode.NO_SPACE if "No space left" in errors else ExitCode.UNAVAILABLE,
            f"no scratch server: {Path(argv[0]).name} failed ({status}): {tool_errors(errors)}",
        )


if __name__ == "__main__":
    make_scratch_files(Path(sys.argv[1]))
