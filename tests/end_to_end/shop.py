"""A little database of a person's own, and the demo run on it as that person would."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from etl_local.clusters import ClusterTemplate, PostgresCluster
from etl_local.postgres_installation import PostgresInstallation
from tests.end_to_end.outcome import ROOT

RULES = """version: 1
tables:
  public.users:
    columns:
      id: keep
      email: scrub.email(email)
      age: keep
"""
CANARY = "canary.person@example.com"


@dataclass(frozen=True)
class Shop:
    """A database with one table of people, and a role that may read all of it."""

    cluster: PostgresCluster
    url: str
    wrong_password_url: str

    @property
    def owner_url(self) -> str:
        return self.cluster.dsn(database="shop")


@contextmanager
def opened_shop(directory: Path) -> Iterator[Shop]:
    """The shop on a server of its own below a directory that everyone may pass through."""
    launchers = PostgresInstallation.bundled().launchers(directory)
    with PostgresCluster(directory, launchers, "source", ClusterTemplate(directory / "template", launchers)) as cluster:
        password = cluster.create_role("reader", "BYPASSRLS", ("pg_read_all_data",))
        cluster.create_database("shop", "postgres")
        with psycopg.connect(cluster.dsn(database="shop")) as connection:
            connection.execute("CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL, age int)")
            connection.execute("INSERT INTO users SELECT i, i || %s, i FROM generate_series(1, 50) AS i", [CANARY])
        place = f"@127.0.0.1:{cluster.port}/shop"
        yield Shop(
            cluster, f"postgresql://reader:{password}{place}", f"postgresql://reader:{secrets.token_hex(4)}{place}"
        )


def write_rules(directory: Path, rules: str = RULES, **scripts: str) -> Path:
    """Make a directory a set of rules: columns.yaml, and a script of each name."""
    (directory / "columns.yaml").write_text(rules)
    for name, text in scripts.items():
        (directory / f"{name}.sql").write_text(text)
    return directory


def start_demo(temporary: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a demo whose temporary files go into a directory."""
    return subprocess.Popen(
        [sys.executable, "-m", "etl_cli", "demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_demo(temporary: Path, source: str, scrub: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a demo on a source, and see that it leaves no file and no process."""
    demo = start_demo(temporary, "--source", source, "--scrub", str(scrub), *more)
    try:
        told, errors = demo.communicate(timeout=180)
    finally:
        demo.kill()
    assert left_behind(temporary) == []
    assert "Traceback" not in errors, errors[-3000:]
    return subprocess.CompletedProcess(demo.args, demo.returncode, told, errors)


def left_behind(temporary: Path) -> list[str]:
    """Processes and files that a demo has left."""
    processes = [
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline"])
        if any(str(temporary) in word for word in process.info["cmdline"] or [])
    ]
    return [*processes, *(path.name for path in temporary.iterdir())]
