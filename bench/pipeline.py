"""The pipeline against two unmasked copies of the same database: `pg_dump | pg_restore`, and pgcopydb.

    python bench/pipeline.py [--scale 5] [--rounds 3]

All use the same servers and jobs; ours and pg_dump the same tools and codec, too (one machine, an S3 stand-in on
loopback). pgcopydb (https://github.com/dimitri/pgcopydb) copies from server to server without a dump between; where it
is not installed, the bench says so and goes on. Rounds are interleaved; printed are medians, in seconds, and ratios.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import psycopg
from etl_runtime.contract import rules_digest
from pipeline_bench import JOBS, Bench
from psycopg.conninfo import conninfo_to_dict
from servers import ROOT, keep_result


class CopyError(Exception):
    """Another tool does not copy this database."""


def plain(bench: Bench) -> None:
    """The unmasked copy."""
    dump = bench.place.directory / "plain"
    options = ("--format=directory", f"--jobs={JOBS}", "--compress=gzip:1", f"--file={dump}")
    bench.timed("plain: pg_dump", lambda: bench.tool(bench.source, "pg_dump", *options, "marketplace"))
    bench.target.create_database("plain", "postgres")
    restore = ("--exit-on-error", "--no-owner", f"--jobs={JOBS}", "--dbname=plain", str(dump))
    bench.timed("plain: pg_restore", lambda: bench.tool(bench.target, "pg_restore", *restore))
    shutil.rmtree(dump)
    bench.target.execute("DROP DATABASE plain")


def pgcopydb(bench: Bench, program: str) -> None:
    """The unmasked copy by pgcopydb.

    Raises:
        CopyError: it does not carry this database; the message is its first error.
    """
    bench.target.create_database("copied", "postgres")
    work = bench.place.directory / "pgcopydb"
    argv = [program, "clone", f"--table-jobs={JOBS}", f"--index-jobs={JOBS}", "--no-owner", f"--dir={work}"]
    copied = ((bench.source, "marketplace"), (bench.target, "copied"))
    source, target = (_address(server.dsn(database=name)) for server, name in copied)
    environment = {
        "PATH": f"{bench.place.launchers}:{os.defpath}",
        "PGCOPYDB_SOURCE_PGURI": source,
        "PGCOPYDB_TARGET_PGURI": target,
    }
    started = time.perf_counter()
    # It ends its whole process group when something fails.
    done = subprocess.run(
        argv, env=environment, check=False, capture_output=True, text=True, start_new_session=True, timeout=3600
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        errors = [line.partition(" ERROR ")[2] for line in done.stderr.splitlines() if " ERROR " in line]
        raise CopyError(errors[0] if errors else f"exit status {done.returncode}")
    before, after = (_rows(server.dsn(database=name)) for server, name in copied)
    if before != after:
        print(f"pgcopydb left {before - after} of {before} rows behind")
    bench.seconds.setdefault("pgcopydb", []).append(seconds)
    shutil.rmtree(work)
    bench.target.execute("DROP DATABASE copied")


def take_out_what_not_all_carry(bench: Bench) -> None:
    """Rename constraints with a quote in their name, and drop those that exclude: pgcopydb 0.10 fails with both."""
    with psycopg.connect(bench.source.dsn(database="marketplace")) as connection:
        found = connection.execute(
            "SELECT format('ALTER TABLE %s ', conrelid::regclass) || CASE contype "
            "WHEN 'x' THEN format('DROP CONSTRAINT %I', conname) "
            "ELSE format('RENAME CONSTRAINT %I TO %I', conname, replace(conname, '\"', '')) END "
            "FROM pg_constraint WHERE conrelid <> 0 AND (contype = 'x' OR conname LIKE '%\"%')"
        ).fetchall()
        for (statement,) in found:
            connection.execute(statement)


def _address(dsn: str) -> str:
    parts = {name: quote(str(part), safe="") for name, part in conninfo_to_dict(dsn).items()}
    return "postgresql://{user}:{password}@{host}:{port}/{dbname}".format_map(parts)


def _rows(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        names = connection.execute(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
            "WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        counts = [connection.execute(f"SELECT count(*) FROM {name}").fetchone() for (name,) in names]  # pyright: ignore[reportArgumentType]
        return sum(count[0] for count in counts if count)


def pipeline(bench: Bench, number: int) -> None:
    """Ours, on an execution of its own."""
    execution = f"round-{number}"
    bench.make_clean(execution)
    run = {"EXECUTION_ID": execution, "PROTECTED_ACCOUNTS": "974531504241"}
    load = {
        "LOAD_FILENAME": f"dev/{execution}/etl-dump",
        "RESTORE_JOBS": JOBS,
        "ALLOWED_RULES": rules_digest(ROOT / "scrub"),
    }
    bench.timed(
        "load", lambda: bench.program("pg_restore", **run, **load, **bench.credentials("etl_load", bench.target))
    )


def report(seconds: Mapping[str, list[float]]) -> dict[str, Any]:
    """Medians, and ratios to the plain copy."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    plain = medians["plain: pg_dump"] + medians["plain: pg_restore"]
    ours = medians["extract"] + medians["transform"] + medians["load"]
    ratios = {
        "extract / pg_dump": medians["extract"] / medians["plain: pg_dump"],
        "load / pg_restore": medians["load"] / medians["plain: pg_restore"],
        "pipeline / plain copy": ours / plain,
    }
    if "pgcopydb" in medians:
        ratios["pipeline / pgcopydb"] = ours / medians["pgcopydb"]
        ratios["pgcopydb / plain copy"] = medians["pgcopydb"] / plain
    return {"medians": medians, "ratios": ratios, "seconds": dict(seconds)}


def main() -> None:
    """Measure, print, and write `bench/results/pipeline.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=5.0, help="size of the sample database; 1 is about 75 MB")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    copier = shutil.which("pgcopydb")
    if copier is None:
        print("pgcopydb is not installed (Debian has a package of that name): it is not measured")
    with Bench.started(options.scale) as bench:
        take_out_what_not_all_carry(bench)
        for number in range(options.rounds):
            plain(bench)
            if copier is not None:
                try:
                    pgcopydb(bench, copier)
                except CopyError as error:
                    print(f"pgcopydb is not measured: {error}")
                    copier = None
            pipeline(bench, number)
    result = {"scale": options.scale, **report(bench.seconds)}
    for name, value in result["medians"].items():
        print(f"{name:<24}{value:8.2f} s")
    for name, value in result["ratios"].items():
        print(f"{name:<24}{value:8.2f}")
    keep_result("pipeline", result)


if __name__ == "__main__":
    main()
