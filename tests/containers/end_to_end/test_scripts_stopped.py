"""The transform with the owner's scripts: what stops them, each with its reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.containers.end_to_end.clean_dump import CleanDump
from tests.containers.end_to_end.programs import Run

pytestmark = pytest.mark.end_to_end

Transform = Callable[..., tuple[Run, CleanDump]]
NOTES = "UPDATE public.users SET note = 'note of ' || id WHERE note IS NOT NULL;\n"


STOPPED: dict[str, tuple[list[str], str]] = {
    "an error": (
        [NOTES, "SELECT 1;\n\nUPDATE public.userz SET note = 'x';\n"],
        'scrub script stopped: 20.sql:3: relation "public.userz" does not exist',
    ),
    "an error that quotes a row": (
        ["SELECT note::integer FROM public.users;\n"],
        "scrub script stopped: 10.sql:1: invalid text representation (22P02)",
    ),
    "a function that quotes a row": (
        [
            "DO $$ DECLARE n text; BEGIN SELECT note INTO n FROM public.users LIMIT 1;\n"
            "RAISE EXCEPTION 'no: %', n; END $$;\n"
        ],
        "scrub script stopped: 10.sql:2: raise exception (P0001)",
    ),
    "a value that a script takes for a table": (
        ["SELECT ('\"' || left(note, 11) || '\"')::regclass FROM public.users;\n"],
        "scrub script stopped: 10.sql:1: undefined table (42P01)",
    ),
    "rows that a script runs": (
        ["SELECT left(note, 11) FROM public.users WHERE id = 1 \\gexec\n"],
        "scrub script stopped: 10.sql:1: syntax error (42601)",
    ),
    "a unique value that stands twice": (
        ["UPDATE public.users SET email = 'x@y';\n"],
        'scrub script stopped: 10.sql:1: duplicate key value violates unique constraint "users_email_key"',
    ),
    "a commit": (
        [NOTES, "COMMIT;\n"],
        "scrub script stopped: a script ends the transaction (COMMIT or ROLLBACK); all scripts run in one",
    ),
    "a commit and another transaction": (
        [NOTES + "COMMIT; BEGIN;\n"],
        "scrub script stopped: a script ends the transaction (COMMIT or ROLLBACK); all scripts run in one",
    ),
    "a rollback": (
        [NOTES + "ROLLBACK; BEGIN;\n"],
        "scrub script stopped: a script ends the transaction (COMMIT or ROLLBACK); all scripts run in one",
    ),
    "another connection": (
        [NOTES + "\\connect -\n"],
        "scrub script stopped: a script ends the transaction (COMMIT or ROLLBACK); all scripts run in one",
    ),
    "a definition": (
        [NOTES + "ALTER TABLE public.users ALTER COLUMN name DROP DEFAULT, ADD COLUMN extra text;\n"],
        "scrub scripts changed more than rows, which is not carried over: definitions (DDL)",
    ),
    "a table of their own": (
        [NOTES + "CREATE TABLE public.mine (id integer);\n"],
        "scrub scripts changed more than rows, which is not carried over: definitions (DDL)",
    ),
    "a trigger that stays off": (
        [NOTES + "ALTER TABLE public.orders DISABLE TRIGGER touched;\n"],
        "scrub scripts changed more than rows, which is not carried over: definitions (DDL)",
    ),
    "an error that is passed over": (
        ["\\set ON_ERROR_STOP off\nSELECT 1/0;\n" + NOTES],
        "scrub script stopped: 10.sql:2: division by zero",
    ),
    "a command that psql does not know": (
        [NOTES + "\\nonsense\n"],
        "scrub script stopped: 10.sql:2: invalid command \\nonsense",
    ),
    "a file that is not there": (
        [NOTES + "\\ir other.sql\n"],
        "scrub script stopped: 10.sql:2: there is no file other.sql: a script has the other *.sql files beside it, "
        "by \\ir, and no more",
    ),
    "a condition that is not closed": (
        ["\\if false\n" + NOTES],
        "scrub script stopped: 10.sql:2: psql cannot run it",
    ),
    "a text that is not closed": (
        [NOTES + "SELECT 'x;\n"],
        "scrub script stopped: 10.sql:2: unterminated quoted string at or near \"'x;\"",
    ),
    "a column that is left to scripts and that none changes": (
        ["SELECT 1;\n"],
        "proof failed, and nothing is released: original values survive: public.users.note in 180 of its own values.",
    ),
    "a script that leaves before its end": (
        ["\\q\n" + NOTES],
        "proof failed, and nothing is released: original values survive: public.users.note in 180 of its own values.",
    ),
    "a right that a scrubber has not": (
        ["COPY public.users TO '/tmp/users';\n"],
        "scrub script stopped: 10.sql:1: permission denied to COPY to a file",
    ),
    "a program": (
        ["COPY public.users TO PROGRAM 'cat';\n"],
        "scrub script stopped: 10.sql:1: permission denied to COPY to or from an external program",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("texts", "error"), STOPPED.values(), ids=STOPPED.keys())
def test_scripts_that_do_not_do_stop_the_run_with_their_reason(
    transform: Transform, scripts: Callable[..., None], texts: list[str], error: str
) -> None:
    scripts(*texts)
    run, clean = transform()
    assert (run.code, run.error[: len(error)]) == (65, error)
    assert clean.objects == {}
