"""A first columns.yaml: what is told from names, types and samples, and what is left to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import yaml
from etl_runtime.rules_document import parse_rules

from etl_cli.rules.detection import Confidence, Evidence, detect, is_code, kind_by_name
from etl_cli.rules.draft import draft_rules
from etl_cli.rules.json_leaves import json_leaves
from etl_cli.rules.rows import Row
from etl_cli.rules.schema import Table
from etl_cli.rules.schema_snapshot import parse_snapshot

PHONES = [f"+44 7700 900{n:03}" for n in range(9)]
EMAILS = [f"person{n}@example.com" for n in range(9)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("email", "email"), ("customerEmail", "email"), ("Buyer Email", "email"), ("email_2", "email"),
        ("mobile", "phone"), ("HomePhone", "phone"), ("client_ip", "ip"), ("zip", "postcode"),
        ("date_of_birth", "birth"), ("first_name", "person"), ("UserName", "person"), ("password_hash", "secret"),
        ("iban", "number"), ("address1", "address"), ("notes", "text"), ("status", ""), ("created_at", ""),
        ("shipping", ""), ("hotel", ""),
    ],
)  # fmt: skip
def test_a_name_speaks_of_a_kind_or_of_none(name: str, kind: str) -> None:
    assert kind_by_name(name) == kind


@pytest.mark.parametrize(("name", "code"), [("id", True), ("userId", True), ("order_status", True), ("valid", False)])
def test_a_code_is_told_by_its_name(name: str, code: bool) -> None:
    assert is_code(name) is code


@pytest.mark.parametrize(
    ("name", "values", "kind", "confidence"),
    [
        ("x", EMAILS, "email", Confidence.HIGH),
        ("x", PHONES, "phone", Confidence.HIGH),
        ("x", [phone.replace("+44 ", "0") for phone in PHONES], "phone", Confidence.HIGH),
        ("x", ["192.0.2.1", "2001:db8::1", "192.0.2.7", "198.51.100.4", "203.0.113.9"], "ip", Confidence.HIGH),
        ("x", ["GB82 WEST 1234 5698 7654 32"] * 5, "number", Confidence.HIGH),
        ("x", ["QQ1 1AA", "QQ12 3BB", "ZZ9 9ZZ", "QQ1A 1AA", "qq11aa"], "postcode", Confidence.HIGH),
        ("name", ["Sample Person"] * 5, "person", Confidence.HIGH),
        ("title", ["Sample Person"] * 5, "person", Confidence.LOW),
        ("phone", ["x"] * 6 + PHONES[:3], "phone", Confidence.HIGH),
        ("phone", ["x"] * 9, "phone", Confidence.MEDIUM),
        ("email", [], "email", Confidence.MEDIUM),
        ("x", ["write to person@example.com"], "text", Confidence.LOW),
        ("x", EMAILS[:1] + ["none"] * 9, "text", Confidence.LOW),
        ("x", EMAILS[:4], "text", Confidence.LOW),
        ("card", ["4242 4242 4242 4242"] * 5, "number", Confidence.HIGH),
    ],
)
def test_a_kind_is_told_with_how_sure_it_is(
    name: str, values: Sequence[str], kind: str, confidence: Confidence
) -> None:
    found = detect(name, values)
    assert found is not None
    assert (found.kind, found.confidence) == (kind, confidence)
    assert not any(value in found.why for value in values)


@pytest.mark.parametrize(
    ("name", "values"),
    [("x", []), ("x", ["open", "closed"] * 5), ("x", ["4242424242424242"] * 9), ("amount", ["12345678901"] * 9)],
)
def test_what_says_nothing_is_no_evidence(name: str, values: Sequence[str]) -> None:
    assert detect(name, values) is None


def test_evidence_says_why_in_words_alone() -> None:
    assert detect("x", EMAILS) == Evidence("email", Confidence.HIGH, "most values are e-mail addresses")


def test_the_leaves_of_documents_are_found_by_paths_that_name_no_data() -> None:
    documents = [
        '{"a": {"b": "x"}, "n": 5, "list": [{"c": "y"}, {"c": null}], "Two Words": "z", "empty": ""}',
        '{"by": {"person1@example.com": {"role": "r"}, "person2@example.com": {"role": "s"}}}',
        "no json",
    ]
    assert json_leaves(documents) == {
        "$.a.b": ["x"],
        "$.by.*.role": ["r", "s"],
        "$.empty": [],
        "$.list[*].c": ["y"],
        "$.n": [],
        '$."Two Words"': ["z"],
    }
    many = "{" + ", ".join(f'"k{n}": "v"' for n in range(41)) + "}"
    assert json_leaves([many]) == {"$.*": ["v"] * 41}


SCHEMA = """\
version: 1
postgres: 17
types:
  public.mood: {enum: [good, bad]}
