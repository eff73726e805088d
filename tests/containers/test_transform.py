"""The transform without scripts: what each table becomes, and what stops it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from etl_runtime.contract import rules_digest

from tests.containers.aws_account import ACCOUNT, REGION
from tests.containers.clean_dump import CleanDump
from tests.containers.programs import Programs, Run
from tests.containers.source_database import CANARIES, RULES, TABLES

pytestmark = pytest.mark.end_to_end

Transform = Callable[..., tuple[Run, CleanDump]]
UNTOUCHED = ("public.catalogue", "public.nothing")
EXPRESSIONS = ("public.users", "public.orders", '"My Schema"."User Data"', "public.events_2025", "public.events_2026")


def _changed(rules: Path, *changes: tuple[str, str]) -> None:
    path = rules / "columns.yaml"
    text = path.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)


def _line(text: str) -> int:
    return RULES[: RULES.index(text)].count("\n") + 1


def test_a_clean_dump_s_manifest_says_all_of_it(
    programs: Programs, released: tuple[str, Path], raw_bucket: str
) -> None:
    bucket, rules = released
    raw, clean = CleanDump.read(programs, raw_bucket), CleanDump.read(programs, bucket)
    manifest = dict(clean.manifest)
    for cleaned in ("files", "plan", "proof"):
        del manifest[cleaned]
    times = [raw.manifest["finished_at"], manifest.pop("cleaning_started_at"), manifest.pop("cleaning_finished_at")]
    assert times == sorted(times)
    assert manifest == {
        **{key: value for key, value in raw.manifest.items() if key != "files"},
        "stage": "clean",
        "raw_manifest_sha256": hashlib.sha256(raw.objects["manifest.json"]).hexdigest(),
        "rules_sha256": rules_digest(rules),
        "image": "transform@sha256:00",
    }
    assert {file["table"]: file["rows"] for file in clean.manifest["files"] if file["table"]} == TABLES
    assert {file["name"] for file in clean.manifest["files"]} | {"manifest.json"} == set(clean.objects)
    for file in clean.manifest["files"]:
        body = clean.objects[file["name"]]
        assert (file["bytes"], file["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert clean.plan() == dict.fromkeys(UNTOUCHED, "untouched") | dict.fromkeys(EXPRESSIONS, "expressions")
    users = next(step for step in clean.manifest["plan"] if step["table"] == "public.users")
    assert users == {
        "table": "public.users",
        "path": "expressions",
        "reason": "expressions for email, name, phone, note, born",
        "loaded": False,
        "rows_before": 200,
        "rows_after": 200,
    }
    proof = clean.manifest["proof"]
    assert proof["result"] == "passed"
    assert {(p["table"], p["column"]): (p["proof"], p["originals"], p["survivors"]) for p in proof["columns"]} == {
        ("public.users", "email"): ("per_column", 200, 0),
        ("public.users", "name"): ("per_column", 200, 0),
        ("public.users", "phone"): ("per_column", 200, 0),
        ("public.users", "note"): ("per_column", 180, 0),
        ("public.users", "born"): ("per_column", 200, 0),
        ("public.orders", "memo"): ("per_column", 300, 0),
        ('"My Schema"."User Data"', "E Mail"): ("per_column", 20, 0),
        ("public.events_2025", "mail"): ("per_column", 11, 0),
        ("public.events_2026", "mail"): ("per_column", 19, 0),
    }


def test_each_column_becomes_what_its_rule_says(programs: Programs, released: tuple[str, Path]) -> None:
    clean = CleanDump.read(programs, released[0])
    users = clean.rows("public.users")
    assert len(users) == 200
    for position, row in enumerate(users, 1):
        number, email, name, phone, note, born, feels = row
        assert re.fullmatch(r"[0-9a-f]+@example\.com", email)
        assert (name, phone, feels) == (f"Somebody {number}", r"\N", "happy")
        assert note == (r"\N" if int(number) % 10 == 0 else "a note")
        assert born.startswith("1900-")
        assert position <= 200
    assert {row[2] for row in clean.rows("public.orders")} == {""}
    assert clean.rows("public.nothing") == [[""], [""]]
    assert [len(clean.rows(table)) for table in TABLES] == list(TABLES.values())


def test_nothing_personal_is_anywhere_in_the_clean_dump(programs: Programs, released: tuple[str, Path]) -> None:
    """Searched in the dump's SQL text: its files are compressed, so that searching those would find nothing."""
    clean = CleanDump.read(programs, released[0])
    text = clean.script() + clean.objects["toc.dat"].decode("utf-8", "replace")
    assert "title 4711" in text
    assert [canary for canary in (*CANARIES, "hush") if canary in text] == []
    assert {entry.description for entry in clean.toc.entries} & {
        "COMMENT", "BLOBS", "BLOB METADATA", "BLOB", "DATABASE PROPERTIES",
    } == set()  # fmt: skip


