from __future__ import annotations

import psycopg
import pytest
from etl_runtime.postgres_errors import condition_text, error_text, tool_errors
from psycopg.pq import DiagnosticField

CANARY = "canary-4711@example.com"
HIDDEN = "an error whose text is not shown as it may quote a row"


def _error(sqlstate: str, message: str, **fields: str) -> psycopg.Error:
    """An error as a server sends it; `fields` are named as libpq names them."""
    info = {DiagnosticField.SQLSTATE: sqlstate.encode(), DiagnosticField.MESSAGE_PRIMARY: message.encode()}
    info |= {DiagnosticField[name]: value.encode() for name, value in fields.items()}
    kind = psycopg.errors.lookup(sqlstate)
    return kind(message, info=info)  # type: ignore[arg-type]


ROW_QUOTED = {
    "a value of another type": (
        f'pg_restore: error: COPY failed for table "users": ERROR:  invalid input syntax for type integer: "{CANARY}"\n'
        f'CONTEXT:  COPY users, line 1, column id: "{CANARY}"\n',
        f'table "users": {HIDDEN}',
    ),
    "a value that speaks of certificates": (
        "pg_restore: error: COPY failed for table \"users\": ERROR:  invalid input syntax for type integer: "
        f'"my birth certificate, {CANARY}"\n',
        f'table "users": {HIDDEN}',
    ),
    "a value that speaks of a violated constraint": (
        'pg_restore: error: could not execute query: ERROR:  invalid input syntax for type json: '
        f'"{CANARY} violates check constraint x"\n',
        HIDDEN,
    ),
    "a value that looks like an error": (
        'pg_restore: error: COPY failed for table "users": ERROR:  invalid input syntax for type integer: '
        f'"ERROR:  permission denied for {CANARY}"\n',
        f'table "users": {HIDDEN}',
    ),
    "a value of several lines": (
        'pg_restore: error: COPY failed for table "notes": ERROR:  invalid input syntax for type integer: "first\n'
        f"connection to server was lost by {CANARY}\n"
        f"permission denied for {CANARY}\n"
        f'relation "{CANARY}" does not exist"\n',
        f'table "notes": {HIDDEN}',
    ),
    "a row that breaks a check": (
        'pg_restore: error: COPY failed for table "users": '
        'ERROR:  new row for relation "users" violates check constraint "users_id_check"\n'
        f"DETAIL:  Failing row contains (1, {CANARY}).\nCONTEXT:  COPY users, line 1: \"1\t{CANARY}\"\n",
        'table "users": new row for relation "users" violates check constraint "users_id_check"',
    ),
    "a key that stands twice": (
        'pg_restore: error: could not execute query: ERROR:  could not create unique index "users_email_key"\n'
        f"DETAIL:  Key (email)=({CANARY}) is duplicated.\n"
        "Command was: ALTER TABLE ONLY public.users\n    ADD CONSTRAINT users_email_key UNIQUE (email);\n",
        'could not create unique index "users_email_key"',
    ),
    "a reference to nothing": (
        'pg_restore: error: could not execute query: ERROR:  insert or update on table "orders" '
        'violates foreign key constraint "orders_email_fkey"\n'
        f'DETAIL:  Key (email)=({CANARY}) is not present in table "users".\n',
        'insert or update on table "orders" violates foreign key constraint "orders_email_fkey"',
    ),
    "a value cast to a relation's name": (
        f'pg_restore: error: COPY failed for table "links": ERROR:  relation "{CANARY}" does not exist\n'
        f'CONTEXT:  COPY links, line 1, column target: "{CANARY}"\n',
        f'table "links": {HIDDEN}',
    ),
    "a value in a statement that a function made": (
        f'pg_restore: error: could not execute query: ERROR:  syntax error at or near "{CANARY}"\n'
        f"LINE 1: SELECT {CANARY}\n               ^\n"
        f"QUERY:  SELECT {CANARY}\nCONTEXT:  PL/pgSQL function public.f() line 3 at EXECUTE\n",
        HIDDEN,
    ),
    "what a function raises": (
        f"pg_restore: error: could not execute query: ERROR:  no such person: {CANARY}\n"
        "CONTEXT:  PL/pgSQL function public.f() line 3 at RAISE\n",
        HIDDEN,
    ),
    "a notice": (f"NOTICE:  permission denied for {CANARY}\n", HIDDEN),
    "a statement": (
        "pg_dump: error: Dumping the contents of table \"users\" failed: PQgetResult() failed.\n"
        f"pg_dump: detail: Error message from server: ERROR:  invalid byte sequence for encoding: {CANARY}\n"
        "pg_dump: detail: Command was: COPY public.users (id, email) TO stdout;\n",
        HIDDEN,
    ),
    "nothing at all": ("", HIDDEN),
}  # fmt: skip


