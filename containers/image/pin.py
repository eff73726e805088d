"""Writes the digests of new images into a stack's file: `pin.py <file> <target>=<image>@sha256:<digest> …`.

Only the three lines change: the file's comments and order are its owners'.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

_IMAGE = re.compile(
    r"(dispatcher|migrator|transform)=(\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/[a-z0-9/_-]+@sha256:[0-9a-f]{64})"
)


def pinned(text: str, images: Sequence[str]) -> str:
    """The file's text with these images; a target that the stack does not use is left out.

    Raises:
        ValueError: an image is not by its digest, or the file has one of another account for its target.
    """
    for given in images:
        found = _IMAGE.fullmatch(given)
        if found is None:
            raise ValueError(f"{given} is not <target>=<account>.dkr.ecr.<region>.amazonaws.com/<name>@sha256:<digest>")
        target, image = found[1], found[2]
        line = re.compile(rf"^(    {target}: )(\S+)@sha256:[0-9a-f]{{64}}$", re.MULTILINE)
        there = line.findall(text)
        if any(repository != image.partition("@")[0] for _, repository in there):
            raise ValueError(f"the stack's image {target} is not of {image.partition('@')[0]}")
        text = line.sub(rf"\g<1>{image}", text)
    return text


def main(file: str, *images: str) -> int:
    """Change the file, whole or not at all."""
    path = Path(file)
    try:
        text = pinned(path.read_text(encoding="utf-8"), images)
    except ValueError as error:
        print(f"{file}: {error}", file=sys.stderr)
        return os.EX_DATAERR
    path.write_text(text, encoding="utf-8")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
