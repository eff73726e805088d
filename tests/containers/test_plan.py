from __future__ import annotations

from pathlib import Path

import pytest
from etl_runtime.classification import ClassifiedTable, classify
from etl_runtime.plan import Plan, make_plan
from etl_runtime.rules_document import read_rules
from etl_runtime.toc import read_toc

from tests.containers.archive_bytes import ENCODING, table, toc_bytes

RULES = """\
version: 1
tables:
  public.users: {columns: {id: keep, email: scrub.email(email), notes: scripted}, where: id > 5}
  public.orders: {columns: {id: keep, note: 'NULL'}}
  public.notes: {columns: {id: keep, text: scripted}}
  public.countries: {keep: all, reason: reference data}
  public.cities: {columns: {id: keep}}
  public.recent: {columns: {id: keep}, where: id > 5}
  public.sessions: truncate
  public.drafts: skip
"""


@pytest.fixture
def tables(tmp_path: Path) -> tuple[ClassifiedTable, ...]:
    (tmp_path / "columns.yaml").write_text(RULES)
    columns = {
        "users": "id integer\nemail text\nnotes text",
        "orders": "id integer\nnote text",
        "notes": "id integer\ntext text",
    }
    names = ("users", "orders", "notes", "countries", "cities", "recent", "sessions", "drafts")
    entries = [entry for n, name in enumerate(names, 1) for entry in table(n, name, columns.get(name, "id integer"))]
    return classify(read_toc(toc_bytes([ENCODING, *entries])), read_rules(tmp_path))


def _documents(plan: Plan) -> list[tuple[str, str, str]]:
    return [(d["table"], d["path"], d["reason"]) for d in (step.document() for step in plan.steps)]


def test_each_table_takes_the_cheapest_path_that_its_rule_allows(tables: tuple[ClassifiedTable, ...]) -> None:
    plan = make_plan(tables, ["10_notes.sql", "20_users.sql"])
    assert _documents(plan) == [
        (
            "public.users",
            "scripts",
            "expressions for email; a row filter; notes left to 10_notes.sql, 20_users.sql",
        ),
        ("public.orders", "expressions", "expressions for note"),
        ("public.notes", "scripts", "text left to 10_notes.sql, 20_users.sql"),
        ("public.countries", "untouched", "line 6 keeps every column"),
        ("public.cities", "untouched", "line 7 keeps every column"),
        ("public.recent", "expressions", "a row filter"),
        ("public.sessions", "emptied", "line 9 says truncate"),
        ("public.drafts", "emptied", "line 10 says skip"),
    ]
    assert [t.name for t in plan.rewritten] == [
        "public.users", "public.orders", "public.notes", "public.recent", "public.sessions", "public.drafts",
    ]  # fmt: skip


def test_what_scripts_changed_is_written_anew_but_what_is_emptied_stays_empty(
    tables: tuple[ClassifiedTable, ...],
) -> None:
    plan = make_plan(tables, ["10.sql"]).after_scripts(
        {("public", "cities"), ("public", "sessions"), ("x", "countries")}, {("public", "cities"), ("public", "orders")}
    )
    changed = {table: (path, reason) for table, path, reason in _documents(plan)}
    assert changed["public.cities"] == ("scripts", "a script changed it; line 7 keeps every column")
    assert changed["public.sessions"] == ("emptied", "line 9 says truncate")
    assert changed["public.countries"] == ("untouched", "line 6 keeps every column")
    assert [step.table.name for step in plan.steps if step.loaded] == ["public.orders", "public.cities"]


def test_columns_left_to_scripts_that_do_not_exist_are_told_so(tables: tuple[ClassifiedTable, ...]) -> None:
    assert _documents(make_plan(tables, []))[2] == (
        "public.notes",
        "scripts",
        "text left to scripts, of which there are none",
    )


def test_a_step_s_document_has_the_rows_before_and_after_where_they_are_known(
    tables: tuple[ClassifiedTable, ...],
) -> None:
    step = make_plan(tables, []).steps[1]
    assert step.document((10, 9)) == {
        "table": "public.orders",
        "path": "expressions",
        "reason": "expressions for note",
        "loaded": False,
        "rows_before": 10,
        "rows_after": 9,
    }
