"""The transform without scripts: what each table becomes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from etl_runtime.contract import rules_digest
from etl_runtime.scratch_files import make_scratch_files

from tests.containers.aws_account import ACCOUNT, REGION
from tests.containers.end_to_end.clean_dump import CleanDump
from tests.containers.end_to_end.programs import Programs, Run
from tests.containers.end_to_end.source_database import CANARIES, RULES, TABLES, change_rules

pytestmark = pytest.mark.end_to_end

Transform = Callable[..., tuple[Run, CleanDump]]
UNTOUCHED = ("public.catalogue", "public.nothing")
EXPRESSIONS = ("public.users", "public.orders", '"My Schema"."User Data"', "public.events_2025", "public.events_2026")


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
        ("public.users", "email"): ("everywhere", 200, 0),
        ("public.users", "name"): ("everywhere", 200, 0),
        ("public.users", "phone"): ("everywhere", 200, 0),
        ("public.users", "note"): ("everywhere", 180, 0),
        ("public.users", "born"): ("everywhere", 200, 0),
        ("public.orders", "memo"): ("everywhere", 300, 0),
        ('"My Schema"."User Data"', "E Mail"): ("everywhere", 20, 0),
        ("public.events_2025", "mail"): ("everywhere", 11, 0),
        ("public.events_2026", "mail"): ("everywhere", 19, 0),
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
    change_rules(rules, ("'Somebody '", "'Nobody '"))
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


def test_a_clean_dump_s_objects_carry_its_execution(programs: Programs, released: tuple[str, Path]) -> None:
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:postgres-etl:nightly"
    for key in programs.objects(released[0]):
        tags = programs.s3.get_object_tagging(Bucket=released[0], Key=key)["TagSet"]
        assert tags == [{"Key": "ExecutionID", "Value": arn}]


def test_a_filter_keeps_the_rows_that_it_is_true_of(transform: Transform, rules: Path) -> None:
    change_rules(rules, ("public.orders: {columns:", "public.orders: {where: total > 20, columns:"))
    run, clean = transform()
    assert run.code == 0
    step = next(step for step in clean.manifest["plan"] if step["table"] == "public.orders")
    assert (step["reason"], step["rows_before"]) == ("expressions for memo; a row filter", 300)
    assert step["rows_after"] == len(clean.rows("public.orders")) == 300 - 140


@pytest.mark.parametrize("word", ["truncate", "skip"])
def test_an_emptied_table_is_empty_and_never_fetched(
    transform: Transform, rules: Path, raw_bucket: str, programs: Programs, moto_log: Path, word: str
) -> None:
    change_rules(rules, ('public.catalogue: {keep: all, reason: "reference data"}', f"public.catalogue: {word}"))
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


def test_a_table_is_the_same_whether_its_functions_are_compiled_or_the_database_s(
    programs: Programs, raw_bucket: str, rules: Path, name: str
) -> None:
    """An expression in brackets is not compiled; nor is one that makes rows which a check is about."""
    changes = {
        "memo: \"''\"": "memo: {}scrub.text(memo){}",
        "mail: \"'somebody@example.com'\"": "mail: {}scrub.email(mail){}",
    }
    unbracketed = (rules / "columns.yaml").read_text()
    cleaned: list[CleanDump] = []
    told: list[dict[str, str]] = []
    for number, (left, right) in enumerate((("", ""), ('"(', ')"'))):
        (rules / "columns.yaml").write_text(unbracketed)
        change_rules(rules, *((before, after.format(left, right)) for before, after in changes.items()))
        bucket = programs.bucket(f"{name}-{number}")
        run = programs.run("transform", programs.transform_environment("nightly", raw_bucket, bucket, rules))
        assert run.code == 0, run.text
        told.append(run.event("cleaning")["by_database"])
        cleaned.append(CleanDump.read(programs, bucket))
    held = "cleaned rows are held to check constraint users_email_check"
    plain = "it is no plain call of a scrub function"
    assert told == [
        {"public.users": held},
        {
            "public.users": held,
            "public.orders": f"memo: {plain}",
            "public.events_2025": f"mail: {plain}",
            "public.events_2026": f"mail: {plain}",
        },
    ]
    for table in TABLES:
        assert cleaned[0].rows(table) == cleaned[1].rows(table)


def test_a_scratch_s_files_are_copied_where_an_image_has_them(
    transform: Transform,
    released: tuple[str, Path],
    programs: Programs,
    launchers: Path,
    servers_directory: Path,
    name: str,
) -> None:
    without = servers_directory / f"{name}-programs"
    without.mkdir()
    for program in launchers.iterdir():
        (without / program.name).symlink_to(program)
    template = servers_directory / f"{name}-template"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{without}:/usr/bin:/bin")
        make_scratch_files(template)
    before = sorted((path.relative_to(template), path.stat().st_mtime_ns) for path in template.rglob("*"))
    (without / "initdb").unlink()
    run, clean = transform(PATH=f"{without}:/usr/bin:/bin", SCRATCH_TEMPLATE=str(template))
    assert run.code == 0, run.text
    other = CleanDump.read(programs, released[0])
    assert [clean.rows(table) for table in TABLES] == [other.rows(table) for table in TABLES]
    assert sorted((path.relative_to(template), path.stat().st_mtime_ns) for path in template.rglob("*")) == before
