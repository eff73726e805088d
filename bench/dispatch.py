"""The dispatcher under everything at once, and its latency when nothing is wrong.

    python bench/dispatch.py [--events 2000] [--kills 40] [--idle 50] [--seed 1]

Three dispatchers share one queue; there are duplicates, junk, lost and reordered events; dispatchers are killed and
calls of Kubernetes broken while it goes on. Then messages come one by one to dispatchers that are idle. A number that
is not 0 where 0 must be is an exit status of 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from servers import ROOT, keep_result, moto

sys.path.insert(0, str(ROOT))

from tests.containers.api_server import api_server
from tests.containers.dispatch_cluster import dispatch_cluster
from tests.containers.dispatch_soak import Outcome, Soak


def main() -> int:
    """Soak, print, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--idle", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        outcome = soak(Path(directory), asked)
    document = outcome.document()
    for name, value in document.items():
        print(f"{name.replace('_', ' '):<28} {value}")
    keep_result("dispatch", document)
    return 1 if outcome.lost or outcome.effects or outcome.letters else 0


def soak(directory: Path, asked: argparse.Namespace) -> Outcome:
    """Servers, dispatchers, and all that goes wrong."""
    with (
        moto(directory) as endpoint,
        api_server(directory) as kubernetes,
        dispatch_cluster(kubernetes, directory) as cluster,
    ):
        return Soak(endpoint, cluster, directory, asked.seed).run(
            asked.events, kills=asked.kills, patience=1800, idle_messages=asked.idle
        )


if __name__ == "__main__":
    sys.exit(main())
