"""The sample's own rules, `scrub/`: they name all that the marketplace has, and leave no person in it."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg
import pytest
import yaml
from etl_runtime.scrub_functions import install
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from etl_local.sample.marketplace import generate
from tests.sample.conftest import KEY, RULES, SCALE, Connection, Server, connect

pytestmark = pytest.mark.end_to_end

Rule = dict[str, Any] | str
PERSON = re.compile(
    r"\b(?:Ada|Ben|Cara|Dev|Ella|Femi|Gwen|Hugo|Ines|Joel|Kofi|Lena|Musa|Nina|Omar|Priya|Quentin|Ruth|Seth|Tara|Uma|Vera"
    r"|Will|Xenia|Yusuf|Zoe|Anouk|Bilal|Chloe|Dylan|Esme|Farah)\b"
)


def rules() -> dict[str, Any]:
    return yaml.safe_load((RULES / "columns.yaml").read_text(encoding="utf-8"))


def rule_of(table: str) -> Rule | None:
    """A table's rule, as the format's own description has it: its very name, else the one glob that it matches."""
    tables = rules()["tables"]
    globs = [pattern for pattern in tables if "*" in pattern and fnmatch.fnmatchcase(table, pattern)]
    assert len(globs) <= 1
    return tables.get(table) or (tables[globs[0]] if globs else None)


def columns(connection: Connection) -> dict[str, dict[str, str]]:
    """Table, quoted as in SQL → its columns that are not generated, and their types."""
    return {
        str(table): types
        for table, types in connection.execute(
            "SELECT format('%I.%I', n.nspname, c.relname),"
            " json_object_agg(a.attname, format_type(a.atttypid, NULL) ORDER BY a.attnum)"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relkind = 'r' AND n.nspname IN ('public', 'reporting') AND a.attnum > 0 AND NOT a.attisdropped"
            " AND a.attgenerated = '' GROUP BY 1"
        ).fetchall()
    }


def expression_of(rule: Any, column: str, type_name: str) -> str:
    """What SELECT gives for a column."""
    if isinstance(rule, dict) and "json" in rule:
        functions = {path: r if isinstance(r, str) else r["function"] for path, r in rule["json"].items()}
        name = {"jsonb": "scrub.json", "json": "scrub.json_text"}[type_name]
        return f"{name}({column}, '{json.dumps(functions)}')"
    word = rule["expression"] if isinstance(rule, dict) else rule
    return '"' + column.replace('"', '""') + '"' if word in ("keep", "scripted") else word


def cleaned_select(table: str, types: Mapping[str, str]) -> str | None:
    """The query whose rows are the table's cleaned ones; None where the rules take or leave the whole table."""
    rule = rule_of(table)
    if not isinstance(rule, dict) or "columns" not in rule:
        return None
    listed = ", ".join(f"({expression_of(rule['columns'][name], name, type_)})" for name, type_ in types.items())
    where = f" WHERE {rule['where']}" if "where" in rule else ""
    return f"SELECT {listed} FROM ONLY {table}{where}"


@pytest.fixture(scope="module")
def scripted(server: Server, once: Callable[..., Any]) -> tuple[str, subprocess.CompletedProcess[str]]:
    """A marketplace on which the scripts have run, as a transform runs them, and how that ended."""
    return once(_scripted, server)


