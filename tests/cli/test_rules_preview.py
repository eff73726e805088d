"""What a preview shows of originals: nothing, unless it is asked for."""

from __future__ import annotations

import json

import pytest
from etl_runtime.rules_document import parse_rules

from etl_cli.rules.inspection import Inspection
from etl_cli.rules.preview import PreviewedRow, calls_own_function, preview_lines, shown
from etl_cli.rules.schema import Schema
from etl_cli.rules.schema_snapshot import parse_snapshot


@pytest.mark.parametrize(
    ("before", "after", "sides"),
    [
        ("Sample Person", "Hazel T. Quarryfell", ("•••", "Hazel T. Quarryfell")),
        ("Hello Sample", "Hello you", ("•••", "••• you")),
        ("same", "same", ("•••", "(as it was)")),
        (None, None, ("NULL", "NULL")),
        ("x", None, ("•••", "NULL")),
        (None, "x", ("NULL", "x")),
    ],
)
def test_no_word_of_an_original_is_shown(before: str | None, after: str | None, sides: tuple[str, str]) -> None:
    assert shown(before, after, is_masked=True) == sides


def test_of_a_document_the_keys_are_shown_and_no_leaf_that_was_there() -> None:
    before = json.dumps({"name": "Sample", "city": "Exampleton", "age": 41, "ok": True, "tags": ["Sample", "x"]})
    after = json.dumps({"name": "Hazel", "city": "Exampleton", "age": 41, "ok": True, "tags": ["Hazel", "x"]})
    masked = shown(before, after, is_masked=True)[1]
    assert json.loads(masked) == {"name": "Hazel", "city": "•••", "age": "•••", "ok": True, "tags": ["Hazel", "•••"]}


def test_originals_are_shown_where_that_is_asked_for() -> None:
    assert shown("Sample", None, is_masked=False) == ("Sample", "NULL")


@pytest.mark.parametrize("rule", ["TODO", "{json: {$.a: email, $.b: TODO}}"])
def test_what_nobody_has_decided_is_told_as_that(rule: str) -> None:
    rules, faults = parse_rules(f"version: 1\ntables:\n  public.t: {{columns: {{a: {rule}, b: lower(b)}}}}\n")
    assert len(faults) == 1
    schema = parse_snapshot(
        "version: 1\npostgres: 17\ntables:\n  public.t: {columns: {a: jsonb, b: text}}\n", "schema.yaml"
    )
    table = Inspection(rules, schema, "columns.yaml").tables["public.t"]
    rows = [PreviewedRow({"b": ("A", "a")})]
    assert list(preview_lines(table, 1, rows, is_masked=True)) == [
        "public.t: 1 rows looked at", "  a: TODO", "  b", "    ••• → a",
    ]  # fmt: skip


def test_a_function_of_the_database_s_own_is_told_apart() -> None:
    schema = Schema(17, functions={"public.user_search(name text)": "tsvector", "public.email(text)": "text"})
    assert calls_own_function(schema, "public.user_search(scrub.person_name(name))")
    assert calls_own_function(schema, "user_search(name)")
    assert not calls_own_function(schema, "scrub.email(lower(name))")
