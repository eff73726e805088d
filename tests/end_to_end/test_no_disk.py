"""Too little disk: before anything starts, before the dump, and in the middle; each time one line that says so."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from etl_local.sample.marketplace import generate
from etl_local.standin import StandIn
from tests.end_to_end.outcome import ROOT, command
from tests.end_to_end.shop import Shop, left_behind, start_demo, write_rules

MOUNT, UMOUNT = (shutil.which(name) or "" for name in ("mount", "umount"))
pytestmark = pytest.mark.end_to_end


def test_a_sample_that_no_disk_holds_is_refused_before_anything_starts(temporary: Path) -> None:
    demo = start_demo(temporary, "--scale", "100000000")
    told, errors = demo.communicate(timeout=180)
    assert (demo.returncode, told, len(errors.splitlines()), left_behind(temporary)) == (2, "", 1, [])
    assert re.fullmatch(
        rf"postgres-etl: no space: {temporary} has \S+ \wB free, and this wants 48,000 TB: set TMPDIR to a directory "
        r"on a larger disk, or ask for a smaller --scale\n",
        errors,
    )


def _swell(standin: StandIn) -> None:
    """Let a source's statistics say that its tables are larger than the disk."""
    pages = shutil.disk_usage(standin.directory).free // 1024
    with psycopg.connect(standin.source_dsn) as connection:
        connection.execute(
            "SELECT pg_restore_relation_stats('schemaname', schemaname::text, 'relname', tablename::text,"
            " 'relpages', %s::integer) FROM pg_tables WHERE tableowner = current_user",
            (pages,),
        )


def test_a_source_that_is_too_large_for_the_tasks_disk_is_not_dumped() -> None:
    with StandIn(scrub_directory=ROOT / "scrub") as standin:
        generate(standin.source_dsn, 0.02)
        _swell(standin)
        done = command(standin, "run", "dev", "--execution-name", "too-large")
        assert (done.returncode, done.stderr) == (1, "")
        assert re.search(
            r"extract    failed after \S+ s: no space: \S+ has \d+ MiB free, and \d+ files are on it at once, "
            r"which want \d+ MiB where the tables are the largest: give the task more ephemeral storage, "
            r"or fewer jobs\n",
            done.stdout,
        ), done.stdout


@pytest.fixture
def small_disk(temporary: Path) -> Iterator[Path]:
    """A file system of its own, which can be filled without harm to anybody else's."""
    made = [MOUNT, "-t", "tmpfs", "-o", "size=2g,mode=711", "tmpfs", str(temporary)]
    if not MOUNT or subprocess.run(made, check=False, capture_output=True).returncode != 0:
        pytest.skip("only who may mount has a disk to fill; the other tests here need no right")
    yield temporary
    subprocess.run([UMOUNT, temporary], check=True)


def _fill(directory: Path) -> None:
    """Leave no room beside what is there; that may be more by the time the file system is asked to."""
    for _ in range(100):
        kibibytes = shutil.disk_usage(directory).used >> 10
        remount = [MOUNT, "-o", f"remount,size={kibibytes + 4}k", directory]
        if subprocess.run(remount, check=False, capture_output=True).returncode == 0:
            return
    raise AssertionError("the file system could not be made small")


@pytest.mark.parametrize("moment", ["stand-in   ", "extract    succeeded"])
def test_a_disk_that_fills_during_the_run_is_told_in_one_line(
    small_disk: Path, tmp_path: Path, shop: Shop, moment: str
) -> None:
    demo = start_demo(small_disk, "--source", shop.url, "--scrub", str(write_rules(tmp_path)))
    assert demo.stdout is not None
    for line in demo.stdout:
        if moment in line:
            _fill(small_disk)
            break
    told, errors = demo.communicate(timeout=180)
    assert (demo.returncode, errors, left_behind(small_disk)) == (1, "", [])
    (failed,) = [line for line in told.splitlines() if " failed after " in line and line[:2] == "20"]
    assert re.search(r"no space: |No space left on device", failed), failed
