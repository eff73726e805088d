from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from etl_runtime.classification import classify, dropped_descriptions
from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.rules import Rules
from etl_runtime.rules_document import read_rules
from etl_runtime.toc import Toc, read_toc

from tests.containers.archive_bytes import ENCODING, Entry, table, toc_bytes

USERS = table(
    1,
    "users",
    """id integer NOT NULL
    email character varying(80) NOT NULL
    born date DEFAULT '1970-01-01'::date
    tags text[]
    price numeric(10,2) GENERATED ALWAYS AS ((1)::numeric) STORED
    code text COLLATE pg_catalog."C"
    CONSTRAINT users_check CHECK ((id > 0))""",
)
ORDERS = table(2, "orders", "id integer\nnote text")
KEEP_PLACES = "elsewhere: {defaults: keep, check_expressions: keep}\n"
GOOD = (
    "version: 1\ntables:\n"
    "  public.users:\n"
    "    columns: {id: keep, email: scrub.email(email), born: keep, tags: keep, price: keep, code: scripted}\n"
    "  public.orders: {columns: {id: keep, note: 'NULL'}, where: id > 5}\n"
) + KEEP_PLACES

RulesOf = Callable[[str], Rules]


@pytest.fixture
def rules_of(tmp_path: Path) -> RulesOf:
    def read(text: str) -> Rules:
        (tmp_path / "columns.yaml").write_text(text, encoding="utf-8")
        return read_rules(tmp_path)

    return read


def _toc(*entries: Entry) -> Toc:
    return read_toc(toc_bytes([ENCODING, *entries]))


def _message(toc: Toc, rules: Rules) -> str:
    with pytest.raises(Fault) as stopped:
        classify(toc, rules)
    assert stopped.value.code == ExitCode.CONFIG
    return stopped.value.message


def test_every_table_gets_the_rule_of_its_name_and_every_column_its_own(rules_of: RulesOf) -> None:
    users, orders = classify(_toc(*USERS, *ORDERS), rules_of(GOOD))
    assert (users.name, users.sql_name, users.empties, users.rewrites) == (
        "public.users", '"public"."users"', False, True,
    )  # fmt: skip
    assert [(name, rule.kind, rule.line) for name, rule in users.columns] == [
        ("id", "keep", 4),
        ("email", "expression", 4),
        ("born", "keep", 4),
        ("tags", "keep", 4),
        ("price", "keep", 4),
        ("code", "scripted", 4),
    ]
    assert [name for name, _ in users.scrubbed] == ["email", "code"]
    assert (orders.rule.where, orders.rewrites) == ("id > 5", True)


@pytest.mark.parametrize(
    ("rule", "empties", "rewrites"),
    [
        ("truncate", True, True),
        ("skip", True, True),
        ("{keep: all, reason: x}", False, False),
        ("{columns: {id: keep, note: keep}}", False, False),
        ("{columns: {id: keep, note: scripted}}", False, False),
        ("{columns: {id: keep, note: keep}, where: id > 1}", False, True),
        ("{columns: {id: keep, note: 'NULL'}}", False, True),
    ],
)
def test_a_rule_says_whether_a_table_is_emptied_or_written_anew(
    rules_of: RulesOf, rule: str, empties: bool, rewrites: bool
) -> None:
    (orders,) = classify(_toc(*ORDERS), rules_of(f"version: 1\ntables:\n  public.orders: {rule}\n"))
    assert (orders.empties, orders.rewrites) == (empties, rewrites)


DOCUMENTS = table(3, "documents", "a jsonb NOT NULL\nb json DEFAULT '{}'::json\nc text")


def test_json_paths_become_the_expression_of_the_column_s_type(rules_of: RulesOf) -> None:
    rules = rules_of(
        "version: 1\ntables:\n"
        "  public.documents: {columns: {a: {json: {$.x: email}}, b: {json: {$.y: text}}, c: keep}}\n"
        "elsewhere: {defaults: keep}\n"
    )
    (documents,) = classify(_toc(*DOCUMENTS), rules)
    assert [(name, rule.kind, rule.expression) for name, rule in documents.scrubbed] == [
        ("a", "json", """scrub.json("a", '{"$.x": "email"}')"""),
        ("b", "json", """scrub.json_text("b", '{"$.y": "text"}')"""),
    ]
    assert documents.rewrites


