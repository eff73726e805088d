"""The servers and databases of the end-to-end tests, for programs that are failed, hundreds of times."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from etl_runtime.scratch_files import make_scratch_files

from tests.containers.end_to_end.conftest import (  # noqa: F401 - fixtures
    cluster,
    launchers,
    moto_endpoint,
    moto_log,
    name,
    passwords,
    programs,
    programs_of_session,
    source,
)
from tests.containers.end_to_end.live_database import databases
from tests.containers.end_to_end.programs import LOAD_ROLE, Programs

_MEMORY = Path("/dev/shm")  # noqa: S108 - a private directory is made in it
_NEEDED_BYTES = 2 << 30


def _in_memory() -> Path | None:
    """A file system in memory that programs can be run from, where the machine has one: a server starts sooner."""
    if not os.access(_MEMORY, os.W_OK):
        return None
    facts = os.statvfs(_MEMORY)
    fit = facts.f_bavail * facts.f_frsize >= _NEEDED_BYTES and not facts.f_flag & os.ST_NOEXEC
    return _MEMORY if fit else None


@pytest.fixture(scope="session")
def servers_directory() -> Iterator[Path]:
    """A short path that any user may pass through: a server's socket has its name in it."""
    with tempfile.TemporaryDirectory(prefix="rt-", dir=_in_memory()) as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


@pytest.fixture(scope="session")
def disks(servers_directory: Path) -> Path:
    """Where each run of a program gets a disk of its own."""
    directory = servers_directory / "f"
    directory.mkdir()
    directory.chmod(0o711)
    return directory


@pytest.fixture(scope="session")
def scratch_template(servers_directory: Path, launchers: Path) -> Path:  # noqa: F811 - a fixture
    """The files of a scratch server, as the image has them."""
    template = servers_directory / "scratch-template"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{launchers}{os.pathsep}{os.defpath}")
        make_scratch_files(template)
    return template


@pytest.fixture
def targets(programs: Programs, name: str) -> Iterator[str]:  # noqa: F811 - fixtures
    """The beginning of the names of all targets of a test; what is left of them is dropped."""
    programs.query("postgres", f"GRANT pg_signal_backend TO {LOAD_ROLE}")
    yield f"{name}_"
    for database in databases(programs, f"{name}_"):
        programs.query("postgres", f'DROP DATABASE "{database}" WITH (FORCE)')
