"""Load: what is refused, the live database staying as it was."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from etl_runtime.contract import rules_digest

from tests.containers.aws_account import ACCOUNT
from tests.containers.end_to_end.clean_dump import CleanDump
from tests.containers.end_to_end.live_database import databases, tables
from tests.containers.end_to_end.programs import Programs, Run

pytestmark = pytest.mark.end_to_end

PREFIX = "dev/nightly/etl-dump"
Load = Callable[..., Run]
Release = Callable[[Callable[[dict[str, Any], dict[str, bytes]], None]], str]


PROTECTED = (
    f"in account {ACCOUNT} is protected: nothing is loaded into it, "
    f"unless PROTECTED_LOAD_TARGET is {ACCOUNT}/127.0.0.1/{{database}}"
)
REFUSED: dict[str, tuple[dict[str, str], int, str]] = {
    "no such dump": (
        {"LOAD_FILENAME": "dev/nothing/etl-dump"},
        66,
        "LOAD_FILENAME dev/nothing/etl-dump does not exist: clean-shared has no manifest of it",
    ),
    "a path": (
        {"LOAD_FILENAME": "../nightly/etl-dump"},
        78,
        "environment: LOAD_FILENAME load environment '..' is not of the form [a-z][a-z0-9-]{0,15}",
    ),
    "a raw dump": (
        {"LOAD_BUCKET": "raw-shared"},
        77,
        "manifest of dev/nightly/etl-dump is 'raw', and only 'clean' is taken here",
    ),
    "other rules": (
        {"ALLOWED_RULES": "0" * 64},
        77,
        "dev/nightly/etl-dump was cleaned by rules {rules}…, which are not allowed here",
    ),
    "no rules": (
        {"ALLOWED_RULES": ","},
        77,
        "dev/nightly/etl-dump was cleaned by rules {rules}…, which are not allowed here",
    ),
    "production": ({"ENVIRONMENT_NAME": "prod"}, 77, f"prod {PROTECTED}"),
    "production's account under another name": ({"PROTECTED_ACCOUNTS": f"1,{ACCOUNT}"}, 77, f"dev {PROTECTED}"),
    "production by leave for another database": (
        {"ENVIRONMENT_NAME": "prod", "PROTECTED_LOAD_TARGET": f"{ACCOUNT}/127.0.0.1/another"},
        77,
        f"prod {PROTECTED}",
    ),
    "another account than the bucket's": (
        {"LOAD_BUCKET_OWNER": "210987654321"},
        77,
        f"this is account {ACCOUNT}, and the load bucket is of 210987654321: a load runs where its bucket is",
    ),
    "another environment's dump": (
        {"ENVIRONMENT_NAME": "sbx"},
        77,
        "LOAD_FILENAME is for 'dev', and this is 'sbx'",
    ),
    "a superuser": (
        {"DB_USER": "postgres"},
        77,
        "postgres is a superuser, and restoring a dump runs its code: load as an ordinary role with CREATEDB",
    ),
    "a role that may make no databases": (
        {"DB_USER": "etl_dump"},
        78,
        "etl_dump may not create databases: grant it CREATEDB",
    ),
    "a wrong password": (
        {"DB_CREDENTIALS": '{"password": "wrong"}'},
        78,
        "database postgres at 127.0.0.1:{port} refuses user etl_load: check the credentials",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "code", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_what_may_not_be_loaded_is_refused_and_nothing_is_touched(
    programs: Programs,
    load: Load,
    target: str,
    released: tuple[str, Path],
    changes: dict[str, str],
    code: int,
    error: str,
) -> None:
    if (user := changes.get("DB_USER")) is not None:
        passwords = {
            "postgres": psycopg.conninfo.conninfo_to_dict(programs.cluster.dsn())["password"],
            **programs.passwords,
        }
        changes = {**changes, "DB_CREDENTIALS": json.dumps({"username": user, "password": passwords[user]})}
    run = load(**changes)
    told = (
        error.replace("{database}", target)
        .replace("{rules}", rules_digest(released[1])[:12])
        .replace("{port}", str(programs.cluster.port))
    )
    assert (run.code, run.error) == (code, told)
    assert databases(programs, target) == []


@pytest.fixture
def changed_release(programs: Programs, released: tuple[str, Path], name: str) -> Release:
    """Copies the clean dump with its manifest and files changed, as if it had been released so."""

    def copy(change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> str:
        bucket = programs.bucket(f"{name}-clean")
        clean = CleanDump.read(programs, released[0])
        manifest, objects = clean.manifest, dict(clean.objects)
        del objects["manifest.json"]
        change(manifest, objects)
        versions = {
            file: programs.s3.put_object(Bucket=bucket, Key=f"{PREFIX}/{file}", Body=body)["VersionId"]
            for file, body in objects.items()
        }
        for file in manifest["files"]:
            file["version_id"] = versions.get(file["name"], "")
        programs.s3.put_object(Bucket=bucket, Key=f"{PREFIX}/manifest.json", Body=json.dumps(manifest))
        return bucket

    return copy


def _file(manifest: dict[str, Any], table: str) -> dict[str, Any]:
    (file,) = [file for file in manifest["files"] if file["table"] == table]
    return dict(file)


def test_another_number_of_rows_than_the_manifest_s_is_not_swapped_in(
    programs: Programs, load: Load, live: str, changed_release: Release
) -> None:
    def change(manifest: dict[str, Any], objects: dict[str, bytes]) -> None:
        file = next(file for file in manifest["files"] if file["table"] == "public.nothing")
        body = gzip.compress(b"\n\n\n\\.\n\n\n")
        objects[file["name"]] = body
        file.update(bytes=len(body), sha256=hashlib.sha256(body).hexdigest())

    bucket = changed_release(change)
    run = load(LOAD_BUCKET=bucket)
    assert run.code == 65
    assert "has 3 rows, the target took 3, and the manifest says 2" in run.error
    assert (databases(programs, live), tables(programs, live)) == ([live], {"public.before": 0})


CHANGED: dict[str, tuple[Callable[[dict[str, Any], dict[str, bytes]], None], int, str]] = {
    "a proof that did not pass": (
        lambda manifest, _: manifest["proof"].update(result="failed"),
        77,
        "dev/nightly/etl-dump has no proof that personal data is gone",
    ),
    "no proof": (
        lambda manifest, _: manifest.update(proof={}),
        77,
        "dev/nightly/etl-dump has no proof that personal data is gone",
    ),
    "no schema": (lambda manifest, _: manifest.update(schema=9), 65, "has schema 9; this program reads 1"),
    "another dump's manifest": (lambda manifest, _: manifest.update(environment="sbx"), 65, "names another dump"),
    "a changed file": (
        lambda manifest, objects: objects.update({_file(manifest, "public.users")["name"]: b"x"}),
        65,
        "is not what its manifest says: its SHA-256 differs",
    ),
    "a file whose name leads elsewhere": (
        lambda manifest, _: manifest["files"][0].update(name="../../evil.dat"),
        65,
        "is not of schema 1",
    ),
    "a file that is gone": (
        lambda manifest, objects: objects.pop(_file(manifest, "public.users")["name"]),
        69,
        "AWS refused GetObject: NoSuchKey",
    ),
    "a newer pg_dump's": (
        lambda manifest, _: manifest.update(client_version="99.1"),
        78,
        "is older than the server: use an image of 99 or later",
    ),
}


@pytest.mark.parametrize(("change", "code", "error"), CHANGED.values(), ids=CHANGED.keys())
def test_a_release_that_is_not_what_it_should_be_leaves_the_live_database_as_it_was(
    programs: Programs,
    load: Load,
    live: str,
    changed_release: Release,
    change: Callable[[dict[str, Any], dict[str, bytes]], None],
    code: int,
    error: str,
) -> None:
    bucket = changed_release(change)
    run = load(LOAD_BUCKET=bucket)
    assert run.code == code, run.text
    assert error in run.error
    assert (databases(programs, live), tables(programs, live)) == ([live], {"public.before": 0})


@pytest.mark.parametrize("keep", ["24", "0"])
def test_a_disk_without_room_for_what_the_database_took_at_its_source_is_refused(
    programs: Programs, load: Load, live: str, changed_release: Release, keep: str
) -> None:
    assert load(DB_STORAGE_GIB="100").event("storage")["bytes_free"] < 100 << 30
    before = databases(programs, live)
    bucket = changed_release(lambda manifest, _: manifest.update(database_bytes=1 << 40))
    run = load("load-2", LOAD_BUCKET=bucket, DB_STORAGE_GIB="100", KEEP_PREVIOUS_HOURS=keep)
    assert run.code == 73, run.text
    assert run.error.startswith("the target's disk has ")
    assert run.error.endswith(
        "GiB free, and a load of this dump needs 1536.0 GiB: enlarge it, or keep fewer previous databases"
    )
    assert databases(programs, live) == before


def test_a_constraint_that_the_rows_do_not_meet_is_not_swapped_in(
    programs: Programs, load: Load, live: str, changed_release: Release
) -> None:
    """pg_restore by itself would go on, and end with a warning."""

    def twice(manifest: dict[str, Any], objects: dict[str, bytes]) -> None:
        file = next(file for file in manifest["files"] if file["table"] == "public.users")
        rows = gzip.decompress(objects[file["name"]]).removesuffix(b"\\.\n\n\n").splitlines(keepends=True)
        body = gzip.compress(b"".join([*rows[:-1], rows[0]]) + b"\\.\n\n\n")
        objects[file["name"]] = body
        file.update(bytes=len(body), sha256=hashlib.sha256(body).hexdigest())

    run = load(LOAD_BUCKET=changed_release(twice))
    assert run.code == 69, run.text
    assert run.error.startswith("pg_restore failed (1): ")
    assert run.error.endswith(('index "users_email_key"', 'index "users_pkey"'))
    assert (databases(programs, live), tables(programs, live)) == ([live], {"public.before": 0})
