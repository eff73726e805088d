"""The grammar of JSON paths stands twice, in SQL and in Python: both take the same texts for the same steps."""

from __future__ import annotations

import itertools

import psycopg
import pytest
from etl_runtime.json_path import JsonPathError, PathStep, Step, json_path_steps

from tests.sample.conftest import Connection

pytestmark = pytest.mark.end_to_end
PARTS = (".a", '."a b"', ".a b", ".*", "[*]", "[0]", ".**", "**", ".", "[", '"', "é", "$", "[x]", "\n", " ")


def _as_sql(step: PathStep) -> list[str]:
    match step.kind:
        case Step.KEY:
            return [f":{step.name}"]
        case Step.DESCEND:
            return ["**", f":{step.name}"]
        case Step.ANY_KEY:
            return [".*"]
        case Step.ANY_ELEMENT:
            return ["[*]"]
        case Step.ELEMENT:
            return [f"[{step.index}]"]


def _by_python(path: str) -> list[str] | None:
    try:
        return [part for step in json_path_steps(path) for part in _as_sql(step)]
    except JsonPathError:
        return None


def _by_sql(connection: Connection, path: str) -> list[str] | None:
    try:
        row = connection.execute("SELECT scrub.path(%s)", [path]).fetchone()
    except psycopg.errors.InvalidParameterValue:
        return None
    assert row is not None
    return row[0]


def test_python_and_sql_take_the_same_paths_for_the_same_steps(scrub: Connection) -> None:
    paths = ["$" + "".join(parts) for count in range(4) for parts in itertools.product(PARTS, repeat=count)]
    by_python = {path: _by_python(path) for path in paths}
    assert {path: _by_sql(scrub, path) for path in paths} == by_python
    assert sum(steps is not None for steps in by_python.values()) > 100
