"""The whole pipeline, run once for all tests that look at its outcome."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl_local.comparison import compare
from etl_local.sample.marketplace import generate
from etl_local.standin import StandIn
from tests.end_to_end.outcome import EXECUTION_NAME, ROOT, Outcome, command
from tests.end_to_end.shop import Shop, opened_shop


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    report = tmp_path_factory.mktemp("report") / "report.json"
    with StandIn(scrub_directory=ROOT / "scrub") as standin:
        generate(standin.source_dsn, 0.5)
        done = command(standin, "run", "dev", "--execution-name", EXECUTION_NAME, "--report", str(report), "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        events = [json.loads(line) for line in done.stdout.splitlines()]
        comparison = compare(standin.source_dsn, standin.target_dsn)
        yield Outcome(standin, events, json.loads(report.read_text()), comparison)


@pytest.fixture(scope="module")
def open_directory() -> Iterator[Path]:
    """A directory that the ordinary user of a Postgres server can enter, as pytest's own cannot be."""
    with tempfile.TemporaryDirectory(prefix="end-to-end-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


@pytest.fixture(scope="module")
def shop(open_directory: Path) -> Iterator[Shop]:
    directory = open_directory / "shop"
    directory.mkdir(mode=0o711)
    with opened_shop(directory) as shop:
        yield shop


@pytest.fixture
def temporary(open_directory: Path, request: pytest.FixtureRequest) -> Path:
    """Where the temporary files of one demo go."""
    directory = open_directory / f"demo-{abs(hash(request.node.name))}"
    directory.mkdir(mode=0o711)
    return directory