def _scripted(server: Server) -> tuple[str, subprocess.CompletedProcess[str]]:
    dsn = server.new_database("scripted")
    generate(dsn, SCALE)
    with psycopg.connect(dsn, autocommit=True) as connection:
        install(connection, KEY)
    parts = {key: str(word) for key, word in conninfo_to_dict(dsn).items()}
    scripts = sorted(RULES.glob("*.sql"))
    assert len(scripts) == 3
    ended = subprocess.run(
        [server.programs / "psql", "-X", "-1", "-v", "ON_ERROR_STOP=1", *(f"--file={path}" for path in scripts)],
        env={
            "PGHOST": parts["host"],
            "PGPORT": parts["port"],
            "PGUSER": parts["user"],
            "PGPASSWORD": parts["password"],
            "PGDATABASE": parts["dbname"],
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return dsn, ended


@pytest.fixture
def cleaned(scripted: tuple[str, subprocess.CompletedProcess[str]]) -> Iterator[Connection]:
    with connect(scripted[0]) as connection:
        yield connection


def test_every_table_and_column_is_classified_and_nothing_else(marketplace: tuple[str, Any]) -> None:
    with psycopg.connect(marketplace[0]) as connection:
        found = columns(connection)
        relations = {
            str(name)
            for (name,) in connection.execute(
                "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n"
                " ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'reporting')"
            ).fetchall()
        }
    for table, names in found.items():
        rule = rule_of(table)
        assert rule is not None, f"{table} is not classified"
        if isinstance(rule, dict) and "columns" in rule:
            assert list(rule["columns"]) == list(names), table
        else:
            assert rule == "truncate" or set(rule) == {"keep", "reason"}, table
    for pattern in rules()["tables"]:
        assert pattern in relations or fnmatch.filter(relations, pattern), pattern


def test_every_hiding_place_is_decided_and_what_is_kept_of_value_says_why() -> None:
    places = rules()["elsewhere"]
    assert set(places) == {
        "large_objects",
        "comments",
        "defaults",
        "enum_labels",
        "check_expressions",
        "function_bodies",
        "materialized_views",
        "foreign_servers",
        "sequences",
    }
    assert places["large_objects"]["decision"] == "keep"
    assert all(isinstance(place, str) or place["reason"] for place in places.values())
    for table in rules()["tables"].values():
        for rule in table["columns"].values() if isinstance(table, dict) and "columns" in table else ():
            for said in rule.get("json", {}).values() if isinstance(rule, dict) and "json" in rule else [rule]:
                assert not isinstance(said, dict) or said["reason"]


def test_the_scripts_say_what_they_do_and_run_in_one_transaction(
    scripted: tuple[str, subprocess.CompletedProcess[str]],
) -> None:
    _, ended = scripted
    assert (ended.returncode, ended.stderr) == (0, "")
    steps = [line for line in ended.stdout.splitlines() if not re.match(r"(?:DELETE|UPDATE) [1-9]\d*$", line)]
    assert steps == [
        "Delete draft briefs",
        "Replace responders' names in the evidence",
        "Give orders the pseudonyms of their buyers",
        "Delete people who never logged in",
    ]
    assert len(ended.stdout.splitlines()) == 8
    for script in RULES.glob("*.sql"):
        assert re.match(r"-- .+\n(?:--.*\n)+", script.read_text()), f"{script.name} has no header"
        assert "Limits:" in script.read_text()


def test_drafts_and_all_that_hung_on_them_are_gone(cleaned: Connection) -> None:
    assert cleaned.execute("SELECT count(*) FROM public.briefs WHERE status = 'draft'").fetchone() == (0,)
    for table in ("brief_users", "brief_responses", "brief_clarification_questions"):
        row = cleaned.execute(
            sql.SQL("SELECT count(*) FROM public.{} WHERE brief_id NOT IN (SELECT id FROM public.briefs)").format(
                sql.Identifier(table)
            )
        ).fetchone()
        assert row == (0,)


def test_people_who_never_came_are_gone_and_others_are_not(cleaned: Connection, marketplace: tuple[str, Any]) -> None:
    with psycopg.connect(marketplace[0]) as connection:
        before = connection.execute(
            "SELECT u.id FROM public.users u"
            " WHERE u.logged_in_at IS NOT NULL OR u.created_at >= '2025-01-01 00:00:00+00'"
            ' OR EXISTS (SELECT FROM public."Order" o WHERE o."user" = u.id) ORDER BY 1'
        ).fetchall()
        everyone = connection.execute("SELECT count(*) FROM public.users").fetchone()
    assert cleaned.execute("SELECT id FROM public.users ORDER BY 1").fetchall() == before
    assert everyone is not None
    assert len(before) < everyone[0]


def test_scripted_columns_agree_with_the_pseudonyms_of_the_rows_they_speak_of(cleaned: Connection) -> None:
    row = cleaned.execute(
        'SELECT count(*), count(*) FILTER (WHERE o."Buyer Name" = scrub.person_name(u.name))'
        ' FROM public."Order" o JOIN public.users u ON u.id = o."user"'
    ).fetchone()
    assert row is not None
    assert row[0] == row[1] > 100
    row = cleaned.execute(
        "SELECT count(*), count(*) FILTER (WHERE r.data->>'respondToEmailAddress' = scrub.email(u.email_address)"
        " AND strpos(r.data->>'essentialRequirements', scrub.person_name(u.name)) > 0)"
        " FROM public.brief_responses r JOIN public.users u ON u.id = r.responder_id"
    ).fetchone()
    assert row is not None
    assert row[0] == row[1] > 100


def test_no_person_is_left_in_what_would_be_released(cleaned: Connection) -> None:
    released: dict[str, str] = {}
    for table, names in columns(cleaned).items():
        if rule_of(table) == "truncate":
            continue
        query = cleaned_select(table, names) or f"SELECT * FROM ONLY {table}"
        with cleaned.cursor().copy(f"COPY ({query}) TO STDOUT".encode()) as copy:
            released[table] = b"".join(bytes(block) for block in copy).decode()
    assert sum(map(len, released.values())) > 4_000_000
    for table, text in released.items():
        assert set(re.findall(r"@([\w.-]+\w)", text)) <= {"example.com"}, table
        assert PERSON.search(text) is None, table
        assert not re.search(r"\bQQ\d|\b10\.\d+\.\d+\.\d+|Sample Street|Specimen Road|pbkdf2", text), table


def test_pseudonyms_keep_the_foreign_key_on_addresses_and_the_search_index_true(cleaned: Connection) -> None:
    table = rules()["tables"]["public.users"]["columns"]
    subscribed = rules()["tables"]["public.newsletter_subscriptions"]["columns"]
    row = cleaned.execute(
        f"WITH u AS MATERIALIZED (SELECT ({table['name']}) AS name, ({table['email_address']}) AS email,"
        f" ({table['search']}) AS search FROM public.users),"
        f" s AS MATERIALIZED (SELECT ({subscribed['email_address']}) AS email FROM public.newsletter_subscriptions)"
        " SELECT (SELECT count(*) FROM s) > 100,"
        " (SELECT count(*) FROM s WHERE NOT EXISTS (SELECT FROM u WHERE u.email = s.email)),"
        " (SELECT count(*) FROM u WHERE search IS DISTINCT FROM public.user_search(name, email)),"
        " (SELECT count(*) - count(DISTINCT email) FROM u)".encode()
    ).fetchone()
    assert row == (True, 0, 0, 0)


def test_the_same_person_has_one_pseudonym_in_columns_and_in_documents(cleaned: Connection) -> None:
    audit = expression_of(rules()["tables"]["public.audit_events"]["columns"]["data"], "data", "jsonb")
    row = cleaned.execute(
        "SELECT count(*), count(*) FILTER (WHERE cleaned->'from'->>'emailAddress' = scrub.email(u.email_address)"
        " AND cleaned->'from'->>'contactName' = scrub.person_name(u.name))"
        f" FROM (SELECT data, ({audit}) AS cleaned FROM public.audit_events WHERE type = 'contact_update') a"
        " JOIN public.users u ON u.email_address = a.data->'from'->>'emailAddress'".encode()
    ).fetchone()
    assert row is not None
    assert row[0] == row[1] > 100
