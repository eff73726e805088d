"""The scrub rules as a ConfigMap has them: what a set of files must keep to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from etl_runtime import contract

MOST_BYTES: Final = 1 << 20
"""Of all values of a ConfigMap. https://kubernetes.io/docs/concepts/configuration/configmap/"""

_KEY: Final = r"(?!\.\.)[-._a-zA-Z0-9]{1,253}"
"""A key of a ConfigMap, as https://kubernetes.io/docs/concepts/configuration/configmap/#configmap-object has it."""


def faults(directory: Path) -> list[str]:
    """What keeps the files of a scrub directory out of a ConfigMap, each a line that names the file.

    Raises:
        OSError: the directory cannot be read.
    """
    found: list[str] = []
    size = 0
    for path in contract.scrub_files(directory):
        if not re.fullmatch(_KEY, path.name):
            found.append(f"{path.name!a} must be named by letters, digits, '-', '_' and '.' alone")
        try:
            content = path.read_bytes()
        except OSError as error:
            found.append(f"{path.name} cannot be read: {error.strerror}")
            continue
        size += len(content)
        try:
            content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            found.append(f"{path.name}:{line}: not UTF-8 text")
    if size > MOST_BYTES:
        found.append(f"the files hold {size:,} bytes, and a ConfigMap takes {MOST_BYTES:,}")
    return found
