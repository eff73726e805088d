"""A load against a plain `pg_restore` of the same archive, with an application that never stops asking.

    python bench/load.py [--scale 5] [--rounds 3]

Both ways fill a new database of one server with the same tools and jobs; the load also downloads, verifies, counts,
analyzes and swaps. Meanwhile a client connects to the live database and asks, 50 times a second: `downtime` is the
longest time between two of its answers in a load, less the usual one. Rounds are interleaved; printed are medians and
ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
from etl_runtime.contract import rules_digest
from pipeline_bench import JOBS, Bench
from servers import ROOT, client, keep_result

PREFIX = "dev/measured/etl-dump"
EVERY_SECONDS = 0.02


class Client:
    """An application: connects, asks, leaves, and begins again, whatever happens."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._stopping = threading.Event()
        self._gaps: list[float] = []
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        answered = time.perf_counter()
        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._dsn, connect_timeout=2) as connection:
                    connection.execute("SELECT 1")
            except psycopg.Error:
                continue
            now = time.perf_counter()
            self._gaps.append(now - answered)
            answered = now
            time.sleep(EVERY_SECONDS)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask until the block ends."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join()

    @property
    def downtime(self) -> float:
        """Seconds of the longest silence, less those between two usual answers."""
        return max(self._gaps) - statistics.median(self._gaps)


def application(bench: Bench) -> Client:
    """One of the live database."""
    return Client(bench.target.dsn("application", bench.passwords["application"], "marketplace"))


def download(bench: Bench, s3: Any) -> Path:
    """The clean archive as a directory, for plain pg_restore."""
    directory = bench.place.directory / "archive"
    directory.mkdir()
    for entry in s3.list_objects_v2(Bucket="clean", Prefix=f"{PREFIX}/")["Contents"]:
        name = entry["Key"].rpartition("/")[2]
        if name != "manifest.json":
            s3.download_file("clean", entry["Key"], str(directory / name))
    return directory


def plain(bench: Bench, archive: Path) -> None:
    """The same archive by pg_restore alone, as the same role."""
    bench.target.create_database("plain", "etl_load")
    options = ("--exit-on-error", "--no-owner", "--no-privileges", f"--jobs={JOBS}", "--dbname=plain", str(archive))
    with application(bench).asking():
        bench.timed("pg_restore", lambda: bench.tool(bench.target, "pg_restore", *options))
    bench.target.execute("DROP DATABASE plain")


def load(bench: Bench, number: int) -> None:
    """Ours: the process as a container runs it, its memory by the kernel's own count."""
    environment = bench.environment(
        EXECUTION_ID=f"load-{number}",
        LOAD_FILENAME=PREFIX,
        RESTORE_JOBS=JOBS,
        PROTECTED_ACCOUNTS="974531504241",
        ALLOWED_RULES=rules_digest(ROOT / "scrub"),
        KEEP_PREVIOUS_HOURS="0",
        **bench.credentials("etl_load", bench.target),
    )
    argv = [sys.executable, "-m", "etl_runtime.pg_restore"]
    asking = application(bench)
    with asking.asking():
        began, started = time.time(), time.perf_counter()
        process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True)
        text = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        bench.seconds.setdefault("load", []).append(time.perf_counter() - started)
    if process.returncode != 0:
        raise SystemExit(text)
    _steps(bench, text, began)
    bench.seconds.setdefault("downtime", []).append(asking.downtime)
    bench.memory.append(usage.ru_maxrss / 1024)


def _steps(bench: Bench, text: str, started: float) -> None:
    """How long each step of the load took, by its own log (in UTC)."""
    events = [json.loads(line) for line in text.splitlines()]
    moments: list[tuple[str, float]] = [("starting", started)]
    for event in events:
        step = event.get("step", event["event"])
        at = datetime.fromisoformat(event["timestamp"]).timestamp()
        if not moments or moments[-1][0] != step:
            moments.append((step, at))
    for (step, began), (_, ended) in pairwise(moments):
        bench.seconds.setdefault(f"  {step}", []).append(ended - began)


def main() -> None:
    """Measure, print, and write `bench/results/load.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=5.0, help="size of the sample database; 1 is about 75 MB")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with Bench.started(options.scale) as bench:
        bench.passwords["application"] = bench.target.create_role("application", "NOSUPERUSER")
        bench.make_clean("measured")
        archive = download(bench, client("s3", bench.endpoint))
        bench.source.stop()
        bench.target.create_database("marketplace", "etl_load")
        for number in range(options.rounds):
            plain(bench, archive)
            load(bench, number)
        shutil.rmtree(archive)
    medians = {name: statistics.median(values) for name, values in bench.seconds.items()}
    result = {
        "scale": options.scale,
        "medians": medians,
        "ratios": {"load / pg_restore": medians["load"] / medians["pg_restore"]},
        "memory_mib": statistics.median(bench.memory),
        "seconds": bench.seconds,
    }
    for name, value in medians.items():
        print(f"{name:<28}{value:8.2f} s")
    print(f"{'load / pg_restore':<28}{result['ratios']['load / pg_restore']:8.2f}")
    print(f"{'peak memory':<28}{result['memory_mib']:8.0f} MiB")
    keep_result("load", result)


if __name__ == "__main__":
    main()
