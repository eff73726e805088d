from __future__ import annotations

import json

import pytest
from etl_runtime import progress as progress_module
from etl_runtime.program import run
from etl_runtime.progress import Progress


def test_progress_is_told_at_each_step_and_once_a_second_within_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now)

    def body(_environ: object) -> None:
        nonlocal now
        progress = Progress("load")
        progress("downloading", bytes_done=1, bytes_total=9)
        progress("downloading", bytes_done=2, bytes_total=9)
        now += 1
        progress("downloading", bytes_done=3, bytes_total=9)
        progress("restoring", tables_done=1, tables_total=2)

    run("pg_restore", body, {})
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for event in events:
        del event["timestamp"], event["level"], event["program"], event["event"], event["stage"]
    assert events == [
        {"step": "downloading", "bytes_done": 1, "bytes_total": 9, "tables_done": 0, "tables_total": None},
        {"step": "downloading", "bytes_done": 3, "bytes_total": 9, "tables_done": 0, "tables_total": None},
        {"step": "restoring", "bytes_done": 0, "bytes_total": None, "tables_done": 1, "tables_total": 2},
    ]
