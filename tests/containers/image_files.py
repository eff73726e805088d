"""What the Dockerfile puts into an image from this repository, as far as no engine is needed to know it."""

from __future__ import annotations

import fnmatch
import re
import shutil
from pathlib import Path

CONTAINERS = Path(__file__).resolve().parents[2] / "containers"
DOCKERFILE = (CONTAINERS / "Dockerfile").read_text(encoding="utf-8")


def copied(stage: str) -> list[tuple[str, str]]:
    """Source and destination of what a stage copies from the build context, its ancestors' first."""
    text = re.search(rf"^FROM (\S+) AS {stage}$(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert text is not None, stage
    own = re.findall(r"^COPY (?!--from)(\S+) (\S+)$", text[2], re.MULTILINE)
    return [*(copied(text[1]) if re.search(rf"AS {text[1]}$", DOCKERFILE, re.MULTILINE) else []), *own]


def in_context(path: Path) -> bool:
    """Whether `.dockerignore` lets a file into the build context: the last pattern that matches decides."""
    relative, allowed = path.relative_to(CONTAINERS), True
    for line in (CONTAINERS / ".dockerignore").read_text().split():
        pattern, wanted = line.removeprefix("!"), line.startswith("!")
        parts = [relative, *relative.parents][:-1]
        hit = any(fnmatch.fnmatch(str(part), pattern.removeprefix("**/")) for part in parts) or (
            pattern.startswith("**/") and any(fnmatch.fnmatch(part.name, pattern[3:]) for part in parts)
        )
        allowed = wanted if hit else allowed
    return allowed


def lay_out(stage: str, root: Path) -> None:
    """Copy what a stage copies, and the kernel that another stage compiles, below a directory."""
    for source, destination in copied(stage):
        place = root / destination.lstrip("/")
        for path in sorted((CONTAINERS / source).rglob("*")) if (CONTAINERS / source).is_dir() else []:
            if path.is_file() and in_context(path):
                target = place / path.relative_to(CONTAINERS / source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    kernel = re.search(r"^COPY --from=kernel \S+/(\S+) (\S+)$", DOCKERFILE, re.MULTILINE)
    assert kernel is not None
    shutil.copyfile(CONTAINERS / "etl_runtime" / kernel[1], root / kernel[2].lstrip("/"))
