"""Sets of rules to compare: a directory, a revision of it under version control, or the one that made a clean dump."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Final

from etl_runtime.contract import RULES_FILE, rules_digest, scrub_files
from etl_runtime.rules_document import parse_rules

from etl_cli.ending import RefusedError
from etl_cli.rules.changes import RuleSet
from etl_cli.rules.schema_snapshot import SNAPSHOT_FILE, parse_snapshot

_MOST_REVISIONS: Final = 500


def rule_set(directory: Path) -> RuleSet:
    """The rules of a directory.

    Raises:
        RefusedError: there are none that can be read.
    """
    path = directory / RULES_FILE
    try:
        files = {file.name: file.read_text(encoding="utf-8") for file in scrub_files(directory)}
        snapshot = directory / SNAPSHOT_FILE
        schema = snapshot.read_text(encoding="utf-8") if snapshot.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{directory} cannot be read: {type(error).__name__}") from None
    if RULES_FILE not in files:
        raise RefusedError(f"{path} does not exist: a scrub directory has a {RULES_FILE}")
    return _of(files, schema, str(directory))


def earlier_rule_set(scrub: Path, before: str) -> tuple[RuleSet, str]:
    """The rules that others are compared with, and what they are called.

    Args:
        scrub: The scrub directory.
        before: Another directory, a clean dump's manifest.json, or a revision of git's.

    Raises:
        RefusedError: it is none of these, or no revision has the rules that the manifest names.
    """
    if before.startswith("-"):
        raise RefusedError("--from is a directory, a manifest.json or a revision, and begins with no hyphen")
    path = Path(before)
    if path.is_dir():
        return rule_set(path), str(path)
    if path.is_file():
        revision = _revision_of(scrub, _digest_of(path))
        return _at(scrub, revision), f"{revision[:12]}, which made {path}"
    return _at(scrub, before), before


def _digest_of(manifest: Path) -> str:
    try:
        document = json.loads(manifest.read_bytes())
        stage, digest = document["stage"], document.get("rules_sha256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise RefusedError(f"{manifest} is no manifest of a dump") from None
    if stage != "clean" or not isinstance(digest, str):
        raise RefusedError(f"{manifest} is the manifest of a raw dump, which no rules made")
    return digest


def _revision_of(scrub: Path, digest: str) -> str:
    """The latest revision whose rules have this digest."""
    arguments = ("log", f"--max-count={_MOST_REVISIONS}", "--format=%H", "HEAD", "--", ".")
    revisions = _git(scrub, "HEAD", *arguments).decode().split()
    for revision in revisions:
        with TemporaryDirectory() as directory:
            for name, content in _files(scrub, revision).items():
                (Path(directory) / name).write_bytes(content)
            if (Path(directory) / RULES_FILE).exists() and rules_digest(Path(directory)) == digest:
                return revision
    raise RefusedError(
        f"none of the last {len(revisions)} revisions of {scrub} has the rules {digest[:12]}… of the manifest"
    )


def _at(scrub: Path, revision: str) -> RuleSet:
    files = {name: content.decode("utf-8", "replace") for name, content in _files(scrub, revision).items()}
    if RULES_FILE not in files:
        raise RefusedError(f"{revision} has no {scrub}/{RULES_FILE}")
    schema = files.pop(SNAPSHOT_FILE, "")
    return _of(files, schema, revision)


def _files(scrub: Path, revision: str) -> dict[str, bytes]:
    """The files of the directory as they were."""
    listed = _git(scrub, revision, "ls-tree", "--name-only", "-z", revision, "./").decode().split("\0")
    wanted = [name for name in listed if name in (RULES_FILE, SNAPSHOT_FILE) or name.endswith(".sql")]
    return {name: _git(scrub, revision, "show", f"{revision}:./{name}") for name in wanted}


def _git(directory: Path, revision: str, *arguments: str) -> bytes:
    program = which("git")
    if program is None or not directory.is_dir():
        raise RefusedError(f"an earlier state of {directory} is known to git alone, which is not on PATH")
    done = subprocess.run([program, *arguments], cwd=directory, capture_output=True, check=False)
    if done.returncode != 0:
        raise RefusedError(
            f"{revision!a} is no directory, no manifest.json and no revision that git knows in {directory}"
        )
    return done.stdout


def _of(files: Mapping[str, str], schema: str, name: str) -> RuleSet:
    rules, faults = parse_rules(files[RULES_FILE])
    if faults and not rules.tables:
        raise RefusedError(f"{name}: {faults[0]}")
    scripts = {file: text for file, text in files.items() if file != RULES_FILE}
    return RuleSet(rules, scripts, parse_snapshot(schema, f"{name}: {SNAPSHOT_FILE}") if schema else None)
