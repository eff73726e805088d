"""A Postgres of our own for a moment: schemas are made in it, empty, to see what fits them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from etl_runtime.faults import Fault
from etl_runtime.scratch import Scratch

from etl_cli.ending import CommandError, RefusedError
from etl_local.postgres_installation import PostgresInstallation, PostgresMissingError
from etl_local.state_directory import StateDirectory


@contextmanager
def scratch_server(programs: Path | None = None) -> Iterator[Scratch]:
    """A running server with one empty database, gone afterwards.

    Args:
        programs: Directory of the Postgres programs; None for those of the wheel.

    Raises:
        RefusedError: there are no such programs.
        CommandError: the server does not start.
    """
    path = os.environ.get("PATH", os.defpath)
    with StateDirectory() as state:
        try:
            installation = PostgresInstallation.in_directory(programs) if programs else PostgresInstallation.bundled()
            launchers = installation.launchers(state.path)
        except PostgresMissingError as error:
            raise RefusedError(str(error)) from None
        os.environ["PATH"] = os.pathsep.join((str(launchers), path))
        try:
            with Scratch(state.path, "UTF8") as scratch:
                yield scratch
        except Fault as error:
            raise CommandError(error.message) from None
        finally:
            os.environ["PATH"] = path
