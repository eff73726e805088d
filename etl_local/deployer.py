"""The process that deploys the stack: started early to get ready, told later what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from etl_local.engine import DeploymentError

if TYPE_CHECKING:
    from etl_local.deployment import Order

_REPOSITORY: Final = Path(__file__).resolve().parents[1]
_PYTHON_SETTINGS: Final = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")


class Deployer:
    """A process that deploys one stack, as a context manager; leaving it kills what still runs.

    It has none of this program's environment, so neither a Pulumi nor an AWS configuration of the user's acts on it.
    """

    def __init__(self, directory: Path) -> None:
        """Start nothing yet.

        Args:
            directory: where its log is written.
        """
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Deployer:
        environment = {name: os.environ[name] for name in _PYTHON_SETTINGS if name in os.environ}
        with (self._directory / "deployment.log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "etl_local.deployment"],
                env={
                    **environment,
                    "HOME": str(self._directory),
                    "PATH": os.defpath,
                    "PYTHONPATH": os.pathsep.join((str(_REPOSITORY), str(_REPOSITORY / "containers"))),
                },
                cwd=_REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # a terminal's Ctrl-C is not for it
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            with self._process:
                self.kill()

    def kill(self) -> None:
        """Kill the process at once; a deployment that runs fails."""
        if self._process is not None:
            self._process.kill()

    def deploy(self, order: Order, on_resource: Callable[[dict[str, str]], None]) -> tuple[dict[str, Any], int]:
        """Deploy the stack.

        Args:
            order: what and where.
            on_resource: told {type, name} of each resource once it is there.

        Returns:
            the stack's outputs, and how many resources it has.

        Raises:
            DeploymentError: the program or one of its resources failed.
        """
        process = self._process
        assert process is not None  # noqa: S101  # for the type checker: set on entering
        assert process.stdin is not None  # noqa: S101  # the same
        assert process.stdout is not None  # noqa: S101  # the same
        try:
            process.stdin.write(order.to_json() + "\n")
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended; what it said follows
        for line in process.stdout:
            match json.loads(line):
                case {"resource": resource}:
                    on_resource(resource)
                case {"fault": str(fault)}:
                    raise DeploymentError(fault)
                case {"outputs": outputs, "resources": count}:
                    process.wait()
                    return outputs, count
                case _:
                    raise DeploymentError(f"the deployment said what nobody understands: {line[:60]!r}")
        last = (self._directory / "deployment.log").read_text().splitlines()[-1:] or ["it said nothing"]
        raise DeploymentError(f"the deployment ended: {last[0]}")