@pytest.mark.parametrize(("stderr", "shown"), ROW_QUOTED.values(), ids=ROW_QUOTED.keys())
def test_a_tool_s_error_never_shows_a_value(stderr: str, shown: str) -> None:
    assert tool_errors(stderr) == shown
    assert CANARY not in shown


NAMES = {
    "a right that is missing": (
        "pg_dump: error: query failed: ERROR:  permission denied for table users\n"
        "pg_dump: detail: Query was: LOCK TABLE public.users IN ACCESS SHARE MODE\n",
        "permission denied for table users",
    ),
    "row security": (
        'pg_dump: error: query failed: ERROR:  query would be affected by row-level security policy for table "users"\n'
        "HINT:  To disable the policy for the table's owner, use ALTER TABLE NO FORCE ROW LEVEL SECURITY.\n",
        'query would be affected by row-level security policy for table "users"',
    ),
    "a lock": (
        "pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout\n"
        "pg_dump: detail: Query was: LOCK TABLE public.users IN ACCESS SHARE MODE\n",
        "canceling statement due to lock timeout",
    ),
    "a standby's conflict": (
        'pg_dump: error: Dumping the contents of table "users" failed: PQgetResult() failed.\n'
        "pg_dump: detail: Error message from server: ERROR:  canceling statement due to conflict with recovery\n"
        "pg_dump: detail: Command was: COPY public.users (id) TO stdout;\n",
        "canceling statement due to conflict with recovery",
    ),
    "a type that is missing": (
        'pg_restore: error: could not execute query: ERROR:  type "public.citext" does not exist\n'
        "LINE 2:     email public.citext\n                  ^\n"
        "Command was: CREATE TABLE public.users (\n    email public.citext\n);\n",
        'type "public.citext" does not exist',
    ),
    "an extension that is missing": (
        'pg_restore: error: could not execute query: ERROR:  extension "postgis" is not available\n'
        "HINT:  The extension must first be installed on the system where PostgreSQL is running.\n",
        'extension "postgis" is not available',
    ),
    "an extension that only a superuser may create": (
        'pg_restore: error: could not execute query: ERROR:  permission denied to create extension "file_fdw"\n'
        "HINT:  Must be superuser to create this extension.\n",
        'permission denied to create extension "file_fdw"',
    ),
    "a setting that an older server lacks": (
        "pg_restore: error: could not execute query: "
        'ERROR:  unrecognized configuration parameter "transaction_timeout"\n'
        "Command was: SET transaction_timeout = 0;\n",
        'unrecognized configuration parameter "transaction_timeout"',
    ),
    "a full disk": (
        'pg_restore: error: could not execute query: ERROR:  could not extend file "base/16384/2613": '
        "No space left on device\nHINT:  Check free disk space.\n",
        'could not extend file "base/16384/2613": No space left on device',
    ),
    "a full disk under initdb's server": (
        '2026-01-02 03:04:05.678 UTC [123] FATAL:  could not write to file "pg_wal/xlogtemp.123": '
        "No space left on device\nchild process exited with exit code 1\n",
        'could not write to file "pg_wal/xlogtemp.123": No space left on device',
    ),
    "a password": (
        'pg_dump: error: connection to server at "127.0.0.1", port 5432 failed: '
        'FATAL:  password authentication failed for user "etl_dump"\n',
        'password authentication failed for user "etl_dump"',
    ),
    "nobody there": (
        'pg_dump: error: connection to server at "127.0.0.1", port 1 failed: Connection refused\n'
        "\tIs the server running on that host and accepting TCP/IP connections?\n",
        'connection to server at "127.0.0.1", port 1 failed: Connection refused',
    ),
    "an archive of another version": (
        "pg_restore: error: unsupported version (1.16) in file header\n",
        "unsupported version (1.16) in file header",
    ),
    "several": (
        "pg_restore: error: could not execute query: ERROR:  permission denied for schema private\n"
        "Command was: …\n"
        "pg_restore: error: could not execute query: ERROR:  permission denied for schema private\n"
        'pg_restore: error: could not execute query: ERROR:  schema "archive" already exists\n',
        'permission denied for schema private; schema "archive" already exists',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("stderr", "shown"), NAMES.values(), ids=NAMES.keys())
def test_a_tool_s_error_shows_the_names_of_things(stderr: str, shown: str) -> None:
    assert tool_errors(stderr) == shown


VALUE_ERRORS = {
    "a value of another type": (
        _error("22P02", f'invalid input syntax for type integer: "{CANARY}"', CONTEXT="COPY x, line 1, column id"),
        "invalid text representation (22P02)",
    ),
    "a value that speaks of a certificate": (
        _error("22P02", f'invalid input syntax for type integer: "certificate of {CANARY}"'),
        "invalid text representation (22P02)",
    ),
    "a value that speaks of a constraint": (
        _error("22P02", f'invalid input syntax for type json: "{CANARY} violates check constraint"'),
        "invalid text representation (22P02)",
    ),
    "a value that speaks of a disk": (
        _error("22007", f'invalid input syntax for type date: "{CANARY}: No space left on device"'),
        "invalid datetime format (22007)",
    ),
    "a value out of range": (
        _error("22003", f'value "{CANARY}" is out of range for type integer'),
        "numeric value out of range (22003)",
    ),
    "a label that an enumeration lacks": (
        _error("22P02", f'invalid input value for enum mood: "{CANARY}"'),
        "invalid text representation (22P02)",
    ),
    "what a function raises": (
        _error("P0001", f"no such person: {CANARY}", SOURCE_FUNCTION="exec_stmt_raise"),
        "raise exception (P0001)",
    ),
    "what a function raises in the form of another error": (
        _error("42501", f"permission denied for {CANARY}", SOURCE_FUNCTION="exec_stmt_raise", CONTEXT="PL/pgSQL"),
        "insufficient privilege (42501)",
    ),
    "a statement that a function made": (
        _error(
            "42601", f'syntax error at or near "{CANARY}"',
            INTERNAL_POSITION="8", INTERNAL_QUERY=f"SELECT {CANARY}", CONTEXT="PL/pgSQL function f() line 3 at EXECUTE",
        ),
        "syntax error (42601)",
    ),
    "a relation that a value names": (
        _error("42P01", f'relation "{CANARY}" does not exist'),
        "undefined table (42P01)",
    ),
    "a role that a value names": (_error("42704", f'role "{CANARY}" does not exist'), "undefined object (42704)"),
    "a schema that a value names": (
        _error("3F000", f'schema "{CANARY}" does not exist'),
        "invalid schema name (3F000)",
    ),
    "a setting that a value names": (
        _error("42704", f'unrecognized configuration parameter "{CANARY}"'),
        "undefined object (42704)",
    ),
    "a key that stands twice": (
        _error(
            "23505", 'duplicate key value violates unique constraint "users_email_key"',
            MESSAGE_DETAIL=f"Key (email)=({CANARY}) already exists.", TABLE_NAME="users", SCHEMA_NAME="public",
        ),
        'duplicate key value violates unique constraint "users_email_key"',
    ),
    "a row that breaks a check": (
        _error(
            "23514", 'new row for relation "released_7" violates check constraint "users_id_check"',
            MESSAGE_DETAIL=f"Failing row contains ({CANARY}).", CONTEXT=f'COPY released_7, line 1: "{CANARY}"',
        ),
        'new row for relation "released_7" violates check constraint "users_id_check"',
    ),
    "a value that is too long": (
        _error(
            "22001", "value too long for type character varying(5)", CONTEXT=f'COPY x, line 1, column code: "{CANARY}"'
        ),
        "value too long for type character varying(5)",
    ),
    "a value that a domain refuses": (
        _error(
            "22P02", f'"{CANARY}" is no email', SCHEMA_NAME="public", TABLE_NAME="users", COLUMN_NAME="email"
        ),
        "invalid text representation (22P02) in public.users.email",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("error", "shown"), VALUE_ERRORS.values(), ids=VALUE_ERRORS.keys())
def test_a_server_s_error_never_shows_a_value(error: psycopg.Error, shown: str) -> None:
    assert error_text(error) == shown
    assert CANARY not in shown


STATEMENT_ERRORS = {
    "a function that there is not": _error(
        "42883", "function scrub.emial(text) does not exist", STATEMENT_POSITION="10", MESSAGE_HINT="No function …"
    ),
    "a column that there is not": _error("42703", 'column "emial" does not exist', STATEMENT_POSITION="8"),
    "a slip": _error("42601", 'syntax error at or near ")"', STATEMENT_POSITION="8"),
    "another type": _error(
        "42804", 'column "id" is of type integer but expression is of type text', STATEMENT_POSITION="8"
    ),
    "a right": _error("42501", "permission denied for table users"),
    "a lock": _error("55P03", "canceling statement due to lock timeout"),
    "a null": _error("23502", 'null value in column "email" of relation "users" violates not-null constraint'),
    "a full disk": _error("53100", 'could not extend file "base/1/2": No space left on device'),
}


@pytest.mark.parametrize("error", STATEMENT_ERRORS.values(), ids=STATEMENT_ERRORS.keys())
def test_a_server_s_error_is_shown_where_it_names_things_alone(error: psycopg.Error) -> None:
    assert error_text(error) == error.diag.message_primary


def test_of_a_message_of_several_lines_the_first_alone_is_shown() -> None:
    assert error_text(_error("42601", "syntax error at\nor near", STATEMENT_POSITION="1")) == "syntax error (42601)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            'connection failed: connection to server at "127.0.0.1", port 1 failed: Connection refused\n\tIs the …',
            'connection to server at "127.0.0.1", port 1 failed: Connection refused',
        ),
        (
            'connection failed: connection to server at "127.0.0.1", port 5432 failed: '
            'FATAL:  database "nothing" does not exist',
            'database "nothing" does not exist',
        ),
        (
            "server closed the connection unexpectedly\n\tThis probably means …",
            "server closed the connection unexpectedly",
        ),
        ("", "a connection error (OperationalError)"),
    ],
)
def test_a_connection_s_error_is_shown_by_its_first_line(text: str, shown: str) -> None:
    assert error_text(psycopg.OperationalError(text)) == shown


def test_what_the_driver_says_of_a_value_is_not_shown() -> None:
    assert error_text(psycopg.DataError(f"cannot parse {CANARY}")) == "a connection error (DataError)"


def test_a_condition_is_told_by_name_and_code() -> None:
    assert condition_text("22P02") == "invalid text representation (22P02)"
    assert condition_text("XX999") == "SQLSTATE XX999"
