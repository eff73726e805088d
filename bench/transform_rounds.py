"""The rounds: which way runs when, on what, and what is kept of it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import psycopg
import transform_ways as ways
from servers import ROOT
from transform_bench import Bench, Runs
from transform_database import Filled, Size, write_rules
from transform_page import compared
from transform_process import Deadline, FailedError, OverdueError, Usage, measured

_SMALL_TABLES = 1000 - 28
"""So that there are 1,000 with the others."""
_INSTALL_SECONDS = 300

OURS = ["-m", "etl_runtime.transform"]
UNPROVED = [str(ROOT / "bench" / "transform_unproved.py")]
PROFILED = [str(ROOT / "bench" / "transform_profile.py")]


def run(bench: Bench) -> dict[str, Any]:
    """Measure everything."""
    tools = _tools(bench)
    filled = bench.made("base", size := Size.of(bench.options.megabytes))
    archive = _archive(bench, size)
    slow = _slow_ways(bench, archive, tools)
    digests: dict[str, dict[str, int]] = {}
    for number in range(bench.options.rounds):
        if number < bench.options.slow_rounds:
            for name, work in slow.items():
                bench.run(name, work)
                if "naive" in name and number == 0 and bench.runs[name].usages:
                    digests[name] = ways.row_digests(ways.personal_files(bench.directory / "output"))
        bench.run("floor", lambda: _floor(bench, archive, "ours"))
        if archive.codec.startswith("gzip"):
            bench.run("floor by zlib", lambda: _floor(bench, archive, "zlib"))
        kept = bench.directory / "kept"
        keep = kept if number == 0 else None
        bench.run("ours", lambda keep=keep: bench.ours("base", archive.rules, OURS, keep))
        if number == 0 and bench.runs["ours"].usages:
            digests["ours"] = ways.row_digests(ways.personal_files(kept))
            shutil.rmtree(kept)
        bench.run("ours without the proof", lambda: bench.ours("base", archive.rules, UNPROVED))
    same = len({json.dumps(found, sort_keys=True) for found in digests.values()}) == 1
    compared_rows = {"compared": list(digests), "same": same}
    bench.say(f"personal rows: {compared(compared_rows)}")
    shutil.rmtree(archive.directory)
    growth = _growth(bench)
    return {
        "machine": _machine(bench, archive.codec),
        "options": asdict(bench.options),
        "database": asdict(filled),
        "same_rows": compared_rows,
        "ways": {name: _document(runs) for name, runs in bench.runs.items() if not name.startswith("growth: ")},
        "growth": growth,
        "seconds": round(time.monotonic() - bench.began),
    }


def _tools(bench: Bench) -> dict[str, Path]:
    found: dict[str, Path] = {}
    if not bench.options.with_tools:
        return found
    for name in ways.TOOLS:
        bench.say(f"installing {name}")
        try:
            found[name] = ways.install(name, bench.directory, Deadline(_INSTALL_SECONDS))
        except (FailedError, OverdueError) as error:
            reason = str(error) or f"ended after {_INSTALL_SECONDS} s"
            bench.runs[name] = Runs(stopped=f"skipped, cannot be installed: {reason}")
            bench.say(f"         {bench.runs[name].stopped}")
    return found


def _archive(bench: Bench, size: Size) -> ways.Archive:
    """The very dump that ours reads, on disk."""
    directory = bench.directory / "archive"
    bench.download("raw", "base", directory)
    manifest = directory / "manifest.json"
    codec = json.loads(manifest.read_text())["compression"]
    manifest.unlink()
    return ways.Archive(directory, codec, write_rules(bench.directory / "rules", size), bench.scratch_template)


def _slow_ways(bench: Bench, archive: ways.Archive, tools: Mapping[str, Path]) -> dict[str, Callable[[], Usage]]:
    """Those that restore everything."""

    def way(clean: Callable[..., None], *, tuned: bool) -> Callable[[], Usage]:
        def work() -> Usage:
            place, output = ways.emptied(bench.directory / "server"), bench.directory / "output"
            shutil.rmtree(output, ignore_errors=True)
            return ways.whole(archive, place, output, clean, Deadline(bench.options.timeout), tuned=tuned)

        return work

    update = ways.update(archive)
    found = {"naive, stock server": way(update, tuned=False), "naive, tuned server": way(update, tuned=True)}
    for name, make in (("pynonymizer", ways.pynonymizer), ("pganonymize", ways.pganonymize)):
        if name in tools:
            found[name] = way(make(tools[name], bench.directory), tuned=False)
    return found


def _floor(bench: Bench, archive: ways.Archive, codecs: str) -> Usage:
    output = ways.emptied(bench.directory / "floor")
    paths = [str(path) for path in ways.personal_files(archive.directory).values()]
    argv = [sys.executable, str(ROOT / "bench" / "transform_floor.py"), codecs, str(output), *paths]
    usage = measured(argv, bench.environment("none"), bench.directory / "floor.log", Deadline(bench.options.timeout))
    usage.steps = {}
    return usage


def _growth(bench: Bench) -> dict[str, Any]:
    options = bench.options
    if not options.growth_rounds:
        return {}
    megabytes = options.growth_megabytes
    sizes = {
        "base": Size.of(megabytes),
        "personal rows x 2": Size.of(megabytes, personal=2),
        "other rows x 2": Size.of(megabytes, others=2),
        "1,000 tables": Size.of(megabytes, small_tables=_SMALL_TABLES),
    }
    cases: dict[str, tuple[str, Path]] = {}
    filled: dict[str, Filled] = {}
    for number, (name, size) in enumerate(sizes.items()):
        database = f"growth_{number}"
        try:
            filled[name] = bench.made(database, size)
        except (FailedError, OverdueError, psycopg.Error) as error:
            bench.say(f"         left out: {error or 'it took too long'}")
            continue
        cases[name] = (database, write_rules(bench.directory / f"rules-{number}", size))
    if "base" not in cases:
        return {}
    scripts = write_rules(bench.directory / "rules-scripts", sizes["base"], scripts=True)
    cases["base with a script"], filled["base with a script"] = (cases["base"][0], scripts), filled["base"]
    for _ in range(options.growth_rounds):
        for name, (database, rules) in cases.items():
            bench.run(f"growth: {name}", lambda database=database, rules=rules: bench.ours(database, rules, OURS))
    return {name: {"database": asdict(filled[name]), **_document(bench.runs[f"growth: {name}"])} for name in cases}


def _document(runs: Runs) -> dict[str, Any]:
    return {"runs": [asdict(usage) for usage in runs.usages], "stopped": runs.stopped}


def _machine(bench: Bench, codec: str) -> dict[str, Any]:
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = (line.partition(":") for line in info.read_text().splitlines())
        model = next((value.strip() for name, _, value in lines if name.strip() == "model name"), model)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": platform.system(),
        "load_at_the_end": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "postgres": bench.version,
        "codec": codec,
    }


def profile(bench: Bench) -> list[str]:
    """Where our time goes, as lines for people."""
    size = Size.of(bench.options.megabytes)
    bench.made("base", size)
    rules, path = write_rules(bench.directory / "rules", size), bench.directory / "profile.json"
    bench.say("running: ours, sampled")
    usage = bench.ours("base", rules, PROFILED, BENCH_PROFILE=str(path))
    found: dict[str, dict[str, float]] = json.loads(path.read_text())
    lines = [
        f"{usage.seconds:.1f} s; CPU: Python {usage.python_cpu:.1f} s, Postgres {usage.postgres_cpu:.1f} s;"
        f" most memory: Python {usage.own_mib:.0f} MiB, Postgres {usage.postgres_mib:.0f} MiB"
    ]
    lines += _ranked("Steps, seconds", usage.steps)
    lines += _ranked("Python's CPU by function, seconds", found["functions"])
    lines += _ranked("Python's CPU by table, seconds", found["tables"])
    return lines + _ranked("Postgres's CPU by the table under way (about), seconds", found["postgres"])


def _ranked(title: str, seconds: Mapping[str, float], most: int = 25) -> list[str]:
    total = sum(seconds.values()) or 1.0
    ranked = sorted(seconds.items(), key=lambda item: -item[1])[:most]
    return ["", title, *(f"{value:9.2f} {value / total:5.0%}  {name}" for name, value in ranked)]
