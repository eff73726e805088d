"""What a person sees who gets it wrong: one clear line, a failing exit, and nothing left behind."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest

from etl_local.clusters import ClusterTemplate, PostgresCluster
from etl_local.postgres_installation import PostgresInstallation
from tests.end_to_end.outcome import ROOT

pytestmark = pytest.mark.end_to_end

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
    """A little database, and the role that may read all of it."""

    url: str
    wrong_password_url: str


@pytest.fixture(scope="module")
def shop(open_directory: Path) -> Iterator[Shop]:
    directory = open_directory / "shop"
    directory.mkdir(mode=0o711)
    launchers = PostgresInstallation.bundled().launchers(directory)
    with PostgresCluster(directory, launchers, "source", ClusterTemplate(directory / "template", launchers)) as cluster:
        password = cluster.create_role("reader", "BYPASSRLS", ("pg_read_all_data",))
        cluster.create_database("shop", "postgres")
        with psycopg.connect(cluster.dsn(database="shop")) as connection:
            connection.execute("CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL, age int)")
            connection.execute("INSERT INTO users SELECT i, i || %s, i FROM generate_series(1, 50) AS i", [CANARY])
        place = f"@127.0.0.1:{cluster.port}/shop"
        yield Shop(f"postgresql://reader:{password}{place}", f"postgresql://reader:{secrets.token_hex(4)}{place}")


def _scrub(directory: Path, rules: str = RULES, **scripts: str) -> Path:
    (directory / "columns.yaml").write_text(rules)
    for name, text in scripts.items():
        (directory / f"{name}.sql").write_text(text)
    return directory


@pytest.fixture
def temporary(open_directory: Path, request: pytest.FixtureRequest) -> Path:
    """Where the temporary files of one demo go."""
    directory = open_directory / f"demo-{abs(hash(request.node.name))}"
    directory.mkdir(mode=0o711)
    return directory


def _demo(temporary: Path, source: str, scrub: Path) -> subprocess.CompletedProcess[str]:
    """Run a demo and see that it leaves no file and no process."""
    done = subprocess.run(
        [sys.executable, "-m", "etl_cli", "demo", "--source", source, "--scrub", str(scrub)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert _left_behind(temporary) == []
    assert "Traceback" not in done.stderr
    assert CANARY not in done.stdout + done.stderr
    return done


def _left_behind(temporary: Path) -> list[str]:
    processes = [
        " ".join(process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline"])
        if any(str(temporary) in word for word in process.info["cmdline"] or [])
    ]
    return [*processes, *(path.name for path in temporary.iterdir())]


def test_a_source_that_nobody_answers_at(tmp_path: Path, temporary: Path) -> None:
    done = _demo(temporary, "postgresql://reader@127.0.0.1:1/shop", _scrub(tmp_path))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "cannot be reached" in done.stderr


def test_a_wrong_password(tmp_path: Path, temporary: Path, shop: Shop) -> None:
    done = _demo(temporary, shop.wrong_password_url, _scrub(tmp_path))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert 'password authentication failed for user "reader"' in done.stderr


def test_rules_that_are_not_yaml_are_shown_with_their_line(tmp_path: Path, temporary: Path, shop: Shop) -> None:
    done = _demo(temporary, shop.url, _scrub(tmp_path, RULES + "   indent: [\n"))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "columns.yaml:8: not YAML" in done.stderr


@pytest.mark.parametrize(
    ("rules", "scripts", "told"),
    [
        (
            RULES + "      nope: keep\n  public.nothing: truncate\n",
            {},
            "columns.yaml:8: public.users has no column nope; columns.yaml:9: the dump has no table public.nothing",
        ),
        (
            RULES.replace("      age: keep\n", ""),
            {},
            "column public.users.age (integer) is not classified in columns.yaml:3",
        ),
        (
            RULES,
            {"10_ages": "SELECT 1;\nUPDATE users SET age = email::int;\n"},
            "scrub script stopped: 10_ages.sql:2: invalid text representation (22P02)",
        ),
    ],
    ids=["rules for what is not there", "an unclassified column", "an SQL error"],
)
def test_what_the_transform_finds_reaches_the_person(
    tmp_path: Path, temporary: Path, shop: Shop, rules: str, scripts: dict[str, str], told: str
) -> None:
    done = _demo(temporary, shop.url, _scrub(tmp_path, rules, **scripts))
    assert done.returncode == 1, done.stderr
    failed = [line for line in done.stdout.splitlines() if "transform  failed" in line]
    assert len(failed) == 1, done.stdout + done.stderr
    assert failed[0].endswith(told)


@pytest.mark.parametrize("stage", ["extract", "transform"])
def test_an_interrupted_demo_leaves_nothing_behind_and_says_of_nothing_that_it_goes_on(
    tmp_path: Path, temporary: Path, shop: Shop, stage: str
) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "etl_cli", "demo", "--source", shop.url, "--scrub", str(_scrub(tmp_path))],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if f"{stage:<9}  started" in line:
            break
    children = psutil.Process(demo.pid).children(recursive=True)
    assert children
    demo.send_signal(signal.SIGINT)
    told, errors = demo.communicate(timeout=60)
    assert demo.returncode == 4
    assert f"{stage:<9}  aborted" in told
    assert "interrupted" in told
    assert "goes on" not in told
    assert "Traceback" not in errors, errors[-3000:]
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(child.is_running() for child in children):
        time.sleep(0.1)
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert _left_behind(temporary) == []
