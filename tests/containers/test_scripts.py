from __future__ import annotations

from pathlib import Path

import pytest
from etl_runtime.scripts import script_error, script_files

CANARY = "canary-4711@example.com"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "10_users.sql"
    path.write_text("UPDATE users SET email = 'x';\n")
    return path


def _said(script: Path, line: int, *lines: str) -> str:
    return "\n".join([f"psql:{script}:{line}: {lines[0]}", *lines[1:]]) + "\n"


SHOWN = {
    "a table that there is not": (
        [
            'ERROR:  42P01: relation "userz" does not exist',
            "LINE 1: UPDATE userz SET email = 'x';",
            "               ^",
            "LOCATION:  parserOpenTable, parse_relation.c:1449",
        ],
        'relation "userz" does not exist',
    ),
    "a slip": (
        [
            'ERROR:  42601: syntax error at or near "FORM"',
            "LINE 1: DELETE FORM users;",
            "               ^",
            "LOCATION:  scanner_yyerror, scan.l:1240",
        ],
        'syntax error at or near "FORM"',
    ),
    "a right": (
        ["ERROR:  42501: permission denied for function pg_read_file", "LOCATION:  aclcheck_error, aclchk.c:2843"],
        "permission denied for function pg_read_file",
    ),
    "a key that stands twice": (
        [
            'ERROR:  23505: duplicate key value violates unique constraint "users_email_key"',
            f"DETAIL:  Key (email)=({CANARY}) already exists.",
            "SCHEMA NAME:  public",
            "TABLE NAME:  users",
            "CONSTRAINT NAME:  users_email_key",
            "LOCATION:  _bt_check_unique, nbtinsert.c:666",
        ],
        'duplicate key value violates unique constraint "users_email_key"',
    ),
    "a value of another type": (
        [
            f'ERROR:  22P02: invalid input syntax for type integer: "{CANARY}"',
            "LOCATION:  pg_strtoint32_safe, numutils.c:617",
        ],
        "invalid text representation (22P02)",
    ),
    "a value of several lines": (
        [
            'ERROR:  22P02: invalid input syntax for type integer: "one',
            f'psql:/x:1: ERROR:  42501: permission denied for {CANARY}"',
            "LOCATION:  pg_strtoint32_safe, numutils.c:617",
        ],
        "invalid text representation (22P02)",
    ),
    "a value that a domain refuses, with its place": (
        [
            f'ERROR:  22P02: "{CANARY}" is no email',
            "SCHEMA NAME:  public",
            "TABLE NAME:  users",
            "COLUMN NAME:  email",
            "LOCATION:  x, y.c:1",
        ],
        "invalid text representation (22P02) at public.users.email",
    ),
    "what a function raises": (
        [
            f"ERROR:  P0001: no such person: {CANARY}",
            "CONTEXT:  PL/pgSQL function inline_code_block line 1 at RAISE",
            "LOCATION:  exec_stmt_raise, pl_exec.c:3923",
        ],
        "raise exception (P0001)",
    ),
    "what a function raises in the form of another error": (
        [
            f"ERROR:  42501: permission denied for {CANARY}",
            "CONTEXT:  PL/pgSQL function inline_code_block line 1 at RAISE",
            "LOCATION:  exec_stmt_raise, pl_exec.c:3923",
        ],
        "insufficient privilege (42501)",
    ),
    "a statement that a function made": (
        [
            f'ERROR:  42601: syntax error at or near "{CANARY}"',
            f"LINE 1: SELECT {CANARY}",
            "               ^",
            f"QUERY:  SELECT {CANARY}",
            "CONTEXT:  PL/pgSQL function inline_code_block line 3 at EXECUTE",
            "LOCATION:  scanner_yyerror, scan.l:1240",
        ],
        "syntax error (42601)",
    ),
    "a relation that a value names": (
        [f'ERROR:  42P01: relation "{CANARY}" does not exist', "LOCATION:  RangeVarGetRelidExtended, namespace.c:434"],
        "undefined table (42P01)",
    ),
    "psql's own words": ([r"error: invalid command \nonsense"], "psql cannot run it"),
    "no code": ([f"ERROR:  something about {CANARY}"], "psql cannot run it"),
}