def test_an_untouched_table_is_never_fetched_and_comes_out_to_the_byte(
    transform: Transform, programs: Programs, raw_bucket: str, moto_log: Path
) -> None:
    before = len(moto_log.read_text())
    run, clean = transform()
    requests = moto_log.read_text()[before:].splitlines()
    assert run.code == 0
    raw = CleanDump.read(programs, raw_bucket)
    fetched = {
        match[1]
        for line in requests
        if (match := re.search(rf'"GET /{raw_bucket}/dev/nightly/etl-dump/([^? ]+)', line))
    }
    untouched = {raw.file(table) for table in UNTOUCHED}
    assert fetched == {"manifest.json", "toc.dat"} | {raw.file(table) for table in EXPRESSIONS}
    assert [name for name in untouched if clean.objects[name] != raw.objects[name]] == []


def test_a_run_again_changes_nothing_and_says_so(transform: Transform, programs: Programs, name: str) -> None:
    first, _ = transform()
    versions = programs.s3.list_object_versions(Bucket=name)["Versions"]
    again, _ = transform()
    assert (first.code, again.code, again.event("finished")["already_done"]) == (0, 0, True)
    assert programs.s3.list_object_versions(Bucket=name)["Versions"] == versions


def test_a_released_dump_is_not_replaced_by_other_rules(transform: Transform, rules: Path) -> None:
    _, before = transform()
    _changed(rules, ("'Somebody '", "'Nobody '"))
    run, after = transform()
    assert (run.code, run.error) == (
        77,
        "dev/nightly/etl-dump is released already, from another dump or by other rules; extract anew",
    )
    assert after.objects == before.objects


def test_two_pods_of_one_job_release_one_dump(programs: Programs, raw_bucket: str, rules: Path, name: str) -> None:
    bucket = programs.bucket(name)
    environment = programs.transform_environment("nightly", raw_bucket, bucket, rules)
    pods = [programs.start("transform", environment) for _ in range(2)]
    texts = [pod.communicate(timeout=60)[0] for pod in pods]
    assert ([pod.returncode for pod in pods], list(programs.mount_point.iterdir())) == ([0, 0], [])
    clean = CleanDump.read(programs, bucket)
    assert (
        len(programs.s3.list_object_versions(Bucket=bucket, Prefix="dev/nightly/etl-dump/manifest.json")["Versions"])
        == 1
    )
    assert ["released_by_another_pod" in text or "already_done" in text for text in texts].count(True) <= 1
    for file in clean.manifest["files"]:
        key = f"dev/nightly/etl-dump/{file['name']}"
        body = programs.s3.get_object(Bucket=bucket, Key=key, VersionId=file["version_id"])["Body"].read()
        assert len(body) == file["bytes"]


def test_a_run_tells_its_plan_before_it_does_anything(transform: Transform) -> None:
    run, clean = transform()
    names = [event["event"] for event in run.events]
    assert names[:2] == ["started", "plan"]
    told = {step["table"]: step["path"] for step in run.event("plan")["tables"]}
    assert told == clean.plan()
    finished = run.event("finished")
    assert (finished["rows"], finished["tables"]) == (sum(TABLES.values()), len(TABLES))


