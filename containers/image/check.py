"""What an image is held to while it is built: `check.py <target> [Postgres major]`.

It runs in the image and with nothing but what is in it. A fault ends the build with one line.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

FLOORS = {14: 24, 15: 19, 16: 15, 17: 11, 18: 6}
"""Oldest minor of each major in an image. Below it a dump can run commands through psql's `\\unrestrict`
(CVE-2026-18408, https://www.suse.com/security/cve/CVE-2026-18408.html)."""
TOOLS = {
    "dispatcher": (),
    "migrator": ("pg_dump", "pg_restore", "psql"),
    "transform": ("pg_dump", "pg_restore", "psql", "initdb", "postgres"),
}
ENTRY_POINTS = {
    "dispatcher": ("etl_runtime.dispatcher",),
    "migrator": ("etl_runtime.pg_dump", "etl_runtime.pg_restore"),
    "transform": ("etl_runtime.transform",),
}
ALL_TOOLS = frozenset(TOOLS["transform"])
USER = 10001


def version_fault(name: str, said: str, wanted_major: int) -> str:
    """What is wrong with a tool that says this of its version; "" where nothing is."""
    found = re.search(r"(\d+)\.(\d+)", said)
    if found is None:
        return f"{name} does not say its version"
    major, minor = int(found[1]), int(found[2])
    if major != wanted_major:
        return f"{name} is of major {major}, and the image is built for {wanted_major}"
    if major not in FLOORS:
        return f"no floor is known for major {major}: add it to FLOORS, with its reason"
    if minor < FLOORS[major]:
        return f"{name} {major}.{minor} is below {major}.{FLOORS[major]} (CVE-2026-18408)"
    return ""


def faults(target: str, major: int) -> list[str]:
    """What is wrong with the image that this runs in."""
    found: list[str] = []
    for name in sorted(ALL_TOOLS):
        path = shutil.which(name)
        if name not in TOOLS[target]:
            found += [f"{name} is in an image that has no use for it"] if path else []
        elif path is None:
            found.append(f"{name} is missing")
        else:
            said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
            found += filter(None, [version_fault(name, said, major)])
    for module in ENTRY_POINTS[target]:
        try:
            importlib.import_module(module)
        except Exception as error:
            found.append(f"{module} cannot be imported: {error}")
    scratch = Path("/scratch")
    state = scratch.stat() if scratch.is_dir() else None
    if state is None or (state.st_uid, state.st_gid, state.st_mode & 0o777) != (USER, USER, 0o711):
        found.append(f"/scratch is not a directory of {USER} alone")
    for path in sorted(Path("/opt/etl_runtime").rglob("*")):
        if path.stat().st_uid == USER or path.stat().st_mode & 0o002:
            found.append(f"{path} can be written by the program")
    return found


def main(target: str, major: str = "0") -> int:
    """Print every fault, and say by the exit status whether there is one."""
    found = faults(target, int(major))
    for fault in found:
        print(f"image {target}: {fault}", file=sys.stderr)
    return os.EX_DATAERR if found else os.EX_OK


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
