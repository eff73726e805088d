"""What a reviewer of rules is shown: what releases more first; and where earlier rules are had from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from shutil import which

import pytest
from click.testing import Result
from etl_runtime.contract import rules_digest
from etl_runtime.rules_document import parse_rules
from typer.testing import CliRunner

from etl_cli.main import app
from etl_cli.rules.changes import Change, RuleSet, changes
from etl_cli.rules.schema_snapshot import parse_snapshot

RULES = """\
version: 1
tables:
  public.users:
    columns:
      id: keep
      email: scrub.email(email)
      phone: {expression: scrub.phone(phone), proof: per_column}
      data: {json: {$.a: email, $.b: text}}
      log: {expression: scripted, leaves: [$.a, $.b]}
    where: id > 5
  public.sessions: truncate
elsewhere: {comments: drop, defaults: keep}
"""
SCHEMA = "version: 1\npostgres: 17\ntables:\n  public.users: {columns: {id: bigint, email: text}}\n"


def rule_set(rules: str = RULES, schema: str = SCHEMA, **scripts: str) -> RuleSet:
    return RuleSet(parse_rules(rules)[0], scripts, parse_snapshot(schema, "schema.yaml"))


def test_rules_that_are_the_same_have_no_changes() -> None:
    assert changes(rule_set(a="x"), rule_set(f"# moved\n{RULES}", a="x")) == []


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ("scrub.email(email)", "keep", Change("public.users.email", "scrub.email(email)", "keep", True)),
        ("scrub.email(email)", "scrub.url(email)", Change(
            "public.users.email", "scrub.email(email)", "scrub.url(email)")),
        ("per_column", "per_row", Change(
            "public.users.phone", "scrub.phone(phone) (proof: per_column)", "scrub.phone(phone) (proof: per_row)",
            True)),
        ("per_column", "everywhere", Change(
            "public.users.phone", "scrub.phone(phone) (proof: per_column)", "scrub.phone(phone)")),
        (", $.b: text", "", Change("public.users.data $.b", "text", "kept", True)),
        ("$.b: text", "$.b: text, $.c: ip", Change("public.users.data $.c", "kept", "ip")),
        ("$.b: text", "$.b: {function: text, proof: none, reason: x}", Change(
            "public.users.data $.b", "text", "text (proof: none)", True)),
        (", $.b]", "]", Change("public.users.log", "scripted, leaves $.a, $.b", "scripted, leaves $.a", True)),
        ("    where: id > 5\n", "", Change("public.users where", "id > 5", "all rows", True)),
        ("truncate", "skip", Change("public.sessions", "truncate", "skip")),
        ("truncate", "{columns: {id: keep}}", Change("public.sessions", "truncate", "1 columns", True)),
        ("  public.sessions: truncate\n", "", Change("public.sessions", "truncate", "—")),
        ("drop", "keep", Change("elsewhere.comments", "drop", "keep", True)),
        ("defaults: keep", "defaults: stop", Change("elsewhere.defaults", "keep", "stop")),
    ],
)  # fmt: skip
def test_a_change_is_told_with_both_sides_and_whether_it_releases_more(before: str, after: str, change: Change) -> None:
    assert before in RULES
    assert changes(rule_set(), rule_set(RULES.replace(before, after))) == [change]


def test_a_new_column_is_told_with_what_the_rules_make_of_it() -> None:
    schema = SCHEMA.replace("email: text", "email: citext, name: text")
    kept = RULES.replace("      id: keep\n", "      id: keep\n      name: keep\n")
    assert changes(rule_set(), rule_set(kept, schema)) == [
        Change("column public.users.name", "—", "text, keep", True),
        Change("public.users.name", "no rule", "keep", True),
        Change("column public.users.email", "text", "citext"),
    ]
    assert changes(rule_set(schema=schema), rule_set()) == [
        Change("column public.users.email", "citext", "text"),
        Change("column public.users.name", "text", "—"),
    ]


def test_scripts_are_told_by_name_and_size_and_one_that_is_gone_releases_more() -> None:
    assert changes(rule_set(a="x\ny\n", b="z"), rule_set(a="x\nz\nw\n", c="z")) == [
        Change("b", "there", "—", True),
        Change("a", "script", "2 lines more, 1 less"),
        Change("c", "—", "there"),
    ]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two revisions of a scrub directory."""
    scrub = tmp_path / "scrub"
    scrub.mkdir()
    git(tmp_path, "init", "--quiet")
    for number, email in enumerate(("scrub.url(email)", "scrub.email(email)")):
        (scrub / "columns.yaml").write_text(RULES.replace("scrub.email(email)", email))
        (scrub / "10.sql").write_text("SELECT 1;\n")
        (scrub / "schema.yaml").write_text(SCHEMA)
        git(tmp_path, "add", ".")
        git(tmp_path, "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--quiet", f"--message={number}")
    return tmp_path


def git(directory: Path, *arguments: str) -> None:
    subprocess.run([which("git") or "git", *arguments], cwd=directory, check=True)


def diff(scrub: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["rules", "diff", "--scrub", str(scrub), *arguments])


def test_rules_are_compared_with_a_revision_a_directory_and_a_manifest(repository: Path) -> None:
    scrub = repository / "scrub"
    assert diff(scrub).output == "0 changes since HEAD, 0 of them may release more\n"
    line = "  public.users.email: scrub.url(email) → scrub.email(email)\n"
    assert diff(scrub, "--from", "HEAD~1").output == f"{line}1 change since HEAD~1, 0 of them may release more\n"
    (scrub / "columns.yaml").write_text(RULES.replace("scrub.email(email)", "keep"))
    older = repository / "older"
    older.mkdir()
    (older / "columns.yaml").write_text(RULES)
    (older / "10.sql").write_text("SELECT 1;\n")
    told = "! public.users.email: scrub.email(email) → keep\n1 change since {}, 1 of them may release more\n"
    assert diff(scrub, "--from", str(older)).output == told.format(older)
    manifest = repository / "manifest.json"
    manifest.write_text(json.dumps({"stage": "clean", "rules_sha256": rules_digest(older)}))
    by_manifest = diff(scrub, "--from", str(manifest))
    assert by_manifest.output.startswith("! public.users.email: scrub.email(email) → keep\n1 change since ")
    assert by_manifest.output.endswith(f", which made {manifest}, 1 of them may release more\n")
    as_json = diff(scrub, "--from", "HEAD", "--format", "json")
    assert json.loads(as_json.stdout) == {
        "subject": "public.users.email", "before": "scrub.email(email)", "after": "keep", "releases_more": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ("nothing", "'nothing' is no directory, no manifest.json and no revision that git knows in "),
        ("--output=x", "--from is a directory, a manifest.json or a revision, and begins with no hyphen"),
        ("raw.json", "is the manifest of a raw dump, which no rules made"),
        ("other.json", "is no manifest of a dump"),
        ("unknown.json", "none of the last 2 revisions of"),
    ],
)
def test_what_rules_cannot_be_compared_with_is_refused(repository: Path, before: str, told: str) -> None:
    (repository / "raw.json").write_text('{"stage": "raw"}')
    (repository / "other.json").write_text("[]")
    (repository / "unknown.json").write_text(json.dumps({"stage": "clean", "rules_sha256": "0" * 64}))
    name = str(repository / before) if before.endswith(".json") else before
    done = diff(repository / "scrub", f"--from={name}")
    assert (done.exit_code, told in done.output) == (2, True), done.output
