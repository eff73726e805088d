"""What a person sees who gets it wrong: one clear line, a failing exit, and nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.shop import CANARY, RULES, Shop, left_behind, run_demo, start_demo, write_rules

pytestmark = pytest.mark.end_to_end


def _demo(temporary: Path, source: str, scrub: Path) -> subprocess.CompletedProcess[str]:
    done = run_demo(temporary, source, scrub)
    assert CANARY not in done.stdout + done.stderr
    return done


def test_a_source_that_nobody_answers_at(tmp_path: Path, temporary: Path) -> None:
    done = _demo(temporary, "postgresql://reader@127.0.0.1:1/shop", write_rules(tmp_path))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "cannot be reached" in done.stderr


def test_a_wrong_password(tmp_path: Path, temporary: Path, shop: Shop) -> None:
    done = _demo(temporary, shop.wrong_password_url, write_rules(tmp_path))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert 'password authentication failed for user "reader"' in done.stderr


def test_rules_that_are_not_yaml_are_shown_with_their_line(tmp_path: Path, temporary: Path, shop: Shop) -> None:
    done = _demo(temporary, shop.url, write_rules(tmp_path, RULES + "   indent: [\n"))
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
    done = _demo(temporary, shop.url, write_rules(tmp_path, rules, **scripts))
    assert done.returncode == 1, done.stderr
    failed = [line for line in done.stdout.splitlines() if "transform  failed" in line]
    assert len(failed) == 1, done.stdout + done.stderr
    assert failed[0].endswith(told)


@pytest.mark.parametrize("stage", ["extract", "transform"])
def test_an_interrupted_demo_leaves_nothing_behind_and_says_of_nothing_that_it_goes_on(
    tmp_path: Path, temporary: Path, shop: Shop, stage: str
) -> None:
    demo = start_demo(temporary, "--source", shop.url, "--scrub", str(write_rules(tmp_path)))
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
    assert left_behind(temporary) == []
