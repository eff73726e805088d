"""The dispatcher under everything at once, and its latency when nothing is wrong.

    python bench/dispatch.py [--events 2000] [--kills 40] [--idle 50] [--seed 1]

Three dispatchers share one queue; there are duplicates, junk, lost and reordered events; dispatchers are killed and
calls of Kubernetes broken while it goes on. Then messages come one by one to dispatchers that are idle. A number that
is not 0 where 0 must be is an exit status of 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from etl_local.clusters import free_port  # noqa: E402 - the tests' own scene, from beside this directory
from tests.containers.api_server import api_server  # noqa: E402
from tests.containers.dispatch_cluster import dispatch_cluster  # noqa: E402
from tests.containers.dispatch_soak import Outcome, Soak  # noqa: E402


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
    results = ROOT / "bench" / "results"
    results.mkdir(exist_ok=True)
    (results / "dispatch.json").write_text(json.dumps(document, indent=1) + "\n")
    return 1 if outcome.lost or outcome.effects or outcome.letters else 0


def soak(directory: Path, asked: argparse.Namespace) -> Outcome:
    """Servers, dispatchers, and all that goes wrong."""
    port = free_port()
    with (directory / "moto.log").open("w") as log:
        argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=1).close()  # noqa: S310 - our own
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        with api_server(directory) as kubernetes, dispatch_cluster(kubernetes, directory) as cluster:
            return Soak(endpoint, cluster, directory, asked.seed).run(
                asked.events, kills=asked.kills, patience=1800, idle_messages=asked.idle
            )
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    sys.exit(main())
