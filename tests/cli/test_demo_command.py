"""`postgres-etl demo`: what it refuses before it starts anything, and the whole of it for real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner, Result

from etl_cli.main import app

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "etl_cli", "demo"]


def demo(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["demo", *map(str, arguments)], env={"COLUMNS": "200", "NO_COLOR": "1"})


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    directory = tmp_path / "rules"
    directory.mkdir()
    (directory / "columns.yaml").write_text("version: 1\ntables:\n  public.users: truncate\n")
    return directory


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A refusal comes before the stand-in; the real runs are processes of their own."""

    def start(*_: Any, **__: Any) -> Any:
        pytest.fail(f"{request.node.name} started the stand-in")

    monkeypatch.setattr("etl_cli.demonstration.demonstration.StandIn", start)


def refused(*arguments: Any) -> str:
    result = demo(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("postgres-etl: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("postgres-etl: ").rstrip("\n")


def test_rules_that_are_no_yaml_are_refused_with_their_line(rules: Path) -> None:
    (rules / "columns.yaml").write_text("version: 1\ntables:\n  public.users: [\n")
    assert refused("--scrub", rules).startswith(f"{rules}: columns.yaml:4: not YAML: ")


def test_a_directory_without_rules_is_refused(tmp_path: Path) -> None:
    assert refused("--scrub", tmp_path) == (
        f"{tmp_path}: {tmp_path}/columns.yaml does not exist: a scrub directory has a columns.yaml"
    )


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("10_latin.sql", b"SELECT 1;\n-- caf\xe9\n", "10_latin.sql:2: not UTF-8 text"),
        ("10 people.sql", b"", "'10 people.sql' must be named by letters, digits, '-', '_' and '.' alone"),
        ("10_huge.sql", b"-" * (1 << 20), "the files hold 1,048,620 bytes, and a ConfigMap takes 1,048,576"),
    ],
)
def test_a_script_that_the_stack_cannot_carry_is_refused_by_its_name(
    rules: Path, name: str, content: bytes, told: str
) -> None:
    (rules / name).write_bytes(content)
    assert refused("--scrub", rules) == f"{rules}: {told}"


def test_a_source_that_cannot_be_reached_is_refused(rules: Path) -> None:
    said = refused("--scrub", rules, "--source", "postgresql://me:synthetic-secret@127.0.0.1:1/shop")
    assert said.startswith("the source cannot be reached: ")
    assert "synthetic-secret" not in said


def test_a_source_that_is_no_connection_string_is_refused_without_repeating_it(rules: Path) -> None:
    said = refused("--scrub", rules, "--source", "postgresql://me:synthetic-secret@h/d?nonsense=1&x")
    assert said == "--source is no connection string such as postgresql://me@localhost/marketplace"


def test_a_disk_that_is_too_small_is_refused(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int = 100_000_000

    monkeypatch.setattr("etl_cli.demonstration.demonstration.shutil.disk_usage", lambda _: Usage())
    monkeypatch.setattr("etl_cli.demonstration.demonstration.tempfile.gettempdir", lambda: "/small")
    assert refused("--scrub", rules, "--scale", "2") == (
        "no space: /small has 100 MB free, and this wants 1.46 GB: "
        "set TMPDIR to a directory on a larger disk, or ask for a smaller --scale"
    )


def test_postgres_programs_that_are_not_there_are_refused(rules: Path, tmp_path: Path) -> None:
    said = refused("--scrub", rules, "--pg-bin", tmp_path)
    assert said == f"{tmp_path}/bin has no initdb, postgres, psql, pg_dump, pg_restore"


class Running:
    """A demonstration as a process, in a temporary directory of its own that must be empty afterwards."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        environment = {
            **os.environ,
            "TMPDIR": str(directory),
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "containers"))),
        }
        self.process = subprocess.Popen(
            [*COMMAND, "--json", "--scale", "0.02", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=directory,
            env=environment,
            start_new_session=True,
        )

    def documents(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield json.loads(line)

    def end(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=120)
        assert list(self.directory.iterdir()) == []
        return self.process.returncode, errors


@pytest.fixture
def short_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    # A Unix socket's path has 107 bytes, and a launcher's first line 127.
    base = Path("/tmp") if Path("/tmp").is_dir() else tmp_path_factory.mktemp("d")  # noqa: S108 - see above
    directory = base / f"d{os.getpid()}"
    directory.mkdir(mode=0o711)
    yield directory
    directory.rmdir()


def in_another_shell(commands: list[str]) -> str:
    """What the hinted commands print in a shell that knows nothing of this project."""
    program = "\n".join(["set -e", *commands]).replace(
        'psql "$TARGET"', 'psql "$TARGET" -c "SELECT current_database()"'
    )
    places = [place for place in os.get_exec_path() if not (Path(place) / "postgres-etl").exists()]
    bare = {"PATH": os.pathsep.join(places), "HOME": "/"}
    done = subprocess.run(["/bin/sh", "-c", program], env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.end_to_end
def test_the_whole_pipeline_runs_and_nothing_is_left_behind(short_directory: Path) -> None:
    running = Running(short_directory, "--keep")
    documents: list[dict[str, Any]] = []
    for document in running.documents():
        if document["event"] == "held":
            try:
                looked = in_another_shell(document["commands"])
            finally:
                running.process.send_signal(signal.SIGINT)
        else:
            documents.append(document)
    assert running.end() == (0, "")
    assert "marketplace" in looked
    assert "  load       succeeded in " in looked
    assert [d["what"] for d in documents if d["event"] == "prepared"] == ["stand-in", "sample", "comparison"]
    found = documents[-1]
    assert found["event"] == "demonstration"
    assert found["faults"] == []
    assert [stage["state"] for stage in found["run"]["stages"]] == ["succeeded"] * 3
    assert {column["survivors"] for column in found["proof"]} == {0}
    by_path = {(table["path"], table["identical"]) for table in found["tables"]}
    assert ("untouched", True) in by_path
    assert ("untouched", False) not in by_path
    assert {table for example in found["examples"] for table in [example["table"]]} <= {
        t["table"] for t in found["tables"]
    }


@pytest.mark.end_to_end
def test_rules_for_a_table_that_is_not_there_fail_in_the_words_of_the_transform(
    short_directory: Path, tmp_path: Path
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    for path in (ROOT / "scrub").iterdir():
        (rules / path.name).write_text(path.read_text())
    text = (rules / "columns.yaml").read_text()
    (rules / "columns.yaml").write_text(text.replace("\ntables:\n", "\ntables:\n  public.userz: truncate\n", 1))
    running = Running(short_directory, "--scrub", str(rules))
    documents = list(running.documents())
    assert running.end() == (1, "")
    line = next(number for number, each in enumerate(text.splitlines(), 1) if each == "tables:") + 1
    (ended,) = (d for d in documents if d["event"] == "stage_ended" and d["stage"] == "transform")
    assert ended["error"] == f"columns.yaml:{line}: the dump has no table public.userz"
    assert documents[-1]["exit_status"] == 1


@pytest.mark.end_to_end
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_takes_everything_down(short_directory: Path, number: signal.Signals) -> None:
    running = Running(short_directory, "--keep")
    for document in running.documents():
        if document["event"] == "stage_started":
            running.process.send_signal(number)
    status, _ = running.end()
    assert status == 4
