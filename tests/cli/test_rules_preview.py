"""What a preview shows of originals: nothing, unless it is asked for."""

from __future__ import annotations

import json

import pytest

from etl_cli.rules.preview import calls_own_function, shown
from etl_cli.rules.schema import Schema


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


def test_a_function_of_the_database_s_own_is_told_apart() -> None:
    schema = Schema(17, functions={"public.user_search(name text)": "tsvector", "public.email(text)": "text"})
    assert calls_own_function(schema, "public.user_search(scrub.person_name(name))")
    assert calls_own_function(schema, "user_search(name)")
    assert not calls_own_function(schema, "scrub.email(lower(name))")
