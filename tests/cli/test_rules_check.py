"""`postgres-etl rules check` without a server: each check over a schema and rules of a few lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from etl_runtime.rules_document import parse_rules

from etl_cli.rules.check_classification import check_classification
from etl_cli.rules.check_keys import check_keys
from etl_cli.rules.check_references import check_references
from etl_cli.rules.check_scripts import check_scripts
from etl_cli.rules.findings import Finding, Severity, gathered
from etl_cli.rules.inspection import Inspection
from etl_cli.rules.schema_snapshot import parse_snapshot
from etl_cli.rules.script_effects import read_effects

SCHEMA = """\
version: 1
postgres: 17
types:
  public.mood: {enum: [good, bad]}
  public.never: {domain: text NOT NULL}
tables:
  public.users:
    columns: {id: bigint NOT NULL, email: text NOT NULL, phone: text, mood: public.mood, tag: public.never}
    primary_key: [id]
    unique: {users_email_key: [email]}
  public.letters:
    columns: {id: bigint NOT NULL, email: text, user_id: bigint, total: numeric GENERATED}
    primary_key: [id]
    foreign_keys:
      letters_email_fkey: {columns: [email], references: {public.users: [email]}}
      letters_user_fkey: {columns: [user_id], references: {public.users: [id]}}
