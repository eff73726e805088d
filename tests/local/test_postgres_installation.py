"""The Postgres programs, found and made runnable by name for whoever the user is."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl_local import postgres_installation
from etl_local.postgres_installation import NOBODY, PostgresInstallation, PostgresMissingError
from etl_local.state_directory import StateDirectory
from etl_local.unprivileged import data_directory, named_paths

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs to become somebody else")


def test_the_wheel_is_found_in_both_versions():
    assert [PostgresInstallation.bundled(major).version().split(".")[0] for major in (16, 18)] == ["16", "18"]


def test_a_version_that_the_wheel_does_not_hold_is_refused():
    with pytest.raises(PostgresMissingError, match="holds Postgres 16 and 18, not 17"):
        PostgresInstallation.bundled(17)


def test_an_installation_may_be_named_by_its_prefix_or_its_programs():
    bundled = PostgresInstallation.bundled().prefix
    assert PostgresInstallation.in_directory(bundled).prefix == bundled
    assert PostgresInstallation.in_directory(bundled / "bin").prefix == bundled


def test_a_directory_without_the_programs_is_refused_by_their_names(tmp_path: Path):
    (tmp_path / "bin").mkdir()
    for present in ("psql", "pg_dump", "postgres"):
        (tmp_path / "bin" / present).touch()
    with pytest.raises(PostgresMissingError, match=rf"{tmp_path}/bin has no initdb, pg_restore$"):
        PostgresInstallation.in_directory(tmp_path)


def run(launchers: Path, *argv: str) -> str:
    path = os.pathsep.join((str(launchers), os.defpath))
    program = shutil.which(argv[0], path=path)
    assert program is not None
    return subprocess.run([program, *argv[1:]], env={"PATH": path}, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def state() -> Iterator[Path]:
    """Not pytest's own directory: that one is closed to other users."""
    with StateDirectory() as state:
        yield state.path


@pytest.mark.parametrize("program", ["initdb", "postgres", "pg_ctl", "pg_dump", "pg_restore", "psql"])
def test_every_program_runs_by_its_bare_name(state: Path, program: str):
    launchers = PostgresInstallation.bundled().launchers(state)
    assert "(PostgreSQL) 18." in run(launchers, program, "--version")


def test_programs_that_another_user_cannot_reach_are_copied_with_their_libraries(
    state: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres_installation, "_searchable", lambda directory: directory == state)
    launchers = PostgresInstallation.bundled().launchers(state)
    assert (launchers / "psql").resolve().is_relative_to(state)
    assert "(PostgreSQL) 18." in run(launchers, "psql", "--version")
    assert not list(state.rglob("*.a"))


@as_root
@pytest.mark.end_to_end
def test_root_makes_a_cluster_that_belongs_to_an_ordinary_user(state: Path):
    launchers = PostgresInstallation.bundled().launchers(state)
    private = state / "private"
    private.mkdir(mode=0o700)
    password = private / "password"
    password.write_text("synthetic")
    password.chmod(0o600)
    data = private / "data"
    run(
        launchers,
        "initdb",
        f"--pgdata={data}",
        f"--pwfile={password}",
        "--username=toy",
        "--auth=scram-sha-256",
        "--no-sync",
    )
    assert {path.stat().st_uid for path in (data, *data.rglob("*"))} == {NOBODY}
    assert (private.stat().st_uid, private.stat().st_mode & 0o777) == (0, 0o701)
    (data / "postgresql.conf").write_text("port = 5499\n")  # as root
    (data / "postgresql.conf").chmod(0o600)
    assert run(launchers, "postgres", "-D", str(data), "-C", "port").strip() == "5499"


@as_root
def test_nothing_outside_the_directory_is_given_away(state: Path, tmp_path: Path):
    launchers = PostgresInstallation.bundled().launchers(state)
    outside = tmp_path / "outside"
    outside.write_text("synthetic")
    outside.chmod(0o600)
    (state / "link").symlink_to(outside)
    for path in (outside, state / "link", state / os.path.relpath(outside, state)):
        with pytest.raises(subprocess.CalledProcessError):
            run(launchers, "initdb", "-D", str(state / "data"), "--username=toy", f"--pwfile={path}", "--no-sync")
    assert (outside.stat().st_uid, outside.stat().st_mode & 0o777) == (0, 0o600)


@as_root
def test_a_launcher_is_refused_where_no_script_could_name_its_interpreter(state: Path):
    spaced = state / "with spaces"
    spaced.mkdir()
    with pytest.raises(PostgresMissingError, match="set TMPDIR to a short directory without spaces"):
        PostgresInstallation.bundled().launchers(spaced)


@as_root
def test_a_directory_that_an_ordinary_user_cannot_enter_is_refused(state: Path):
    closed = state / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(PostgresMissingError, match="set TMPDIR to an open directory"):
        PostgresInstallation.bundled().launchers(closed)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-D", "/data", "-U", "x"],
        ["-U", "x", "-D/data"],
        ["--pgdata", "/data"],
        ["--no-sync", "--pgdata=/data"],
        ["--no-sync", "/data"],
    ],
)
def test_the_data_directory_is_found_in_every_form(arguments: list[str]):
    assert data_directory(arguments) == "/data"


def test_paths_are_found_wherever_they_stand_in_the_arguments():
    arguments = ["-D", "/data", "-k/run", "-c", "unix_socket_directories=/a,/b", "--pwfile=/pw", "plain", "--x=y"]
    assert named_paths(arguments) == ["/data", "/run", "/a", "/b", "/pw"]
