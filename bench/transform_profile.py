"""The transform under a sampler: where its own CPU goes, by function, and its server's, by table.

Each sample gives the CPU that every thread has used since the last one (as Linux counts it) to the line of ours that it
is on; C code that runs without Python's lock counts to the function that called it. Written as JSON to BENCH_PROFILE.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

import psutil
from etl_runtime.contract import TRANSFORM_CONTAINER
from etl_runtime.program import run
from etl_runtime.transform import transform

_EVERY_SECONDS = 0.004
_MODULES = ("table_release", "examination")
_OF_A_TABLE = frozenset({"_clean_segment", "_clean_blocks", "_cleaning", "_rows", "written", "as_they_are"})


class Sampler(threading.Thread):
    """Samples until it is stopped."""

    def __init__(self) -> None:
        super().__init__(name="sampler", daemon=True)
        self.functions: defaultdict[str, float] = defaultdict(float, {"(imports)": time.process_time()})
        self.tables: defaultdict[str, float] = defaultdict(float)
        self.postgres: defaultdict[str, float] = defaultdict(float)
        # What the imports took is the main thread's.
        self._used: dict[int, float] = {threading.get_native_id(): _thread_seconds(threading.get_native_id())}
        self._servers: dict[int, float] = {}
        self._table = "elsewhere"
        self._over = threading.Event()

    def run(self) -> None:
        """Sample."""
        turn = 0
        while not self._over.wait(_EVERY_SECONDS):
            self._threads()
            turn += 1
            if turn % 25 == 0:
                self._backends()

    def stop(self, path: Path) -> None:
        """End, and write what was seen: CPU seconds."""
        self._over.set()
        self.join()
        self.functions["(the sampler, and what no sample saw)"] = time.process_time() - sum(self.functions.values())
        document = {"functions": self.functions, "tables": self.tables, "postgres": self.postgres}
        path.write_text(json.dumps(document))

    def _threads(self) -> None:
        frames = sys._current_frames()
        for thread in threading.enumerate():
            frame = frames.get(thread.ident or 0)
            if thread is self or frame is None or thread.native_id is None:
                continue
            now = _thread_seconds(thread.native_id)
            spent = now - self._used.get(thread.native_id, 0.0)
            self._used[thread.native_id] = now
            if spent <= 0:
                continue
            function, table = _places(frame)
            self.functions[function] += spent
            self.tables[table] += spent
            if table != "elsewhere":
                self._table = table

    def _backends(self) -> None:
        """A server's session says of no table; but tables are cleaned one after another, so it is the latest one."""
        for process in psutil.Process().children(recursive=True):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            now = times.user + times.system
            self.postgres[self._table] += now - self._servers.get(process.pid, 0.0)
            self._servers[process.pid] = now


def _thread_seconds(native_id: int) -> float:
    try:
        return int(Path(f"/proc/self/task/{native_id}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


def _places(frame: FrameType | None) -> tuple[str, str]:
    """The innermost function of ours, and the table that it is about."""
    function, table = "", "elsewhere"
    innermost = ""
    while frame is not None:
        code = frame.f_code
        path = Path(code.co_filename)
        innermost = innermost or f"{path.stem}.{code.co_name}"
        if "etl_runtime" in path.parts:
            function = function or f"{path.stem}.{code.co_qualname}"
            if path.stem in _MODULES and code.co_name in _OF_A_TABLE and "table" in frame.f_locals:
                table = frame.f_locals["table"].name
        frame = frame.f_back
    return function or innermost, table


def main() -> int:
    """Run the transform."""
    sampler = Sampler()
    sampler.start()
    try:
        return run(TRANSFORM_CONTAINER, transform)
    finally:
        sampler.stop(Path(os.environ["BENCH_PROFILE"]))


if __name__ == "__main__":
    sys.exit(main())
