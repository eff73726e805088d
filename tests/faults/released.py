"""What a program has released in a bucket, seen after each of its failures."""

from __future__ import annotations

import json
from typing import Any

from tests.containers.end_to_end.programs import Programs

PREFIX = "dev/nightly/etl-dump"


def manifest(programs: Programs, bucket: str) -> dict[str, Any] | None:
    """The manifest; None while nothing is released."""
    key = f"{PREFIX}/manifest.json"
    try:
        stored = programs.s3.get_object(Bucket=bucket, Key=key)
    except programs.s3.exceptions.NoSuchKey:
        return None
    found: dict[str, Any] = json.loads(stored["Body"].read())
    return found


def content(programs: Programs, bucket: str, file: dict[str, Any]) -> bytes:
    """A released file, in the very version that its manifest names."""
    key = f"{PREFIX}/{file['name']}"
    return programs.s3.get_object(Bucket=bucket, Key=key, VersionId=file["version_id"])["Body"].read()
