"""The transform: raw dumps that are not what they should be, and what else it cannot begin with."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from tests.containers.aws_account import REGION
from tests.containers.end_to_end.clean_dump import CleanDump
from tests.containers.end_to_end.programs import Programs, Run

pytestmark = pytest.mark.end_to_end

Transform = Callable[..., tuple[Run, CleanDump]]
UNTOUCHED = ("public.catalogue", "public.nothing")
EXPRESSIONS = ("public.users", "public.orders", '"My Schema"."User Data"', "public.events_2025", "public.events_2026")


@pytest.fixture
def tampered(programs: Programs, raw_bucket: str, name: str) -> Callable[[Callable[[str, bytes], bytes]], str]:
    """Copies the raw dump with some bytes changed, its manifest naming the changed objects as if nothing were."""

    def copy(change: Callable[[str, bytes], bytes]) -> str:
        bucket = programs.bucket(f"{name}-raw")
        raw = CleanDump.read(programs, raw_bucket)
        manifest: dict[str, Any] = raw.manifest
        for file in manifest["files"]:
            key = f"dev/nightly/etl-dump/{file['name']}"
            put = programs.s3.put_object(Bucket=bucket, Key=key, Body=change(file["name"], raw.objects[file["name"]]))
            file["version_id"] = put["VersionId"]
        programs.s3.put_object(Bucket=bucket, Key="dev/nightly/etl-dump/manifest.json", Body=json.dumps(manifest))
        return bucket

    return copy


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda body: body[:-10],
    "emptied": lambda _body: b"",
    "flipped": lambda body: body[:60] + bytes([body[60] ^ 1]) + body[61:],
    "longer": lambda body: body + b"x",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_raw_file_is_refused(
    transform: Transform,
    tampered: Callable[[Callable[[str, bytes], bytes]], str],
    programs: Programs,
    raw_bucket: str,
    damage: Callable[[bytes], bytes],
) -> None:
    users = CleanDump.read(programs, raw_bucket).file("public.users")
    bucket = tampered(lambda name, body: damage(body) if name == users else body)
    run, clean = transform(EXTRACT_BUCKET=bucket)
    assert run.code == 65, run.text
    assert users in run.error
    assert clean.objects == {}


def test_a_damaged_table_of_contents_is_refused(
    transform: Transform, tampered: Callable[[Callable[[str, bytes], bytes]], str]
) -> None:
    bucket = tampered(lambda name, body: body[:-1] if name == "toc.dat" else body)
    run, clean = transform(EXTRACT_BUCKET=bucket)
    assert (run.code, run.error, clean.objects) == (
        65,
        "dev/nightly/etl-dump/toc.dat is not what its manifest says: its SHA-256 differs",
        {},
    )


REFUSED: dict[str, tuple[dict[str, str], int, str]] = {
    "no such dump": (
        {"DUMP_PREFIX": "dev/nothing/etl-dump"},
        66,
        "there is no dump dev/nothing/etl-dump in raw-shared: it has no manifest",
    ),
    "no such version": (
        {"MANIFEST_VERSION_ID": "nothing"},
        66,
        "there is no dump dev/nightly/etl-dump in raw-shared: it has no manifest",
    ),
    "an environment without a bucket": (
        {"DUMP_PREFIX": "sbx/nightly/etl-dump"},
        77,
        "dump is for 'sbx', and LOAD_BUCKETS has no bucket of that name",
    ),
    "no salt": (
        {"SCRUB_SALT_SECRET_ID": "nothing"},
        69,
        "AWS refused GetSecretValue: ResourceNotFoundException; check the role, the bucket's owner and its key",
    ),
    "no tools": ({"PATH": "/usr/bin:/bin"}, 78, "initdb is not on PATH: the image lacks Postgres's tools"),
}


@pytest.mark.parametrize(("changes", "code", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_transformed_is_refused_with_its_reason(
    transform: Transform, changes: dict[str, str], code: int, error: str
) -> None:
    run, clean = transform(**changes)
    assert (run.code, run.error, clean.objects) == (code, error, {})


def test_a_short_salt_is_refused(transform: Transform, programs: Programs, name: str) -> None:
    client = boto3.Session("testing", "testing", region_name=REGION).client(
        "secretsmanager", endpoint_url=programs.endpoint
    )
    client.create_secret(Name=name, SecretString="fifteen-letters")
    run, clean = transform(SCRUB_SALT_SECRET_ID=name)
    assert (run.code, run.error, clean.objects) == (
        78,
        "the scrub salt has fewer than 16 characters: set a long random one",
        {},
    )
