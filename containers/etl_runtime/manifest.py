"""A dump's manifest: written last, it is what makes the dump exist."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

from etl_runtime.contract import DumpPrefix, ExitCode
from etl_runtime.faults import Fault

SCHEMA = 1
Stage = Literal["raw", "clean"]


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """One object of a dump: bytes and SHA-256 (hex) as stored; table and rows where it holds a table's rows.

    `version_id` names the very object that was written, so that a later one under the same key is never taken for it.
    """

    name: str
    bytes: int
    sha256: str
    version_id: str
    table: str | None = None
    rows: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleaning:
    """What a clean manifest says of the transform: digests of what went in, the plan, and the proof's result."""

    raw_manifest_sha256: str
    rules_sha256: str
    image: str
    plan: Sequence[Mapping[str, Any]]
    proof: Mapping[str, Any]
    started_at: str
    finished_at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Schema 1 of `manifest.json`; times are ISO 8601 in UTC, sizes bytes."""

    stage: Stage
    execution_id: str
    environment: str
    dump_filename: str
    database: str
    server_version: str
    client_version: str
    archive_version: str
    compression: str
    snapshot: Mapping[str, str]
    database_bytes: int
    started_at: str
    finished_at: str
    files: Sequence[ArchiveFile] = field(default_factory=tuple)
    cleaning: Cleaning | None = None

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(file.rows or 0 for file in self.files)

    @property
    def bytes(self) -> int:
        """Bytes of all files as stored."""
        return sum(file.bytes for file in self.files)

    def file(self, name: str) -> ArchiveFile:
        """The file of this name.

        Raises:
            Fault: DATA when the manifest has none.
        """
        for file in self.files:
            if file.name == name:
                return file
        raise Fault(ExitCode.DATA, f"manifest does not list {name}")

    def text(self) -> bytes:
        """The manifest as it is stored: JSON, keys and files in order, so equal manifests are equal bytes."""
        document = asdict(self)
        cleaning = document.pop("cleaning")
        document |= {"schema": SCHEMA, **((cleaning and _renamed(cleaning)) or {})}
        document["files"] = [asdict(file) for file in sorted(self.files, key=lambda file: file.name)]
        return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def _renamed(cleaning: Mapping[str, Any]) -> dict[str, Any]:
    times = {"started_at": "cleaning_started_at", "finished_at": "cleaning_finished_at"}
    return {times.get(key, key): value for key, value in cleaning.items()}


_CLEAN_KEYS = ("raw_manifest_sha256", "rules_sha256", "image", "plan", "proof")


def sha256(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


_FILE_NAME = re.compile(r"[A-Za-z0-9_]+\.(?:dat|toc)(?:\.gz|\.zst|\.lz4)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _files(documents: Sequence[Mapping[str, Any]]) -> tuple[ArchiveFile, ...]:
    """The files of a manifest. A name can be no path: files are written to disk by it."""
    files = tuple(ArchiveFile(**document) for document in documents)
    for file in files:
        counts = [file.bytes, *([] if file.table is None else [file.rows])]
        if not (
            _FILE_NAME.fullmatch(file.name)
            and _SHA256.fullmatch(file.sha256)
            and file.version_id.isascii()
            and all(type(count) is int and count >= 0 for count in counts)
        ):
            raise ValueError
    if len({file.name for file in files}) != len(files):
        raise ValueError
    return files


def read_manifest(content: bytes, prefix: DumpPrefix, stage: Stage) -> Manifest:
    """Read a manifest and check that it is the one of this dump, at this stage.

    Raises:
        Fault: DATA when it is not a manifest of schema 1 or names another dump; REFUSED when its stage is another.
    """
    try:
        document = cast(dict[str, Any], json.loads(content))
        if document["schema"] != SCHEMA:
            raise Fault(
                ExitCode.DATA, f"manifest of {prefix} has schema {document['schema']!a}; this program reads {SCHEMA}"
            )
        if document["stage"] != stage:
            raise Fault(
                ExitCode.REFUSED, f"manifest of {prefix} is {document['stage']!a}, and only {stage!a} is taken here"
            )
        cleaning = None
        if stage == "clean":
            cleaning = Cleaning(
                **{key: document[key] for key in _CLEAN_KEYS},
                started_at=document["cleaning_started_at"],
                finished_at=document["cleaning_finished_at"],
            )
        fields = {key: document[key] for key in Manifest.__dataclass_fields__ if key not in ("files", "cleaning")}
        manifest = Manifest(**fields, files=_files(document["files"]), cleaning=cleaning)
        named = (manifest.environment, manifest.execution_id.rpartition(":")[2], manifest.dump_filename)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Fault(ExitCode.DATA, f"manifest of {prefix} is not of schema {SCHEMA} ({type(error).__name__})") from None
    if named != (prefix.load_environment, prefix.execution_name, prefix.dump_filename):
        raise Fault(ExitCode.DATA, f"manifest of {prefix} names another dump")
    return manifest