STOPPED: dict[str, tuple[list[tuple[str, str]], int, str]] = {
    "a column without a rule": (
        [("      phone: NULL\n", "")],
        78,
        f"column public.users.phone (text) is not classified in columns.yaml:{_line('  public.users:')}",
    ),
    "a table without a rule": (
        [('  public.catalogue: {keep: all, reason: "reference data"}\n', "")],
        78,
        "table public.catalogue is not classified in columns.yaml",
    ),
    "a place without a decision": (
        [("  materialized_views: keep\n", "")],
        78,
        "materialized views are in the dump (2, such as public.totals): "
        "decide elsewhere.materialized_views in columns.yaml",
    ),
    "an expression that gives the original": (
        [("email: scrub.email(email)", "email: \"CASE WHEN id = 7 THEN email ELSE id || '@example.com' END\"")],
        65,
        "proof failed: original values survive in public.users.email in 1 rows; nothing is released",
    ),
    "an expression that gives somebody else's original": (
        [("email: scrub.email(email)", "email: \"'ada.canary' || (201 - id) || '@example.com'\"")],
        65,
        "proof failed: original values survive in public.users.email in 200 rows; nothing is released",
    ),
    "a proof by row without a key": (
        [
            ("memo: \"''\"", "memo: {expression: \"''\", proof: per_row}"),
            ("orders: {columns: {id: keep", "orders: {columns: {id: \"id + 1000\""),
        ],
        65,
        "public.orders.memo: proof: per_row needs a primary key of kept columns",
    ),
    "an expression that there is not": (
        [("email: scrub.email(email)", "email: scrub.emial(email)")],
        65,
        f"columns.yaml:{_line('      email:')}: public.users: function scrub.emial(character varying) does not exist",
    ),
    "an expression that fails on a row": (
        [("name: \"'Somebody ' || id\"", "name: name::integer::text")],
        65,
        f"columns.yaml:{_line('      name:')}: public.users: invalid text representation (22P02)",
    ),
    "an expression that gives several rows": (
        [("name: \"'Somebody ' || id\"", "name: \"unnest(ARRAY['x', 'y'])\"")],
        65,
        "public.users had 200 rows and 400 came out, with no row filter",
    ),
    "a value that breaks a check": (
        [("email: scrub.email(email)", "email: \"'nobody ' || id\"")],
        65,
        "rows of public.users do not fit its definition: "
        'new row for relation "released_',
    ),
    "a value that is too long": (
        [("email: scrub.email(email)", "email: \"repeat('x', 70) || '@example.com'\"")],
        65,
        "rows of public.users do not fit its definition: value too long for type character varying(60)",
    ),
    "a null where there may be none": (
        [("email: scrub.email(email)", "email: NULL")],
        65,
        'rows of public.users do not fit its definition: null value in column "email" of relation "',
    ),
    "a value of another type": (
        [("born: {expression: \"make_date(1900, 1, 1) + id\", reason: \"a day of nobody's\"}", "born: \"'someday'\"")],
        65,
        "rows of public.users do not fit its definition: invalid datetime format (22007)",
    ),
    "a row filter that there is not": (
        [("public.orders: {columns:", "public.orders: {where: idd > 5, columns:")],
        65,
        f'columns.yaml:{_line("  public.orders")}: public.orders: column "idd" does not exist',
    ),
    "a row filter that looks at another table": (
        [("public.orders: {columns:", "public.orders: {where: user_id IN (SELECT id FROM public.users), columns:")],
        78,
        f"columns.yaml:{_line('  public.orders')}: public.orders: an expression sees its own row alone, "
        "and one here reads public.users; use a script",
    ),
    "no rules": ([(RULES, "")], 78, "columns.yaml is empty: it classifies every table and column"),
    "columns left to scripts of which there are none": (
        [("phone: NULL", "phone: scripted")],
        65,
        "proof failed: original values survive in public.users.phone in 200 rows; nothing is released",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "code", "error"), STOPPED.values(), ids=STOPPED.keys())
def test_rules_that_do_not_do_stop_the_run_with_their_reason(
    transform: Transform, rules: Path, changes: list[tuple[str, str]], code: int, error: str
) -> None:
    _changed(rules, *changes)
    run, clean = transform()
    assert (run.code, run.error[: len(error)]) == (code, error)
    assert clean.objects == {}


def test_a_filter_keeps_the_rows_that_it_is_true_of(transform: Transform, rules: Path) -> None:
    _changed(rules, ("public.orders: {columns:", "public.orders: {where: total > 20, columns:"))
    run, clean = transform()
    assert run.code == 0
    step = next(step for step in clean.manifest["plan"] if step["table"] == "public.orders")
    assert (step["reason"], step["rows_before"]) == ("expressions for memo; a row filter", 300)
    assert step["rows_after"] == len(clean.rows("public.orders")) == 300 - 140


@pytest.mark.parametrize("word", ["truncate", "skip"])
def test_an_emptied_table_is_empty_and_never_fetched(
    transform: Transform, rules: Path, raw_bucket: str, programs: Programs, moto_log: Path, word: str
) -> None:
    _changed(rules, ('public.catalogue: {keep: all, reason: "reference data"}', f"public.catalogue: {word}"))
    before = len(moto_log.read_text())
    run, clean = transform()
    requests = moto_log.read_text()[before:]
    assert (run.code, clean.rows("public.catalogue"), clean.plan()["public.catalogue"]) == (0, [], "emptied")
    name = CleanDump.read(programs, raw_bucket).file("public.catalogue")
    assert f"GET /{raw_bucket}/dev/nightly/etl-dump/{name}" not in requests


def test_rules_that_keep_all_need_no_scratch_server(transform: Transform, rules: Path) -> None:
    kept = "".join(f"  '{table}': {{keep: all, reason: a test}}\n" for table in TABLES)
    (rules / "columns.yaml").write_text("version: 1\ntables:\n" + kept + RULES[RULES.index("elsewhere:") :])
    run, clean = transform(PATH="/usr/bin:/bin")
    assert run.code == 0, run.text
    assert set(clean.plan().values()) == {"untouched"}


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


def test_a_clean_dump_s_objects_carry_its_execution(programs: Programs, released: tuple[str, Path]) -> None:
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:postgres-etl:nightly"
    for key in programs.objects(released[0]):
        tags = programs.s3.get_object_tagging(Bucket=released[0], Key=key)["TagSet"]
        assert tags == [{"Key": "ExecutionID", "Value": arn}]