def test_json_paths_of_a_domain_are_those_of_the_type_that_it_stands_on(rules_of: RulesOf) -> None:
    domains = [
        Entry(dump_id=number, tag=tag, description="DOMAIN", schema="public", definition=f"CREATE DOMAIN {text};\n")
        for number, tag, text in (
            (8, "document", "public.document AS jsonb\n\tCONSTRAINT c CHECK (true)"),
            (9, "A b", 'public."A b" AS public.document NOT NULL'),
            (10, "mail", 'public.mail AS text COLLATE pg_catalog."C"'),
        )
    ]
    toc = _toc(*domains, *table(3, "documents", 'a public."A b" NOT NULL\nb public.mail'))
    rule = "{json: {$.x: email}}"
    text = f"version: 1\ntables:\n  public.documents: {{columns: {{a: {rule}, b: keep}}}}\n{KEEP_PLACES}"
    (documents,) = classify(toc, rules_of(text))
    assert dict(documents.columns)["a"].expression == """scrub.json("a", '{"$.x": "email"}')"""
    assert _message(toc, rules_of(text.replace("b: keep", f"b: {rule}"))) == (
        "columns.yaml:3: public.documents.b: json: is for the types json and jsonb, not for text"
    )


def test_json_paths_of_a_column_of_another_type_stop_the_run(rules_of: RulesOf) -> None:
    rules = rules_of(
        "version: 1\ntables:\n  public.documents:\n    columns:\n      a: keep\n      b: keep\n"
        "      c: {json: {$.x: email}}\nelsewhere: {defaults: keep}\n"
    )
    assert _message(_toc(*DOCUMENTS), rules) == (
        "columns.yaml:7: public.documents.c: json: is for the types json and jsonb, not for text"
    )


def test_a_table_without_a_rule_stops_the_run(rules_of: RulesOf) -> None:
    rules = rules_of("version: 1\ntables:\n  public.orders: truncate\n" + KEEP_PLACES)
    assert _message(_toc(*USERS, *ORDERS), rules) == "table public.users is not classified in columns.yaml"


def test_a_column_without_a_rule_stops_the_run_and_is_named_with_its_type(rules_of: RulesOf) -> None:
    rules = rules_of("version: 1\ntables:\n  public.users: {columns: {id: keep}}\n" + KEEP_PLACES)
    assert _message(_toc(*USERS), rules) == "; ".join(
        f"column public.users.{column} is not classified in columns.yaml:3"
        for column in (
            "email (character varying(80))",
            "born (date)",
            "tags (text[])",
            "price (numeric(10,2))",
            "code (text)",
        )
    )


def test_a_default_that_quotes_somebody_is_not_told_with_a_type(rules_of: RulesOf) -> None:
    entries = table(1, "users", "contact text DEFAULT 'ada@example.com'::text NOT NULL")
    rules = rules_of("version: 1\ntables:\n  public.users: {columns: {}}\n" + KEEP_PLACES)
    assert _message(_toc(*entries), rules) == "column public.users.contact (text) is not classified in columns.yaml:3"


def test_a_quoted_column_is_named_with_its_type(rules_of: RulesOf) -> None:
    definition, rows = table(1, "users", '"E Mail" text')
    rows = Entry(**{**vars(rows), "copy_statement": 'COPY public.users ("E Mail") FROM stdin;\n'})
    rules = rules_of("version: 1\ntables:\n  public.users: {columns: {}}\n")
    assert _message(_toc(definition, rows), rules) == (
        "column public.users.E Mail (text) is not classified in columns.yaml:3"
    )


def test_a_rule_for_what_is_not_in_the_dump_stops_the_run(rules_of: RulesOf) -> None:
    rules = rules_of(
        "version: 1\ntables:\n  public.orders:\n    columns:\n      id: keep\n      note: keep\n      gone: keep\n"
        "  public.gone: truncate\n  archive.*: truncate\n"
    )
    assert _message(_toc(*ORDERS), rules) == (
        "columns.yaml:7: public.orders has no column gone; columns.yaml:8: the dump has no table public.gone; "
        "columns.yaml:9: the dump has no table archive.*"
    )


def test_a_rule_for_a_table_of_which_a_dump_has_no_rows_is_no_fault(rules_of: RulesOf) -> None:
    parent = Entry(
        dump_id=9, tag="events", definition="CREATE TABLE public.events (\n    id integer\n)\nPARTITION BY …"
    )
    rules = rules_of("version: 1\ntables:\n  public.events: truncate\n  public.orders: truncate\n")
    assert [t.name for t in classify(_toc(parent, *ORDERS), rules)] == ["public.orders"]


