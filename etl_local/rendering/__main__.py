"""Renders the stacks into docs/rendered and says what differs from a commit: `python -m etl_local.rendering`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

import yaml

from etl_local.engine import DeploymentError
from etl_local.rendering.changes import changes
from etl_local.rendering.recorded_stack import REPOSITORY, record, rendered_names
from etl_local.rendering.stack_document import Document, stack_document, stack_text

RENDERED: Final = REPOSITORY / "docs" / "rendered"
_DIFFERENT: Final = 1
_REFUSED: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Render every stack, or those named.

    Returns:
        0; with `--check` 1 if a stack differs from the commit; 2 if a program or the commit cannot be read.
    """
    parser = argparse.ArgumentParser(prog="python -m etl_local.rendering", description=__doc__)
    parser.add_argument("stacks", nargs="*", metavar="STACK", help="dev, sbx, prod, everything; all of them by default")
    parser.add_argument("--against", default="HEAD", metavar="REVISION", help="the commit to compare with (HEAD)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if anything differs")
    given = parser.parse_args(arguments)
    known = rendered_names()
    unknown = [stack for stack in given.stacks if stack not in known]
    if unknown:
        parser.error(f"no such stack: {', '.join(unknown)} (there are {', '.join(known)})")
    different = False
    for stack in given.stacks or known:
        try:
            before = committed(given.against, RENDERED / f"{stack}.yaml")
            document = stack_document(record(stack))
        except (DeploymentError, RevisionError) as error:
            print(f"{stack}: {error}", file=sys.stderr)
            return _REFUSED
        if before is None:
            different = True
            print(f"{stack}: {len(document['resources'])} resources, not rendered at {given.against}", flush=True)
        else:
            found = changes(before, document)
            different = different or bool(found)
            print("\n".join(found.lines(stack)), flush=True)
        if not given.check:
            RENDERED.mkdir(parents=True, exist_ok=True)
            (RENDERED / f"{stack}.yaml").write_text(stack_text(document), encoding="utf-8")
    return _DIFFERENT if given.check and different else 0


class RevisionError(Exception):
    """A commit cannot be read; the message is git's own."""


def committed(revision: str, path: Path) -> Document | None:
    """The rendering as a commit has it, None if it has none.

    Raises:
        RevisionError: there is no such commit, or no git.
    """
    place = path.relative_to(REPOSITORY).as_posix()
    if not _git("ls-tree", "--name-only", revision, "--", place):
        return None
    text = _git("show", f"{revision}:{place}")
    return cast(Document, yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))  # noqa: S506  # safe


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607  # git is wherever the machine has it
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise RevisionError((error.stderr.strip().splitlines() or ["git failed"])[0]) from None
    except FileNotFoundError:
        raise RevisionError("git is needed to compare with a commit") from None
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
