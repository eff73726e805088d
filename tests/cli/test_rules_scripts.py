"""What scrub scripts do, told from their text: psql's language carried out, Postgres's grammar for the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl_cli.rules.psql_script import Statement, read_script
from etl_cli.rules.schema import Schema, Table
from etl_cli.rules.script_effects import ScriptEffects, read_effects

SCHEMA = Schema(
    17,
    functions={"public.tidy(integer)": "void", 'public."Mixed"()': "void"},
    tables={
        table.name: table
        for table in (
            Table("public.users"),
            Table('public."Order"'),
            Table("public.events", "partitioned"),
            Table("public.events_1", parents=("public.events",)),
        )
    },
)


def statements(path: Path, text: str) -> list[tuple[int, str]]:
    (path / "10.sql").write_text(text, encoding="utf-8")
    return [(statement.line, statement.text) for statement in read_script(path / "10.sql")]


def effects(path: Path, text: str) -> ScriptEffects:
    (path / "10.sql").write_text(text, encoding="utf-8")
    return read_effects(path, SCHEMA)


def test_a_statement_is_told_with_the_line_that_it_begins_at(tmp_path: Path) -> None:
    text = (
        "-- first;\n\\echo 'a; b'\nDELETE FROM a; /* ; /* ; */ */ UPDATE b\n  SET c = ';' ;\n\n\n"
        "SELECT $$ ; $$, $x$ $$;$x$"
    )
    assert statements(tmp_path, text) == [
        (3, "DELETE FROM a"),
        (3, "UPDATE b\n  SET c = ';'"),
        (7, "SELECT $$ ; $$, $x$ $$;$x$"),
    ]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("\\set n 5\nSELECT :n, ':n', :'n', :\"n\", a[1:2], b::n", "SELECT 5, ':n', '5', \"5\", a[1:2], b::n"),
        ("\\set leaves '{\"a\": \"it''s\"}'\nSELECT :'leaves'", "SELECT '{\"a\": \"it''s\"}'"),
        ("\\set a x y\nSELECT :'a'", "SELECT 'xy'"),
        ("\\set a 1\n\\unset a\nSELECT :a", "SELECT :a"),
        ("\\set a 1\n\\set b :a\nSELECT :b", "SELECT 1"),
        ("SELECT :unknown", "SELECT :unknown"),
        ("SELECT E'\\';', U&'x' \\g", "SELECT E'\\';', U&'x'"),
        ('SELECT "a;b" \\gset', 'SELECT "a;b"'),
        ("SELECT 1 -- it's;\n + 2", "SELECT 1 \n + 2"),
    ],
)
def test_variables_and_quotes_are_as_psql_has_them(tmp_path: Path, text: str, sent: str) -> None:
    assert [said for _, said in statements(tmp_path, text)] == [sent]


def test_an_included_file_is_read_in_its_place_with_what_is_set(tmp_path: Path) -> None:
    (tmp_path / "part.inc").write_text("UPDATE :table SET a = 1;\n")
    (tmp_path / "10.sql").write_text("\\set table users\n\\ir part.inc\n\\ir missing.inc\nSELECT 1;\n")
    assert read_script(tmp_path / "10.sql") == [
        Statement("UPDATE users SET a = 1", "part.inc", 1),
        Statement("SELECT 1", "10.sql", 4),
    ]


def test_a_file_that_includes_itself_ends(tmp_path: Path) -> None:
    assert len(statements(tmp_path, "SELECT 1;\n\\ir 10.sql\n")) == 51


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE public.users SET name = 'x'",
        "UPDATE users AS u SET (name, born) = (SELECT 'x', NULL) FROM other",
        "UPDATE ONLY public.users SET name[1] = 'x'",
        "WITH gone AS (UPDATE public.users SET name = '' RETURNING id) SELECT count(*) FROM gone",
        "MERGE INTO public.users u USING t ON t.id = u.id WHEN MATCHED THEN UPDATE SET name = t.name",
        "INSERT INTO public.users (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        "\\set t users\nUPDATE public.:\"t\" SET name = ''",
    ],
)
def test_a_statement_that_sets_a_column_is_seen(tmp_path: Path, text: str) -> None:
    found = effects(tmp_path, text)
    assert found.assigns(SCHEMA.tables["public.users"], "name")
    assert not found.assigns(SCHEMA.tables["public.users"], "email")
    assert not found.assigns(SCHEMA.tables['public."Order"'], "name")


def test_what_is_set_in_a_partitioned_table_is_set_in_its_partitions(tmp_path: Path) -> None:
    found = effects(tmp_path, "UPDATE public.events SET who = NULL; DELETE FROM events;")
    assert found.assigns(SCHEMA.tables["public.events_1"], "who")
    assert found.deletes_from(SCHEMA.tables["public.events_1"])
    found = effects(tmp_path, "UPDATE public.events_1 SET who = NULL")
    assert not found.assigns(SCHEMA.tables["public.events"], "who")


@pytest.mark.parametrize(
    "text", ["INSERT INTO public.users SELECT 1", "\\copy public.users from 'x.csv'", "COPY users FROM stdin"]
)
def test_inserted_rows_may_set_any_column(tmp_path: Path, text: str) -> None:
    found = effects(tmp_path, text)
    assert not found.assigns(SCHEMA.tables["public.users"], "name")
    assert found.may_assign(SCHEMA.tables["public.users"], "name")


@pytest.mark.parametrize(
    ("text", "unsure"),
    [
        ("SELECT 1;\nDO $$ BEGIN END $$", [("10.sql:2", "DO")]),
        ("CALL public.sweep()", [("10.sql:1", "CALL")]),
        ("SELECT public.tidy(id) FROM public.users", [("10.sql:1", "a call of tidy")]),
        ('SELECT "Mixed"()', [("10.sql:1", "a call of Mixed")]),
        ("SELECT 'UPDATE x' \\gexec", [("10.sql:1", "\\gexec")]),
        (
            "\\if :{?x}\nUPDATE public.users SET name = '';\n\\endif\n",
            [("10.sql:2", "a statement between \\if and \\endif")],
        ),
        ("UPDATE public.people SET name = ''", [("10.sql:1", "UPDATE of people")]),
        ("UPDATE public.users SET", [("10.sql:1", "a statement that does not parse")]),
        ("SELECT lower(name), scrub.email(name), count(*) FROM public.users", []),
    ],
)
def test_what_the_text_does_not_tell_is_told_with_its_place(
    tmp_path: Path, text: str, unsure: list[tuple[str, str]]
) -> None:
    found = effects(tmp_path, text)
    assert found.unsure == unsure
    assert not found.assigns(SCHEMA.tables["public.users"], "name")