def test_a_family_s_rule_covers_each_of_its_tables(rules_of: RulesOf) -> None:
    first, second = table(1, "events_2025", "id integer"), table(2, "events_2026", "id integer\nmail text")
    rules = rules_of("version: 1\ntables:\n  public.events_*: {columns: {id: keep}}\n")
    assert [t.rule.line for t in classify(_toc(*first), rules)] == [3]
    assert _message(_toc(*first, *second), rules) == (
        "column public.events_2026.mail (text) is not classified in columns.yaml:3"
    )


def test_many_faults_are_told_by_the_first_twelve(rules_of: RulesOf) -> None:
    entries = [entry for n in range(20) for entry in table(n + 1, f"t{n}", "id integer")]
    message = _message(_toc(*entries), rules_of("version: 1\n"))
    assert message.count("is not classified") == 12
    assert message.endswith("; and 8 more")


HIDING_PLACES = {
    ("large_objects", "BLOB"): "2 large objects in the dump, such as thing in public",
    ("large_objects", "BLOBS"): "2 groups of large objects in the dump, such as thing in public",
    ("large_objects", "BLOB METADATA"): "2 groups of large objects in the dump, such as thing in public",
    ("comments", "COMMENT"): "2 comments in the dump, such as thing in public",
    ("defaults", "DEFAULT"): "2 defaults in the dump, such as thing in public",
    ("check_expressions", "CHECK CONSTRAINT"): "2 check constraints in the dump, such as thing in public",
    ("check_expressions", "DOMAIN"): "2 domains in the dump, such as public.thing",
    ("check_expressions", "POLICY"): "2 policies in the dump, such as thing in public",
    ("function_bodies", "FUNCTION"): "2 functions in the dump, such as thing in public",
    ("function_bodies", "PROCEDURE"): "2 procedures in the dump, such as thing in public",
    ("function_bodies", "AGGREGATE"): "2 aggregates in the dump, such as thing in public",
    ("function_bodies", "TRIGGER"): "2 triggers in the dump, such as thing in public",
    ("function_bodies", "EVENT TRIGGER"): "2 event triggers in the dump, such as thing in public",
    ("function_bodies", "RULE"): "2 rules in the dump, such as thing in public",
    ("function_bodies", "VIEW"): "2 views in the dump, such as public.thing",
    ("function_bodies", "PROCEDURAL LANGUAGE"): "2 procedural languages in the dump, such as thing in public",
    ("materialized_views", "MATERIALIZED VIEW"): "2 materialized views in the dump, such as public.thing",
    ("materialized_views", "MATERIALIZED VIEW DATA"): "2 materialized views in the dump, such as public.thing",
    ("foreign_servers", "SERVER"): "2 servers in the dump, such as thing in public",
    ("foreign_servers", "FOREIGN DATA WRAPPER"): "2 foreign data wrappers in the dump, such as thing in public",
    ("sequences", "SEQUENCE SET"): "2 sequences in the dump, such as public.thing",
}


@pytest.mark.parametrize(("where", "told"), HIDING_PLACES.items())
def test_a_place_where_data_can_hide_needs_a_decision(rules_of: RulesOf, where: tuple[str, str], told: str) -> None:
    place, description = where
    toc = _toc(Entry(tag="thing", description=description), Entry(tag="other", description=description))
    wanted = f"{told}: decide elsewhere.{place} in columns.yaml"
    assert _message(toc, rules_of("version: 1\n")) == wanted
    assert _message(toc, rules_of(f"version: 1\nelsewhere: {{{place}: stop}}\n")) == wanted
    assert classify(toc, rules_of(f"version: 1\nelsewhere: {{{place}: keep}}\n")) == ()


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        (
            [("Big Orders", "VIEW"), ("shout(text)", "FUNCTION"), ("users loud", "TRIGGER"), ("sales", "VIEW")],
            '2 views, 1 function, 1 trigger in the dump, such as public."Big Orders": decide elsewhere.function_bodies',
        ),
        (
            [("totals", "MATERIALIZED VIEW"), ("totals", "MATERIALIZED VIEW DATA")],
            "1 materialized view in the dump, such as public.totals: decide elsewhere.materialized_views",
        ),
        (
            [("16401..16420", "BLOB METADATA"), ("16401..16420", "BLOBS")],
            "1 group of large objects in the dump, such as 16401..16420: decide elsewhere.large_objects",
        ),
        (
            [("TABLE users", "COMMENT"), ("COLUMN users.email", "COMMENT")],
            "2 comments in the dump, such as TABLE users in public: decide elsewhere.comments",
        ),
    ],
)
def test_what_is_undecided_is_called_by_its_own_name(
    rules_of: RulesOf, entries: list[tuple[str, str]], told: str
) -> None:
    schemas = {"BLOB METADATA": "", "BLOBS": ""}
    toc = _toc(
        *(
            Entry(tag=tag, description=description, schema=schemas.get(description, "public"))
            for tag, description in entries
        )
    )
    assert _message(toc, rules_of("version: 1\n")) == f"{told} in columns.yaml"


