"""docs/functions.md tells of every function, and its examples are what the functions give."""

from __future__ import annotations

import re

import psycopg
import pytest

from tests.sample.conftest import ROOT, Connection
from tests.sample.test_scrub_functions import value

pytestmark = pytest.mark.end_to_end
PAGE = (ROOT / "docs/functions.md").read_text()
ROWS = [
    tuple(cell.strip().strip("`") for cell in line.strip("|").split(" | "))
    for line in PAGE.splitlines()
    if line.startswith("| `scrub.")
]
INSIDE = set(re.findall(r"`(\w+)`", PAGE.partition("## Inside")[2]))


def test_every_function_is_on_the_page_and_no_other(scrub: Connection) -> None:
    found = scrub.execute(
        "SELECT format('scrub.%s(%s)', proname, pg_get_function_identity_arguments(oid)), proname"
        " FROM pg_catalog.pg_proc WHERE pronamespace = 'scrub'::regnamespace"
    ).fetchall()
    assert sorted(row[0] for row in ROWS) == sorted(signature for signature, name in found if name not in INSIDE)
    assert {name for _, name in found} >= INSIDE


@pytest.mark.parametrize(("signature", "example", "output"), [row[:3] for row in ROWS])
def test_an_example_is_what_the_function_gives(scrub: Connection, signature: str, example: str, output: str) -> None:
    scrub.execute("SET timezone = 'UTC'")
    assert example.startswith(signature.partition("(")[0] + "(")
    assert value(scrub, f"({example})::text") == output


def test_arrays_and_documents_know_the_functions_that_the_page_names(scrub: Connection) -> None:
    sentence = re.search(r"know these functions by name(.+?)A name that is none", PAGE, re.DOTALL)
    assert sentence is not None
    named = [name for name in re.findall(r"`(\w+)`", sentence[1]) if name != "scrub"]
    every = {name for (name,) in scrub.execute(
        "SELECT DISTINCT proname FROM pg_catalog.pg_proc WHERE pronamespace = 'scrub'::regnamespace"
    ).fetchall()} | {"redact"}  # fmt: skip
    assert named == sorted(name for name in every if _known(scrub, name))
    for name in named:
        assert value(scrub, "scrub.each('{a1}', %s)", name) != ["a1"]


def _known(connection: Connection, name: str) -> bool:
    try:
        return value(connection, "scrub.function_name(%s)", name) == name
    except psycopg.errors.UndefinedFunction:
        return False
