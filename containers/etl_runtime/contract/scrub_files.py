"""The files that make up a set of scrub rules, and their digest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

RULES_FILE: Final = "columns.yaml"


def scrub_files(directory: Path) -> list[Path]:
    """The files that make up a set of rules: `columns.yaml` and every `*.sql`, in name order."""
    return sorted(p for p in directory.iterdir() if p.name == RULES_FILE or p.suffix == ".sql")


def rules_digest(directory: Path) -> str:
    """SHA-256 (hex) of a set of rules: names, lengths and bytes of its files, in name order."""
    digest = hashlib.sha256()
    for path in scrub_files(directory):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
