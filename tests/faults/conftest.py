"""The servers and databases of the end-to-end tests, for programs that are failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.containers.end_to_end.conftest import (  # noqa: F401 - fixtures
    cluster,
    launchers,
    moto_endpoint,
    moto_log,
    name,
    passwords,
    programs,
    programs_of_session,
    servers_directory,
    source,
)


@pytest.fixture(scope="session")
def disks(servers_directory: Path) -> Path:  # noqa: F811 - a fixture
    """Where each run of a program gets a disk of its own."""
    directory = servers_directory / "f"
    directory.mkdir()
    directory.chmod(0o711)
    return directory
