"""Extract, its upload included, against `pg_dump` to local disk; and what of memory and disk it takes.

    python bench/extract.py [--scale 5] [--rounds 5] [--codec gzip]

All use the same pg_dump, jobs, role and server; one pg_dump compresses as extract does, one as it does unasked. S3 is
`s3_double.py` on loopback, which discards what it gets, in a process of its own. Rounds are interleaved; printed are
medians, their ratios, and the most that any round took. Beside the time on the clock there is the processors': of the
program, its children and the server's backends. The clock comes to it where they are all busy and nobody else is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
from servers import keep_result, login, program_environment, s3_double, workplace

from etl_local.clusters import PostgresCluster
from etl_local.sample.marketplace import generate

JOBS = "2"
LEVELS = {"gzip": "gzip:1", "zstd": "zstd:1", "lz4": "lz4", "none": "none"}


@dataclass
class Usage:
    """Watches a process: bytes of memory of its own and of its children, bytes below a directory, at their most."""

    process: psutil.Process
    directory: Path
    own: int = 0
    children: int = 0
    disk: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Look, a hundred times a second, until told to stop."""
        while not self._ended.wait(0.01):
            with suppress(psutil.Error, OSError):
                self.own = max(self.own, self.process.memory_info().rss)
                below = self.process.children(recursive=True)
                self.children = max(self.children, sum(child.memory_info().rss for child in below))
            with suppress(OSError):
                sizes = [path.stat().st_blocks * 512 for path in self.directory.rglob("*") if path.is_file()]
                self.disk = max(self.disk, sum(sizes))

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()


@dataclass
class Bench:
    """A source, and what both ways took of it."""

    directory: Path
    source: PostgresCluster
    launchers: Path
    password: str
    endpoint: str
    codec: str
    rounds: dict[str, list[float]] = field(default_factory=dict)

    def _kept(self, **figures: float) -> None:
        for name, figure in figures.items():
            self.rounds.setdefault(name, []).append(figure)

    def _busy(self) -> float:
        """Seconds of processors that the ended children of this process and of the server have taken so far."""
        data = str(self.directory / "source")
        (server,) = [
            process
            for process in psutil.process_iter(["name", "cmdline"])
            if process.info["name"] == "postgres" and data in (process.info["cmdline"] or [])
        ]
        ours, theirs = psutil.Process().cpu_times(), server.cpu_times()
        return ours.children_user + ours.children_system + theirs.children_user + theirs.children_system

    def plain(self, name: str, *options: str) -> None:
        """pg_dump to local disk."""
        dump = self.directory / "plain"
        environment = {
            "PATH": f"{self.launchers}:{os.defpath}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.source.port),
            "PGUSER": "etl_dump",
            "PGPASSWORD": self.password,
        }
        argv = ["pg_dump", "--format=directory", f"--jobs={JOBS}", f"--file={dump}", *options]
        started, busy = time.perf_counter(), self._busy()
        subprocess.run([*argv, "marketplace"], env=environment, check=True)
        self._kept(**{f"{name}_seconds": time.perf_counter() - started, f"{name}_busy_seconds": self._busy() - busy})
        self._kept(**{f"{name}_bytes": sum(path.stat().st_size for path in dump.iterdir())})
        shutil.rmtree(dump)

    def extract(self, number: int) -> None:
        """Ours."""
        disk = self.directory / "disk"
        disk.mkdir()
        disk.chmod(0o711)
        environment = program_environment(
            disk,
            self.launchers,
            self.endpoint,
            "clean",
            EXECUTION_ID=f"round-{number}",
            LOAD_ENVIRONMENT="dev",
            DUMP_FILENAME="etl-dump",
            DUMP_JOBS=JOBS,
            DUMP_COMPRESSION=self.codec,
            **login(self.source, "etl_dump", self.password, "marketplace"),
        )
        started, busy = time.perf_counter(), self._busy()
        argv = [sys.executable, "-m", "etl_runtime.pg_dump"]
        program = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True)
        usage = Usage(psutil.Process(program.pid), disk)
        watcher = threading.Thread(target=usage.watch)
        watcher.start()
        said, _ = program.communicate()
        self._kept(extract_seconds=time.perf_counter() - started, extract_busy_seconds=self._busy() - busy)
        usage.stop()
        watcher.join()
        if program.returncode != 0:
            raise SystemExit(said)
        self._kept(own_memory_bytes=usage.own, children_memory_bytes=usage.children, disk_bytes=usage.disk)
        disk.rmdir()


def report(rounds: Mapping[str, list[float]]) -> dict[str, Any]:
    """Medians of the seconds, their ratio, and the most of all else."""
    medians = {name: statistics.median(figures) for name, figures in rounds.items() if name.endswith("seconds")}
    most = {name: max(figures) for name, figures in rounds.items() if name.endswith("bytes")}
    ratios = {
        f"extract / {name}{suffix.replace('_', ' ')}": medians[f"extract{suffix}"] / medians[f"{name}{suffix}"]
        for suffix in ("_seconds", "_busy_seconds")
        for name in ("unasked", "same")
    }
    ratios["disk / dump"] = most["disk_bytes"] / most["same_bytes"]
    return {"medians": medians, "most": most, "ratios": ratios, "rounds": dict(rounds)}


def main() -> None:
    """Measure, print, and write `bench/results/extract.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=5.0, help="size of the sample database; 1 is about 75 MB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--codec", choices=sorted(LEVELS), default="gzip", help="one that the bundled pg_dump has")
    options = parser.parse_args()
    with s3_double() as endpoint, workplace() as place, place.cluster("source") as source:
        password = source.create_role("etl_dump", "BYPASSRLS", ("pg_read_all_data",))
        source.create_database("marketplace", "postgres")
        generate(source.dsn(database="marketplace"), options.scale)
        with psycopg.connect(source.dsn(database="marketplace")) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        bench = Bench(place.directory, source, place.launchers, password, endpoint, options.codec)
        for number in range(options.rounds):
            bench.plain("unasked")
            bench.plain("same", f"--compress={LEVELS[options.codec]}")
            bench.extract(number)
    size = row[0] if row else 0
    result = {"scale": options.scale, "codec": options.codec, "database_bytes": size, **report(bench.rounds)}
    print(f"{'database':<32}{size / 2**20:8.0f} MiB, {options.codec}")
    for name, seconds in result["medians"].items():
        print(f"{name:<32}{seconds:8.2f} s")
    for name, size in result["most"].items():
        print(f"{name:<32}{size / 2**20:8.1f} MiB")
    for name, ratio in result["ratios"].items():
        print(f"{name:<32}{ratio:8.2f}")
    keep_result("extract", result)


if __name__ == "__main__":
    main()