@pytest.mark.parametrize(("lines", "shown"), SHOWN.values(), ids=SHOWN.keys())
def test_a_script_s_error_is_told_by_file_and_line_and_never_with_a_value(
    script: Path, lines: list[str], shown: str
) -> None:
    assert script_error(_said(script, 7, *lines), [script]) == f"10_users.sql:7: {shown}"


@pytest.mark.parametrize("command", [r"\gexec", r"\gset"])
def test_an_error_of_a_statement_that_rows_made_does_not_show_it(script: Path, command: str) -> None:
    r"""`\gexec` runs the rows of a query as statements, `\gset` puts them into later ones."""
    script.write_text(f"SELECT email FROM users {command}\n")
    said = _said(script, 1, f'ERROR:  42601: syntax error at or near "{CANARY}"', f"LINE 1: {CANARY}", "        ^")
    assert script_error(said, [script]) == "10_users.sql:1: syntax error (42601)"


OWN_WORDS = {
    r"\i other.sql": (
        "other.sql: No such file or directory",
        r"there is no file other.sql: a script has the other *.sql files beside it, by \ir, and no more",
    ),
    r"\ir sub/other.sql": (
        "{directory}/sub/other.sql: No such file or directory",
        r"there is no file sub/other.sql: a script has the other *.sql files beside it, by \ir, and no more",
    ),
    r"\nonsense": (r"invalid command \nonsense", r"invalid command \nonsense"),
    r"\i :name": (f"{CANARY}: No such file or directory", "psql cannot run it"),
    r"\connect :name": (f"\\connect: invalid port number: {CANARY}", "psql cannot run it"),
}


@pytest.mark.parametrize(("line", "words"), OWN_WORDS.items())
def test_psql_s_own_words_name_what_the_line_itself_says(script: Path, line: str, words: tuple[str, str]) -> None:
    told, shown = words
    script.write_text(f"SELECT 1;\n{line}\n")
    said = _said(script, 2, f"error: {told.format(directory=script.parent)}")
    assert script_error(said, [script]) == f"10_users.sql:2: {shown}"


def test_a_script_that_commits_is_told_as_such(script: Path) -> None:
    said = _said(Path("/x/last"), 12, "ERROR:  2D000: invalid transaction termination", "LOCATION:  x, y.c:1")
    assert script_error(said, [script]) == (
        "a script ends the transaction (COMMIT or ROLLBACK); all scripts run in one"
    )


def test_the_first_error_is_the_one_that_is_told(script: Path) -> None:
    said = (
        f"psql:{script}:1: NOTICE:  00000: {CANARY}\nLOCATION:  exec_stmt_raise, pl_exec.c:3923\n"
        f"psql:{script}:2: WARNING:  01000: {CANARY}\n"
        + _said(script, 3, 'ERROR:  42601: syntax error at or near "FORM"', "LINE 1: DELETE FORM users;", "       ^")
        + _said(Path("/x/last"), 9, "ERROR:  25P02: current transaction is aborted")
    )
    assert script_error(said, [script]) == '10_users.sql:3: syntax error at or near "FORM"'


@pytest.mark.parametrize("said", ["", f"{CANARY}\n", f"psql: {CANARY}\n"])
def test_what_has_no_place_is_not_shown(script: Path, said: str) -> None:
    assert script_error(said, [script]) == "psql gave no place; its text is not shown as it may quote a row"


def test_scripts_run_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("20.sql", "10.sql", "columns.yaml", "10_b.sql", "README.md"):
        (tmp_path / name).touch()
    assert [path.name for path in script_files(tmp_path)] == ["10.sql", "10_b.sql", "20.sql"]