"""
USERS = "{id: keep, email: scrub.email(email), phone: keep, mood: keep, tag: keep}"
LETTERS = "{id: keep, email: scrub.email(email), user_id: keep}"

Inspect = Callable[..., Inspection]


def inspected(
    users: str = f"{{columns: {USERS}}}", letters: str = f"{{columns: {LETTERS}}}", more: str = "", schema: str = SCHEMA
) -> Inspection:
    text = f"version: 1\ntables:\n  public.users: {users}\n  public.letters: {letters}\n{more}"
    rules, faults = parse_rules(text)
    assert faults == ()
    return Inspection(rules, parse_snapshot(schema, "schema.yaml"), "columns.yaml")


def told(findings: Iterable[Finding]) -> list[str]:
    return [f"{f.line} {f.severity} {f.message}" for f in gathered(findings)]


def test_what_fits_the_schema_has_no_findings(tmp_path: Path) -> None:
    inspection = inspected(more="elsewhere: {enum_labels: keep, check_expressions: keep}\n")
    effects = read_effects(tmp_path, inspection.schema)
    for findings in (
        check_classification(inspection),
        check_keys(inspection),
        check_references(inspection, effects),
        check_scripts(inspection, effects),
    ):
        assert told(findings) == []


def test_what_is_not_decided_and_what_is_not_there_are_told() -> None:
    inspection = inspected(
        "{columns: {id: keep, email: keep, phone: keep, nope: keep}}",
        "{columns: {id: keep, email: keep, user_id: keep, total: keep}}",
        "  public.gone: truncate\n  archive_*: truncate\n  public.lett*: truncate\n",
    )
    assert told(check_classification(inspection)) == [
        "0 error elsewhere.enum_labels is not decided, and the schema has some: public.mood",
        "3 error public.users.mood (public.mood) is not classified",
        "3 error public.users.nope is no column of the schema",
        "3 error public.users.tag (public.never) is not classified",
        "4 error public.letters.total is generated from other columns: it takes no rule",
        "5 error public.gone is no table of the schema",
        "6 error archive_* matches no table of the schema",
        "7 error public.lett* matches no table of the schema",
    ]


def test_a_table_of_no_rule_and_one_of_two_families_are_told() -> None:
    rules, _ = parse_rules("version: 1\ntables:\n  public.u*: truncate\n  '*.users': truncate\n")
    inspection = Inspection(rules, parse_snapshot(SCHEMA, "schema.yaml"), "columns.yaml")
    assert told(check_classification(inspection))[1:] == [
        "0 error public.letters is not classified: its columns are id, email, user_id",
        "3 error public.users is in two families: line 3 and line 4",
    ]


@pytest.mark.parametrize(
    ("email", "finding"),
    [
        ("scrub.email(email)", []),
        ("\"scrub.token(email, 32) || '@example.com'\"", []),
        ("scripted", []),
        (
            "scrub.phone(email)",
            [
                "3 error public.users.email may become the same in two rows, and index users_email_key is unique: "
                "scrub.phone is not one to one, scrub.phone_unique is"
            ],
        ),
        (
            "scrub.postcode(email)",
            [
                "3 error public.users.email may become the same in two rows, and index users_email_key is unique: "
                "scrub.postcode is not one to one, scrub.token(…, 32) is"
            ],
        ),
        ("\"'x'\"", ["3 error public.users.email is the same in every row, and index users_email_key is unique"]),
        (
            "lower(email)",
            ["3 warning public.users.email cannot be told to stay different where it was, and index users_email_key is "
             "unique"],
        ),
        ("null", ["3 error public.users.email is NOT NULL and is given NULL"]),
    ],
)  # fmt: skip
def test_a_unique_column_has_to_stay_unique_and_one_that_is_not_null_to_have_a_value(
    email: str, finding: list[str]
) -> None:
    users = f"{{columns: {{id: keep, email: {email}, phone: keep, mood: keep, tag: keep}}}}"
    assert told(check_keys(inspected(users))) == finding


@pytest.mark.parametrize(
    ("unique", "rule", "finding"),
    [
        ("[phone, email]", "scrub.phone(phone)", "warning public.users.phone may become the same in two rows"),
        ("[phone, email]", "\"'x'\"", "warning public.users.phone is the same in every row, and index i is unique; "),
        ("[phone, email]", "null", ""),
        ("[phone]", "null", ""),
        ("{columns: [phone], nulls_not_distinct: true}", "null", "error public.users.phone is the same in every row"),
        ("{columns: [], expression: lower(phone)}", "scrub.phone(phone)", "warning public.users.phone may become the "),
        ("{columns: [], expression: lower(phone)}", "scrub.email(phone)", ""),
        ("[mood]", "scrub.phone(phone)", ""),
    ],
)  # fmt: skip
def test_an_index_of_more_than_one_column_is_looked_at_as_a_whole(unique: str, rule: str, finding: str) -> None:
    schema = SCHEMA.replace("unique: {users_email_key: [email]}", f"unique: {{i: {unique}}}")
    users = f"{{columns: {{id: keep, email: scrub.email(email), phone: {rule}, mood: keep, tag: keep}}}}"
    found = told(check_keys(inspected(users, schema=schema)))
    assert [line.startswith(f"3 {finding}") for line in found] == ([True] if finding else [])


def test_a_domain_can_forbid_null_and_a_primary_key_does() -> None:
    users = "{columns: {id: null, email: scrub.email(email), phone: keep, mood: keep, tag: null}}"
    assert told(check_keys(inspected(users))) == [
        "3 error public.users.id is NOT NULL and is given NULL",
        "3 error public.users.tag is NOT NULL and is given NULL",
    ]


def test_a_proof_by_row_needs_a_key_that_stays() -> None:
    rule = "{expression: scrub.phone(phone), proof: per_row, reason: few}"
    users = f"{{columns: {{id: id + 1, email: keep, phone: {rule}, mood: keep, tag: keep}}}}"
    assert [line for line in told(check_keys(inspected(users))) if "proved" in line] == [
        "3 error public.users.phone is proved per_row by its table's primary key, and id of it is scrubbed"
    ]
    schema = SCHEMA.replace("    primary_key: [id]\n    unique", "    unique")
    users = users.replace("id + 1", "keep")
    assert told(check_keys(inspected(users, schema=schema))) == [
        "3 error public.users.phone is proved per_row by its table's primary key, and there is none"
    ]


def test_a_column_of_few_values_is_best_proved_by_row() -> None:
    users = "{columns: {id: keep, email: keep, phone: keep, mood: \"CASE mood WHEN 'good' THEN mood END\", tag: keep}}"
    assert told(check_keys(inspected(users))) == [
        "3 warning public.users.mood is public.mood, of few values: one row's original is another's; say proof: per_row"
    ]


def _references(tmp_path: Path, script: str = "", **rules: str) -> list[str]:
    (tmp_path / "10.sql").write_text(script)
    inspection = inspected(**rules)
    return told(check_references(inspection, read_effects(tmp_path, inspection.schema)))


@pytest.mark.parametrize(
    ("email", "finding"),
    [
        ("scrub.email(email::text)", ""),
        ("null", ""),
        (
            "keep",
            "4 error public.letters.email is kept, and public.users.email (line 3) is scrubbed: letters_email_fkey "
            "would fail; give both the same rule",
        ),
        (
            "scrub.url(email)",
            "4 error public.letters.email is scrubbed otherwise than public.users.email (line 3): letters_email_fkey "
            "would fail",
        ),
        (
            "scripted",
            "4 warning public.letters.email has to stay equal to public.users.email for letters_email_fkey, and that "
            "is left to a script",
        ),
    ],
)
def test_both_sides_of_a_foreign_key_get_the_same_pseudonyms(tmp_path: Path, email: str, finding: str) -> None:
    letters = f"{{columns: {{id: keep, email: {email}, user_id: keep}}}}"
    assert _references(tmp_path, letters=letters) == ([finding] if finding else [])


def test_a_side_that_is_kept_is_told_whichever_it_is(tmp_path: Path) -> None:
    users = "{columns: {id: keep, email: keep, phone: keep, mood: keep, tag: keep}}"
    assert _references(tmp_path, users=users) == [
        "4 error public.letters.email is scrubbed, and public.users.email is kept: letters_email_fkey would fail; "
        "give both the same rule"
    ]


@pytest.mark.parametrize("users", ["truncate", "skip", f"{{columns: {USERS}, where: id > 5}}"])
def test_rows_may_not_refer_to_rows_that_stay_behind(tmp_path: Path, users: str) -> None:
    how = users if users in ("truncate", "skip") else "where:"
    behind = f"refers to public.users, of which {how} (line 3) leaves rows behind"
    advice = "would fail; filter it too, or set the column to NULL"
    assert _references(tmp_path, users=users) == [
        f"4 error public.letters (email) {behind}: letters_email_fkey {advice}",
        f"4 error public.letters (user_id) {behind}: letters_user_fkey {advice}",
    ]
    assert _references(tmp_path, users=users, letters="truncate") == []
    nulled = "{columns: {id: keep, email: null, user_id: null}}"
    assert _references(tmp_path, users=users, letters=nulled) == []
    for letters, script in (
        (f"{{columns: {LETTERS}, where: id > 5}}", ""),
        (f"{{columns: {LETTERS}}}", "DELETE FROM public.letters WHERE user_id IS NULL"),
    ):
        found = _references(tmp_path, script, users=users, letters=letters)
        assert [line.partition(" public")[0] for line in found] == ["4 warning", "4 warning"]


def test_a_reference_that_is_not_valid_binds_no_row_of_a_dump(tmp_path: Path) -> None:
    schema = SCHEMA.replace("{public.users: [email]}}", "{public.users: [email]}, not_valid: true}")
    letters = f"{{columns: {LETTERS.replace('scrub.email(email)', 'keep')}}}"
    assert _references(tmp_path, letters=letters, schema=schema) == []


@pytest.mark.parametrize(
    ("script", "finding"),
    [
        ("UPDATE public.users SET phone = ''", []),
        ("UPDATE public.users SET email = phone", [
            "3 error public.users.phone is left to the scripts, and none sets it"
        ]),
        ("DO $$ BEGIN END $$", [
            "3 warning public.users.phone is left to the scripts, and none sets it, unless DO at 10.sql:1 does"
        ]),
        ("INSERT INTO public.users VALUES (1)", [
            "3 warning public.users.phone is left to the scripts; one inserts rows, and none sets the column"
        ]),
    ],
)  # fmt: skip
def test_what_is_left_to_scripts_is_set_by_one(tmp_path: Path, script: str, finding: list[str]) -> None:
    (tmp_path / "10.sql").write_text(script)
    inspection = inspected("{columns: {id: keep, email: keep, phone: scripted, mood: keep, tag: keep}}")
    assert told(check_scripts(inspection, read_effects(tmp_path, inspection.schema))) == finding


def test_an_error_and_a_warning_say_what_they_are() -> None:
    inspection = inspected()
    assert inspection.error("x", 1, "a", "b").severity is Severity.ERROR
    assert inspection.warning("x", 1, "a", "b").severity is Severity.WARNING