tables:
  public.users:
    columns:
      id: bigint NOT NULL
      email: text NOT NULL
      phone: text
      mood: public.mood
      gender: public.mood
      born: date
      salary: numeric(10,2)
      age: integer
      token: text
      status: text
      nickname: text
      who knows: text
      data: jsonb
      photo: bytea
      seal: bytea NOT NULL
      tags: text[]
      "total": numeric GENERATED
    primary_key: [id]
    unique:
      a: [email]
      b: [phone]
      c: [token]
  public.letters:
    columns: {id: bigint NOT NULL, sent_to: text, user: bigint, mobile: text}
    foreign_keys:
      f: {columns: [sent_to], references: {public.users: [email]}}
      g: {columns: [user], references: {public.users: [id]}}
  public.events: {kind: partitioned, columns: {id: bigint, ip: inet}}
  public.events_1: {parents: [public.events], columns: {id: bigint, ip: inet}}
  public.events_2: {parents: [public.events], columns: {id: bigint, ip: inet}}
  public.nothing: {columns: {}}
elsewhere:
  comments: [table public.users]
  sequences: [public.users_id_seq]
"""
DRAFT = {
    "public.users": {
        "columns": {
            "id": "keep",
            "email": "scrub.email(email)",
            "phone": "scrub.phone_unique(phone)",
            "mood": "keep",
            "gender": "TODO",
            "born": {
                "expression": "scrub.date_shift(born, id::text, 90)",
                "proof": "per_row",
                "reason": "one person's new birthday may be another's old one",
            },
            "salary": {
                "expression": "scrub.noise(salary, id::text, 0.1)",
                "proof": "per_row",
                "reason": "an amount may equal another's by chance",
            },
            "age": "keep",
            "token": "scrub.token(token, 32)",
            "status": "keep",
            "nickname": "scrub.person_name(nickname)",
            "who knows": "TODO",
            "data": {
                "json": {
                    "$.email": "email",
                    "$.phone": {"function": "phone", "proof": "per_row", "reason": "only 1,000 numbers are reserved"},
                    "$.what": "TODO",
                }
            },
            "photo": "NULL",
            "seal": "TODO",
            "tags": "TODO",
        }
    },
    "public.letters": {
        "columns": {
            "id": "keep",
            "sent_to": "scrub.email(sent_to)",
            "user": "keep",
            "mobile": "scrub.phone_unique(mobile)",
        }
    },
    "public.events*": {
        "columns": {
            "id": "keep",
            "ip": {
                "expression": "scrub.ip(ip)",
                "proof": "per_column",
                "reason": "only 768 addresses are for documentation",
            },
        }
    },
    "public.nothing": {"columns": {}},
}


class Rows:
    """A source with documents in one table."""

    def rows(self, table: Table, most: int) -> list[Row]:
        assert most == 7
        values: Mapping[str, str] = (
            {"data": '{"email": "", "phone": "", "what": "ever", "count": 3, "kind": "k"}', "status": "open"}
            if table.name == "public.users"
            else {}
        )
        return [tuple(values.get(name) for name in table.dumped_columns)]


def test_a_draft_decides_what_it_can_and_leaves_the_rest_to_a_person() -> None:
    text = draft_rules(parse_snapshot(SCHEMA, "schema.yaml"), Rows(), 7)
    document = yaml.safe_load(text)
    assert document["tables"] == DRAFT
    assert document["elsewhere"] == {"comments": "TODO", "enum_labels": "keep", "sequences": "keep"}
    rules, faults = parse_rules(text)
    assert [rule.pattern for rule in rules.tables] == list(DRAFT)
    assert {fault.problem.partition(" is ")[0] for fault in faults} == {
        "public.users.gender", "public.users.who knows", "$.what of public.users.data", "public.users.seal",
        "public.users.tags", "elsewhere.comments",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("column", "rule"),
    [
        ("email: character varying(44)", "scrub.email(email)"),
        ("email: character varying(30)", "scrub.email(email, 30)"),
        ("email: character varying(20)", "scrub.token(email, 20)"),
        ("email: character varying(10)", "TODO"),
        ("mobile: character varying(11)", "TODO"),
        ("mobile: character varying(36)", "scrub.phone_unique(mobile)"),
        ("nickname: character varying(25)", "scrub.person_name(nickname)"),
        ("nickname: character varying(24)", "scrub.token(nickname, 24)"),
        ("notes: character varying(5)", "scrub.text(notes)"),
    ],
)
def test_a_draft_gives_no_more_characters_than_a_column_takes(column: str, rule: str) -> None:
    schema = f"version: 1\npostgres: 17\ntables:\n  public.t: {{columns: {{{column}}}}}\n"

    class Empty:
        def rows(self, table: Table, most: int) -> list[Row]:
            del table, most
            return []

    document = yaml.safe_load(draft_rules(parse_snapshot(schema, "schema.yaml"), Empty(), 7))
    assert list(document["tables"]["public.t"]["columns"].values()) == [rule]


def test_text_is_kept_only_where_its_name_is_a_code_s_and_says_so() -> None:
    text = draft_rules(parse_snapshot(SCHEMA, "schema.yaml"), Rows(), 7)
    kept = [line.strip() for line in text.splitlines() if ": keep " in line and ("status" in line or "email" in line)]
    assert kept == ["status: keep  # medium: its name is a code's, and no value looks personal"]
