"""The transform without scripts: rules that do not do, each with its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.containers.end_to_end.clean_dump import CleanDump
from tests.containers.end_to_end.programs import Run
from tests.containers.end_to_end.source_database import RULES, change_rules

pytestmark = pytest.mark.end_to_end

Transform = Callable[..., tuple[Run, CleanDump]]
UNTOUCHED = ("public.catalogue", "public.nothing")
EXPRESSIONS = ("public.users", "public.orders", '"My Schema"."User Data"', "public.events_2025", "public.events_2026")
_SURVIVE = "proof failed, and nothing is released: original values survive: "


def _where(text: str) -> str:
    return f"columns.yaml:{_line(text)}"


def _line(text: str) -> int:
    return RULES[: RULES.index(text)].count("\n") + 1


STOPPED: dict[str, tuple[list[tuple[str, str]], int, str]] = {
    "a column without a rule": (
        [("      phone: NULL\n", "")],
        78,
        f"column public.users.phone (text) is not classified in {_where('  public.users:')}",
    ),
    "a table without a rule": (
        [('  public.catalogue: {keep: all, reason: "reference data"}\n', "")],
        78,
        "table public.catalogue is not classified in columns.yaml",
    ),
    "a place without a decision": (
        [("  materialized_views: keep\n", "")],
        78,
        "1 materialized view in the dump, such as public.totals: decide elsewhere.materialized_views in columns.yaml",
    ),
    "an expression that gives the original": (
        [("email: scrub.email(email)", "email: \"CASE WHEN id = 7 THEN email ELSE id || '@example.com' END\"")],
        65,
        _SURVIVE + "public.users.email in 1 of its own values. Scrub",
    ),
    "an expression that gives somebody else's original": (
        [("email: scrub.email(email)", "email: \"'ada.canary' || (201 - id) || '@example.com'\"")],
        65,
        _SURVIVE + "public.users.email in 200 of its own values. Scrub",
    ),
    "a proof by row without a key": (
        [
            ("memo: \"''\"", "memo: {expression: \"''\", proof: per_row}"),
            ("orders: {columns: {id: keep", "orders: {columns: {id: \"id + 1000\""),
        ],
        78,
        f"{_where('  public.orders')}: public.orders.memo: proof: per_row needs a primary key of kept columns",
    ),
    "an expression that there is not": (
        [("email: scrub.email(email)", "email: scrub.emial(email)")],
        65,
        f"{_where('      email:')}: public.users: function scrub.emial(character varying) does not exist",
    ),
    "an expression that fails on a row": (
        [("name: \"'Somebody ' || id\"", "name: name::integer::text")],
        65,
        f"{_where('      name:')}: public.users: invalid text representation (22P02)",
    ),
    "an expression that gives several rows": (
        [("name: \"'Somebody ' || id\"", "name: \"unnest(ARRAY['x', 'y'])\"")],
        65,
        "public.users had 200 rows and 400 came out, with no row filter",
    ),
    "a value that breaks a check": (
        [("email: scrub.email(email)", "email: \"'nobody ' || id\"")],
        65,
        f"{_where('  public.users')}: public.users: a cleaned row is refused: check constraint "
        "users_email_check",
    ),
    "a value that is too long": (
        [("email: scrub.email(email)", "email: \"repeat('x', 70) || '@example.com'\"")],
        65,
        f"{_where('      email:')}: public.users: value too long for type character varying(60)",
    ),
    "a null where there may be none": (
        [("email: scrub.email(email)", "email: NULL")],
        65,
        f"{_where('  public.users')}: public.users: a cleaned row is refused: email is NOT NULL",
    ),
    "a value of another type": (
        [("born: {expression: \"make_date(1900, 1, 1) + id\", reason: \"a day of nobody's\"}", "born: \"'someday'\"")],
        65,
        f"{_where('      born:')}: public.users: invalid datetime format (22007)",
    ),
    "a row filter that there is not": (
        [("public.orders: {columns:", "public.orders: {where: idd > 5, columns:")],
        65,
        f'columns.yaml:{_line("  public.orders")}: public.orders: column "idd" does not exist',
    ),
    "a row filter that looks at another table": (
        [("public.orders: {columns:", "public.orders: {where: user_id IN (SELECT id FROM public.users), columns:")],
        78,
        f"{_where('  public.orders')}: public.orders: an expression sees its own row alone, "
        "and one here reads public.users; use a script",
    ),
    "no rules": ([(RULES, "")], 78, "columns.yaml is empty: it classifies every table and column"),
    "columns left to scripts of which there are none": (
        [("phone: NULL", "phone: scripted")],
        65,
        _SURVIVE + "public.users.phone in 200 of its own values. Scrub",
    ),
    "originals in another column of the table": (
        [("note: \"CASE WHEN note IS NOT NULL THEN 'a note' END\"", "note: \"'it is about ' || upper(email) || '!'\"")],
        65,
        _SURVIVE + "public.users.email in public.users.note, "
        "200 times. Scrub",
    ),
    "originals in another table": (
        [
            ("memo: \"''\"", "memo: \"'{\\\"by\\\": \\\"canary-mail ' || id || '\\\"}'\""),
        ],
        65,
        _SURVIVE +
        '"My Schema"."User Data"."E Mail" in public.orders.memo, 20 times; '
        "public.events_2025.mail in public.orders.memo, 11 times; "
        "public.events_2026.mail in public.orders.memo, 19 times. Scrub",
    ),
    "pseudonyms that collide": (
        [("email: scrub.email(email)", "email: \"(id % 101) || '@example.com'\"")],
        65,
        f"nothing is released, for no load would take it: 99 rows of public.users ({_where('  public.users')}) "
        "have another's email, and users_email_key is unique: use a function that is injective",
    ),
    "a row filter that takes away what others refer to": (
        [("  public.users:\n", "  public.users:\n    where: id > 100\n")],
        65,
        f"nothing is released, for no load would take it: 199 rows of public.orders "
        f"(columns.yaml:{_line('  public.orders') + 1}) would refer to rows of public.users "
        f"({_where('  public.users')}) that are not there (orders_user_id_fkey): filter them too",
    ),
    "a truncated table that others refer to": (
        [(RULES[RULES.index("  public.users:") : RULES.index("  public.orders")], "  public.users: truncate\n")],
        65,
        "nothing is released, for no load would take it: 300 rows of public.orders (columns.yaml:4) would refer to "
        "rows of public.users (columns.yaml:3) that are not there (orders_user_id_fkey): filter them too",
    ),
    "a key that is scrubbed on one side": (
        [("user_id: keep", "user_id: user_id + 1000")],
        65,
        f"nothing is released, for no load would take it: 300 rows of public.orders "
        f"({_where('  public.orders')}) would refer to rows of public.users "
        f"({_where('  public.users')}) that are not there (orders_user_id_fkey): let both be scrubbed alike",
    ),
    "a row moved out of its partition": (
        [("at: keep", "at: \"at + 365\"")],
        65,
        f"{_where('  public.events')}: public.events_2026: a cleaned row is refused: the bounds of its "
        "partition: keep what it is partitioned by",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "code", "error"), STOPPED.values(), ids=STOPPED.keys())
def test_rules_that_do_not_do_stop_the_run_with_their_reason(
    transform: Transform, rules: Path, changes: list[tuple[str, str]], code: int, error: str
) -> None:
    change_rules(rules, *changes)
    run, clean = transform()
    assert (run.code, run.error[: len(error)]) == (code, error)
    assert clean.objects == {}
