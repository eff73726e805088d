"""Pseudonyms inside JSON documents: what a path leads to, and nothing else, is replaced."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.sample.conftest import Connection
from tests.sample.test_scrub_functions import value

pytestmark = pytest.mark.end_to_end

X = "redacted"


@pytest.mark.parametrize(
    ("path", "document", "expected"),
    [
        ("$.a", {"a": "x", "b": "x"}, {"a": X, "b": "x"}),
        ("$.a", {"b": 1}, {"b": 1}),
        ("$.a", {"a": None}, {"a": None}),
        ("$.a", {"a": ""}, {"a": ""}),
        ("$.a", {"a": 5}, {"a": X}),
        ("$.a", {"a": True}, {"a": X}),
        ("$.a", {"a": []}, {"a": []}),
        ("$.a", {"a": {}}, {"a": {}}),
        ("$.a", "x", "x"),
        ("$.a.b.c", {"a": {"b": {"c": "x", "d": "x"}}}, {"a": {"b": {"c": X, "d": "x"}}}),
        ("$.a", {"a": {"b": "x", "c": ["x", {"d": "x"}]}}, {"a": {"b": X, "c": [X, {"d": X}]}}),
        ("$", ["x", {"a": ["x"]}, None, 1], [X, {"a": [X]}, None, X]),
        ("$", "x", X),
        ("$[*]", ["x", "x"], [X, X]),
        ("$[1]", ["x", "x"], ["x", X]),
        ("$[2]", ["x", "x"], ["x", "x"]),
        ("$[*].a", [{"a": "x"}, {"b": "x"}, "x"], [{"a": X}, {"b": "x"}, "x"]),
        ("$.a[*].b", {"a": [{"b": "x"}, {"b": "x", "c": "x"}]}, {"a": [{"b": X}, {"b": X, "c": "x"}]}),
        ("$.a[0].b", {"a": [{"b": "x"}, {"b": "x"}]}, {"a": [{"b": X}, {"b": "x"}]}),
        ("$.*", {"a": "x", "b": {"c": "x"}}, {"a": X, "b": {"c": X}}),
        ("$.*.c", {"a": {"c": "x"}, "b": {"c": "x", "d": "x"}}, {"a": {"c": X}, "b": {"c": X, "d": "x"}}),
        ("$.**.a", {"a": "x", "b": [{"a": "x", "c": {"a": ["x"]}}]}, {"a": X, "b": [{"a": X, "c": {"a": [X]}}]}),
        ("$.b.**.a", {"a": "x", "b": {"c": {"a": "x"}}}, {"a": "x", "b": {"c": {"a": X}}}),
        ("$.**.a.b", {"c": {"a": {"b": "x", "d": "x"}}}, {"c": {"a": {"b": X, "d": "x"}}}),
        ('$."a.b"', {"a.b": "x", "a": {"b": "x"}}, {"a.b": X, "a": {"b": "x"}}),
        ('$."*"', {"*": "x", "a": "x"}, {"*": X, "a": "x"}),
        ("$.Buyer Name", {"Buyer Name": "x"}, {"Buyer Name": X}),
        # As in JSON path's lax mode: a list where the rule thought of one, and one where it thought of a list.
        ("$.a.b", {"a": [{"b": "x"}, [{"b": "x"}]]}, {"a": [{"b": X}, [{"b": X}]]}),
        ("$.a[*].b", {"a": {"b": "x"}}, {"a": {"b": X}}),
        ("$.a[*]", {"a": "x"}, {"a": X}),
        ("$.a[0]", {"a": "x"}, {"a": X}),
    ],
)
def test_a_path_leads_to_what_is_replaced(scrub: Connection, path: str, document: Any, expected: Any) -> None:
    text = json.dumps(document)
    assert value(scrub, "scrub.json(%s::jsonb, %s, 'redact')", text, path) == expected
    assert value(scrub, "scrub.json_text(%s::json, %s, 'redact')", text, path) == expected
    rules = json.dumps({path: "scrub.redact"})
    assert value(scrub, "scrub.json(%s::jsonb, %s::jsonb)", text, rules) == expected
    assert value(scrub, "scrub.json_text(%s::json, %s::jsonb)", text, rules) == expected


def test_a_leaf_gets_the_pseudonym_that_a_column_gets(scrub: Connection) -> None:
    names = [
        "address", "company", "digits", "email", "person_name", "person_name_unique", "phone", "phone_unique",
        "postcode", "text", "url",
    ]  # fmt: skip
    original = "Sample 07700 900123"
    document = json.dumps(dict.fromkeys(names, original))
    rules = json.dumps({f"$.{name}": name for name in names})
    cleaned = value(scrub, "scrub.json(%s::jsonb, %s::jsonb)", document, rules)
    assert cleaned == {name: value(scrub, f"scrub.{name}(%s)", original) for name in names}
    assert value(scrub, "scrub.json('[\"x\"]', '$', 'token')") == [value(scrub, "scrub.token('x', 32)")]


def test_addresses_and_uuids_that_are_none_become_tokens(scrub: Connection) -> None:
    token = value(scrub, "scrub.token('not one', 32)")
    uuid = "00000000-0000-4000-8000-000000000001"
    document = json.dumps(["not one", "10.1.2.3", uuid])
    assert value(scrub, "scrub.json(%s::jsonb, '$', 'ip')", document)[:2] == [
        token,
        value(scrub, "host(scrub.ip('10.1.2.3'))"),
    ]
    assert value(scrub, "scrub.json(%s::jsonb, '$', 'uuid')", document)[::2] == [
        token,
        value(scrub, "scrub.uuid(%s::uuid)::text", uuid),
    ]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "$a",
        "$.",
        "$..a",
        "$.a.",
        "$.a[",
        "$.a[b]",
        "$.a[-1]",
        "$.**",
        "$.**.*",
        "$.a b[c",
        '$."a',
        "$[1",
        None,
    ],
)
def test_a_path_that_is_not_understood_raises(scrub: Connection, path: str | None) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="not a JSON path that"):
        value(scrub, "scrub.json('{}', %s::text, 'redact')", path)


@pytest.mark.parametrize("name", ["emails", "pg_sleep", "scrub.json", "", "json_walk"])
@pytest.mark.parametrize(
    "query",
    [
        "SELECT scrub.json(v, '$.a', %s) FROM (VALUES ('{}'::jsonb)) t (v) WHERE false",
        "SELECT scrub.json(v, jsonb_build_object('$.a', %s::text)) FROM (VALUES ('{}'::jsonb)) t (v)",
        "SELECT scrub.each(v, %s) FROM (VALUES ('{}'::text[])) t (v) WHERE false",
    ],
)
def test_a_misspelt_function_raises_even_where_no_value_needs_it(scrub: Connection, query: str, name: str) -> None:
    with pytest.raises(psycopg.errors.UndefinedFunction, match="scrub has no function"):
        psycopg.ClientCursor(scrub).execute(query.encode(), [name])
