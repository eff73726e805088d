"""The transform against other ways of cleaning the same dump, and how its time grows. Linux, for its CPU and memory.

    python bench/transform.py [--megabytes 2000] [--rounds 3] [--picture docs/benchmarks.svg]
    python bench/transform.py --profile        # where our own time goes, and nothing else

The database is made for it. The other ways are given the dump on disk and leave theirs there; ours reads and writes S3
(a stand-in on loopback), as its Job does. Rounds are interleaved; printed are medians. Every way is ended when it takes
longer than --timeout, and all directories are gone at the end. Also writes `bench/results/transform.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from servers import keep_result, workplace
from transform_bench import Bench, Options
from transform_page import write_page, written
from transform_process import FailedError, OverdueError
from transform_rounds import profile, run

from etl_local.postgres_installation import PostgresInstallation

RESULTS = Path(__file__).resolve().parent / "results" / "transform.json"


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=2000, help="size of the database, with indexes")
    parser.add_argument("--rounds", type=int, default=3, help="of ours and the floor")
    parser.add_argument("--slow-rounds", type=int, default=1, help="in how many of them the other ways take part")
    parser.add_argument("--growth-megabytes", type=float, help="size that growth starts from; a quarter unless given")
    parser.add_argument("--growth-rounds", type=int, default=3, help="0 leaves growth out")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds that one run of one way may take")
    parser.add_argument("--without-tools", action="store_true", help="install and measure no other tool")
    parser.add_argument("--postgres", type=Path, help="directory of a Postgres whose pg_dump has zstd")
    parser.add_argument("--picture", type=Path, help="write this SVG, and the page of the same name (.md) around it")
    parser.add_argument("--page-only", action="store_true", help="write them of the last run's results")
    parser.add_argument("--profile", action="store_true", help="where our own time goes")
    given = parser.parse_args()
    if given.page_only:
        write_page(json.loads(RESULTS.read_text()), given.picture or parser.error("--page-only needs --picture"))
        return
    options = Options(
        megabytes=given.megabytes,
        rounds=given.rounds,
        slow_rounds=given.slow_rounds,
        growth_megabytes=given.growth_megabytes or given.megabytes / 4,
        growth_rounds=given.growth_rounds,
        timeout=given.timeout,
        with_tools=not given.without_tools,
    )
    installation = (
        PostgresInstallation.in_directory(given.postgres) if given.postgres else PostgresInstallation.bundled()
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with workplace(installation) as place:
        os.environ["PATH"] = f"{place.launchers}{os.pathsep}{os.environ['PATH']}"
        with Bench.started(place, options) as bench:
            if given.profile:
                print("\n".join(profile(bench)))
                return
            try:
                result = run(bench)
            except (FailedError, OverdueError) as error:
                sys.exit(f"no database to measure on: {error or 'it takes longer than --timeout'}")
    print(written(result))
    keep_result("transform", result)
    if stopped := result["ways"]["ours"]["stopped"]:
        sys.exit(f"ours {stopped}")
    if given.picture:
        write_page(result, given.picture)


if __name__ == "__main__":
    main()
