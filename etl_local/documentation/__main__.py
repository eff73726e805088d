"""Writes the generated pages of docs/: `python -m etl_local.documentation`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from etl_local.documentation.pages import pages
from etl_local.engine import DeploymentError
from etl_local.rendering.recorded_stack import REPOSITORY, record, stack_names


def main(arguments: Sequence[str] | None = None) -> int:
    """Write every page.

    Returns:
        0; with `--check` 1 if a page is stale; 2 if the program of a stack refuses to run.
    """
    parser = argparse.ArgumentParser(prog="python -m etl_local.documentation", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is stale")
    given = parser.parse_args(arguments)
    try:
        written = pages({stack: record(stack) for stack in stack_names()})
    except DeploymentError as error:
        print(error, file=sys.stderr)
        return 2
    stale = [path for path, text in written.items() if not is_fresh(path, text)]
    for path in stale:
        print(f"{path.relative_to(REPOSITORY)} {'is stale' if given.check else 'written'}")
    if given.check:
        return 1 if stale else 0
    _write({path: written[path] for path in stale})
    return 0


def is_fresh(path: Path, text: str) -> bool:
    """Whether a file holds this text already."""
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _write(texts: Mapping[Path, str]) -> None:
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