@pytest.mark.parametrize(
    ("place", "definition", "told"),
    [
        ("defaults", "a text DEFAULT 'x'::text", "2 tables with defaults in the dump, such as public.t"),
        (
            "check_expressions",
            "CONSTRAINT c CHECK ((a <> 'x'))",
            "2 tables with check expressions in the dump, such as public.t",
        ),
    ],
)
def test_tables_are_counted_by_what_hides_in_them(rules_of: RulesOf, place: str, definition: str, told: str) -> None:
    toc = _toc(*(Entry(tag=tag, definition=f"CREATE TABLE public.{tag} (\n    {definition}\n);\n") for tag in "tu"))
    assert _message(toc, rules_of("version: 1\n")) == f"{told}: decide elsewhere.{place} in columns.yaml"


@pytest.mark.parametrize(
    ("place", "entry"),
    [
        ("defaults", Entry(tag="t", definition="CREATE TABLE public.t (\n    a text DEFAULT 'x'::text\n);\n")),
        ("check_expressions", Entry(tag="t", definition="CREATE TABLE t (\n    CONSTRAINT c CHECK ((a <> 'x'))\n);")),
        ("enum_labels", Entry(tag="mood", description="TYPE", definition="CREATE TYPE mood AS ENUM (\n    'a'\n);")),
        ("foreign_servers", Entry(tag="f", description="FOREIGN TABLE", definition="CREATE FOREIGN TABLE public.f ()")),
    ],
)  # fmt: skip
def test_a_definition_that_can_hold_data_needs_a_decision(rules_of: RulesOf, place: str, entry: Entry) -> None:
    assert f"decide elsewhere.{place} in columns.yaml" in _message(_toc(entry), rules_of("version: 1\n"))
    assert classify(_toc(entry), rules_of(f"version: 1\nelsewhere: {{{place}: keep}}\n")) == ()


@pytest.mark.parametrize(
    "description",
    ["SCHEMA", "EXTENSION", "SEQUENCE", "CONSTRAINT", "FK CONSTRAINT", "INDEX", "TABLE ATTACH", "DATABASE"],
)
def test_what_can_hold_no_data_needs_no_decision(rules_of: RulesOf, description: str) -> None:
    assert classify(_toc(Entry(tag="thing", description=description)), rules_of("version: 1\n")) == ()


def test_a_composite_type_needs_no_decision(rules_of: RulesOf) -> None:
    entry = Entry(tag="pair", description="TYPE", definition="CREATE TYPE public.pair AS (\n    a integer\n);")
    assert classify(_toc(entry), rules_of("version: 1\n")) == ()


@pytest.mark.parametrize("description", ["SUBSCRIPTION", "STATISTICS DATA", "SOMETHING OF POSTGRES 21"])
def test_an_entry_of_a_kind_that_nobody_knows_stops_the_run(rules_of: RulesOf, description: str) -> None:
    message = _message(_toc(Entry(tag="thing", description=description)), rules_of("version: 1\n"))
    assert message == f"{description} public.thing is of a kind that no rule can allow"


@pytest.mark.parametrize("description", ["DATABASE PROPERTIES", "USER MAPPING"])
def test_what_no_load_restores_is_left_out_unasked(rules_of: RulesOf, description: str) -> None:
    """A database's own settings and the credentials for foreign servers can hold secrets, and stay at the source."""
    toc = _toc(Entry(tag="thing", description=description))
    rules = rules_of("version: 1\n")
    assert classify(toc, rules) == ()
    assert dropped_descriptions(toc, rules) == {description}


def test_what_the_rules_drop_is_left_out_where_the_dump_has_it(rules_of: RulesOf) -> None:
    def dropped(kinds: Iterable[str]) -> frozenset[str]:
        toc = _toc(*(Entry(tag="thing", description=kind) for kind in kinds))
        return dropped_descriptions(toc, rules_of("version: 1\nelsewhere: {comments: drop, large_objects: drop}\n"))

    assert dropped(["COMMENT", "VIEW", "BLOBS", "BLOB METADATA"]) == {"COMMENT", "BLOBS", "BLOB METADATA"}
    assert dropped(["VIEW"]) == frozenset()
