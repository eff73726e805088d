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
        ("$.**.a.b", {"a": {"a": {"b": "x", "c": "x"}, "d": "x"}}, {"a": {"a": {"b": X, "c": "x"}, "d": "x"}}),
        ("$.**.a.b", [[{"a": [{"b": "x"}]}], {"b": "x"}], [[{"a": [{"b": X}]}], {"b": "x"}]),
        ('$.**."a\\b"', {"c": {"a\\b": "x", "ab": "x"}}, {"c": {"a\\b": X, "ab": "x"}}),
        ("$.**.é", {"c": [{"é": "x"}]}, {"c": [{"é": X}]}),
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
        "address", "card_number", "company", "digits", "email", "iban", "person_name", "person_name_unique", "phone",
        "phone_unique", "postcode", "text", "url",
    ]  # fmt: skip
    original = "Sample 07700 900123"
    document = json.dumps(dict.fromkeys(names, original))
    rules = json.dumps({f"$.{name}": name for name in names})
    cleaned = value(scrub, "scrub.json(%s::jsonb, %s::jsonb)", document, rules)
    assert cleaned == {name: value(scrub, f"scrub.{name}(%s)", original) for name in names}
    assert value(scrub, "scrub.json('[\"x\"]', '$', 'token')") == [value(scrub, "scrub.token('x', 32)")]


def test_a_leaf_that_two_steps_of_any_depth_pass_is_replaced_once(scrub: Connection) -> None:
    document = json.dumps({"a": {"a": "x", "b": {"a": ["x"]}}, "c": [{"a": "x"}]})
    e = value(scrub, "scrub.email('x')")
    expected = {"a": {"a": e, "b": {"a": [e]}}, "c": [{"a": e}]}
    assert value(scrub, "scrub.json(%s::jsonb, '$.**.a', 'email')", document) == expected


def test_many_paths_are_one_walk_and_each_leads_where_it_would_alone(scrub: Connection) -> None:
    document = {
        "client": {"ip": "10.1.2.3", "agent": "x"},
        "to": {"name": "Ann Sample", "emails": ["a@example.org", {"value": "b@example.org"}]},
        "cc": [{"email": "c@example.org", "n": 1}, {"email": "d@example.org"}, None],
        "deep": [[{"secret": "x", "email": "e@example.org"}], {"secret": {"y": ["z", None, 2]}}],
        "ref": "07700 900123",
    }
    rules = {
        "$.client.ip": "ip",
        "$.to.name": "person_name",
        "$.to.emails[*]": "email",
        "$.cc[*].email": "email",
        "$.cc[9].email": "email",
        "$.deep.**.secret": "text",
        "$.deep.**.email": "email",
        "$.ref": "digits",
        "$.none.at.all": "email",
    }
    together = value(scrub, "scrub.json(%s::jsonb, %s::jsonb)", json.dumps(document), json.dumps(rules))
    one_by_one: Any = document
    for path, name in rules.items():
        one_by_one = value(scrub, "scrub.json(%s::jsonb, %s, %s)", json.dumps(one_by_one), path, name)
    assert together == one_by_one
    assert (together["client"]["agent"], together["cc"][0]["n"], together["cc"][2]) == ("x", 1, None)
    assert "@example.org" not in json.dumps(together)


@pytest.mark.parametrize(
    "document",
    ['"x"', "1", "null", "true", "[]", "{}", '{"b": {"a": "x"}}', '[{"b": "x"}, 1, null]', '{"A": "x", "a ": "x"}'],
)
def test_a_document_without_the_paths_comes_out_as_it_is(scrub: Connection, document: str) -> None:
    for rules in ('{"$.a": "email"}', '{"$.a.b": "email", "$.**.c": "text"}', '{"$.a[*]": "email", "$.d.*": "text"}'):
        assert value(scrub, "scrub.json(%s::jsonb, %s::jsonb)", document, rules) == json.loads(document)


@pytest.mark.parametrize("path", ["$", "$.a", "$.*", "$[*]", "$[0]", "$.**.a"])
def test_no_document_is_no_document(scrub: Connection, path: str) -> None:
    rules = json.dumps({path: "email", "$.b": "email"})
    for kind, call in (("jsonb", "json"), ("json", "json_text")):
        assert value(scrub, f"scrub.{call}(v, %s, 'email') IS NULL FROM (VALUES (NULL::{kind})) AS t (v)", path) is True
        assert value(scrub, f"scrub.{call}(v, %s::jsonb) IS NULL FROM (VALUES (NULL::{kind})) AS t (v)", rules) is True


@pytest.mark.parametrize("rules", [None, "{}", "null"])
def test_rules_that_say_nothing_raise(scrub: Connection, rules: str | None) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=r"the rules of scrub\.json name no path"):
        value(scrub, "scrub.json(v, %s::jsonb) FROM (VALUES ('{}'::jsonb)) AS t (v)", rules)


def test_a_key_that_stands_twice_hides_nothing(scrub: Connection) -> None:
    text = '{"a": {"b": "hidden"}, "a": 1, "b": "hidden", "b": "x"}'
    cleaned = value(scrub, """scrub.json_text(%s::json, '{"$.a.b": "redact", "$.b": "redact"}')::text""", text)
    assert cleaned == '{"a": 1, "b": "redacted"}'


def test_documents_may_be_wide_deep_and_long(scrub: Connection) -> None:
    deep = '{"a":' * 300 + '{"email": "x", "b": "x"}' + "}" * 300
    cleaned = value(scrub, "scrub.json(%s::jsonb, '$.**.email', 'redact')::text", deep)
    assert (cleaned.count("redacted"), cleaned.count('"x"')) == (1, 1)
    wide = json.dumps({str(n): {"email": "x"} for n in range(5000)})
    assert value(scrub, "scrub.json(%s::jsonb, '$.*.email', 'redact')::text", wide).count("redacted") == 5000
    assert value(scrub, "scrub.json(%s::jsonb, '$.**.email', 'redact')::text", wide).count("redacted") == 5000
    long = json.dumps([{"email": "x", "n": n} for n in range(20_000)])
    for path in ("$[*].email", "$.email", "$.**.email"):
        assert value(scrub, "scrub.json(%s::jsonb, %s, 'redact')::text", long, path).count("redacted") == 20_000


def test_a_document_that_the_table_compresses_is_scrubbed_too(scrub: Connection) -> None:
    scrub.execute("CREATE TEMP TABLE documents (data jsonb)")
    document = {"email": "x", "to": [{"email": "x"}], "text": "words " * 20_000}
    scrub.execute("INSERT INTO documents VALUES (%s)", [json.dumps(document)])
    rules = """'{"$.email": "redact", "$.to[*].email": "redact"}'"""
    found = value(scrub, f"scrub.json(data, {rules}) FROM pg_temp.documents")
    assert found == document | {"email": X, "to": [{"email": X}]}


def test_addresses_and_uuids_that_are_none_become_tokens(scrub: Connection) -> None:
    token = value(scrub, "scrub.token('not one', 32)")
    uuid = "00000000-0000-4000-8000-000000000001"
    document = json.dumps(["not one", "10.1.2.3", uuid])
    assert value(scrub, "scrub.json(%s::jsonb, '$', 'ip')", document)[:2] == [
        token,
        value(scrub, "host(scrub.ip('10.1.2.3'))"),
    ]
    network = value(scrub, "scrub.json('[\"10.1.2.3/24\"]', '$', 'ip')")
    assert network == [value(scrub, "host(scrub.ip('10.1.2.3')) || '/24'")]
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
