"""One person's values, planted in every place of a dump and in a column of every type: none comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from etl_runtime.rules import PLACES

from tests.containers.end_to_end.clean_dump import CleanDump
from tests.containers.end_to_end.programs import Programs

pytestmark = pytest.mark.end_to_end

CANARIED = (
    "comment of a table",
    "comment of a column",
    "default",
    "check",
    "domain",
    "index predicate",
    "view",
    "rule",
    "policy",
    "function",
    "trigger argument",
    "enum label",
    "partition bound",
    "materialized view",
    "statistics expression",
    "large object",
    "sequence",
    "copied table",
)
CANARY = {place: f"ada{number:02d}.canary@example.com" for number, place in enumerate(CANARIED)} | {
    "sequence": "4471002233445566"
}
SCHEMA = f"""
CREATE TABLE people (id integer PRIMARY KEY, mail text);
INSERT INTO people SELECT n, mail FROM unnest(ARRAY[{", ".join(f"'{value}'" for value in CANARY.values())}])
    WITH ORDINALITY AS c (mail, n);
CREATE DOMAIN address AS text CHECK (VALUE <> '{CANARY["domain"]}');
CREATE TYPE label AS ENUM ('none', '{CANARY["enum label"]}');
CREATE TABLE things (
    id integer PRIMARY KEY, name text DEFAULT '{CANARY["default"]}' CHECK (name <> '{CANARY["check"]}'),
    at address, marked label
);
COMMENT ON TABLE things IS 'made by {CANARY["comment of a table"]}';
COMMENT ON COLUMN things.name IS 'asked for by {CANARY["comment of a column"]}';
CREATE INDEX few ON things (id) WHERE name = '{CANARY["index predicate"]}';
CREATE VIEW seen AS SELECT id FROM things WHERE name = '{CANARY["view"]}';
CREATE MATERIALIZED VIEW kept AS SELECT id FROM things WHERE name = '{CANARY["materialized view"]}';
CREATE RULE told AS ON DELETE TO things WHERE OLD.name = '{CANARY["rule"]}' DO INSTEAD NOTHING;
CREATE POLICY own ON things USING (name = '{CANARY["policy"]}');
CREATE FUNCTION about() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; /* {CANARY["function"]} */ END $$;
CREATE TRIGGER asks BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION about('{CANARY["trigger argument"]}');
CREATE STATISTICS often ON (name = '{CANARY["statistics expression"]}'), id FROM things;
CREATE TABLE parts (name text) PARTITION BY LIST (name);
CREATE TABLE part PARTITION OF parts FOR VALUES IN ('{CANARY["partition bound"]}');
CREATE SEQUENCE counter;
SELECT setval('counter', {CANARY["sequence"]});
CREATE TABLE copied (id integer, text text);
INSERT INTO copied VALUES (1, 'from {CANARY["copied table"]} to nobody');
SELECT lo_from_bytea(4711, convert_to(repeat('x ', 3000000) || '{CANARY["large object"]}', 'UTF8'));
GRANT SELECT ON LARGE OBJECT 4711 TO etl_dump;
"""
NEVER_DUMPED = """
CREATE PUBLICATION news FOR TABLE people WHERE (id = 4471002233);
CREATE FOREIGN DATA WRAPPER wrapper;
CREATE SERVER far FOREIGN DATA WRAPPER wrapper OPTIONS (host 'far.example.com');
CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (password 'ada-canary-password');
ALTER DATABASE {name} SET app.owner = 'ada-canary-owner';
"""
"""What a dump lacks or a clean one must: filters and connections of publications and subscriptions, credentials and
options of foreign servers, settings of the database."""
RULES = """\
version: 1
tables:
  public.people: {columns: {id: keep, mail: "'nobody ' || id"}}
  public.things: {keep: all, reason: test}
  public.part: {keep: all, reason: test}
  public.copied: {keep: all, reason: test}
elsewhere:
"""
TOLD = {
    "comment of a table": 'the definition of COMMENT public."TABLE things"',
    "comment of a column": 'the definition of COMMENT public."COLUMN things.name"',
    "default": "the definition of TABLE public.things",
    "check": "the definition of TABLE public.things",
    "domain": "the definition of DOMAIN public.address",
    "index predicate": "the definition of INDEX public.few",
    "view": "the definition of VIEW public.seen",
    "rule": 'the definition of RULE public."things told"',
    "policy": 'the definition of POLICY public."things own"',
    "function": 'the definition of FUNCTION public."about()"',
    "trigger argument": 'the definition of TRIGGER public."things asks"',
    "enum label": "the definition of TYPE public.label",
    "partition bound": "the definition of TABLE ATTACH public.part",
    "materialized view": "the definition of MATERIALIZED VIEW public.kept",
    "statistics expression": "the definition of STATISTICS public.often",
    "sequence": "the definition of SEQUENCE SET public.counter",
    "large object": "large object 4711",
    "copied table": "public.copied.text",
}


@pytest.fixture(scope="module")
def raw(programs_of_session: Programs) -> Iterator[str]:
    """A bucket with the raw dump of the database in which every place has a canary."""
    programs, name = programs_of_session, "canaries"
    programs.cluster.create_database(name, "postgres")
    with psycopg.connect(programs.cluster.dsn(database=name), autocommit=True) as connection:
        connection.execute(SCHEMA)  # type: ignore[call-overload]
    bucket = programs.bucket("canaries-raw")
    run = programs.run("pg_dump", programs.extract_environment("nightly", name, bucket))
    assert run.code == 0, run.text
    yield bucket
    programs.cluster.execute(f"DROP DATABASE {name}")  # type: ignore[arg-type]


def rules_that(decision: Callable[[str], str]) -> str:
    return RULES + "".join(f"  {place}: {decision(place)}\n" for place in PLACES)


@pytest.mark.parametrize("scope", ["changed", "everything"])
def test_a_canary_in_a_place_that_the_rules_keep_is_found_and_named(
    programs: Programs, raw: str, rules: Path, name: str, scope: str
) -> None:
    (rules / "columns.yaml").write_text(rules_that(lambda _: "keep"))
    bucket = programs.bucket(name)
    environment = programs.transform_environment("nightly", raw, bucket, rules, PROOF_SCOPE=scope)
    run = programs.run("transform", environment)
    assert run.code == 65
    unread = {"large object", "copied table"} if scope == "changed" else set()
    named = {place for place, told in TOLD.items() if f"public.people.mail in {told}, " in run.error}
    assert named == TOLD.keys() - unread, run.error
    assert programs.objects(bucket) == {}
    assert "canary" not in run.text


def test_places_without_a_decision_stop_the_run_and_are_all_named(
    programs: Programs, raw: str, rules: Path, name: str
) -> None:
    (rules / "columns.yaml").write_text(rules_that(lambda _: "stop"))
    bucket = programs.bucket(name)
    run = programs.run("transform", programs.transform_environment("nightly", raw, bucket, rules))
    assert run.code == 78
    assert [place for place in PLACES if f"decide elsewhere.{place}" not in run.error] == ["foreign_servers"]
    assert programs.objects(bucket) == {}
    assert "canary" not in run.text


def test_what_is_dropped_does_not_come_out(programs: Programs, rules: Path, name: str) -> None:
    programs.cluster.create_database(name, "postgres")
    with psycopg.connect(programs.cluster.dsn(database=name), autocommit=True) as connection:
        connection.execute("CREATE TABLE people (id integer PRIMARY KEY, mail text)")
        connection.execute("INSERT INTO people VALUES (1, 'ada.canary@example.com')")
        connection.execute("COMMENT ON TABLE people IS 'ada.canary@example.com'")
        connection.execute("SELECT lo_from_bytea(4711, 'ada.canary@example.com')")
        connection.execute("GRANT SELECT ON LARGE OBJECT 4711 TO etl_dump")
        connection.execute("COMMENT ON LARGE OBJECT 4711 IS 'ada.canary@example.com'")
        for statement in NEVER_DUMPED.format(name=name).split(";\n")[:-1]:
            connection.execute(statement)  # type: ignore[call-overload]
    raw_bucket, bucket = programs.bucket(f"{name}-raw"), programs.bucket(name)
    run = programs.run("pg_dump", programs.extract_environment("nightly", name, raw_bucket))
    programs.cluster.execute(f"DROP DATABASE {name}")  # type: ignore[arg-type]
    assert run.code == 0, run.text
    (rules / "columns.yaml").write_text(
        'version: 1\ntables:\n  public.people: {columns: {id: keep, mail: "NULL"}}\n'
        "elsewhere: {comments: drop, large_objects: drop, foreign_servers: keep}\n"
    )
    environment = programs.transform_environment("nightly", raw_bucket, bucket, rules, PROOF_SCOPE="everything")
    ended = programs.run("transform", environment)
    assert ended.code == 0, ended.text
    clean = CleanDump.read(programs, bucket)
    script = clean.script()
    for canary in ("ada.canary@", "ada-canary-password", "ada-canary-owner", "4471002233"):
        assert canary not in script
        assert [name for name, body in clean.objects.items() if canary.encode() in body] == []
    assert [name for name in clean.objects if name.startswith("blob")] == []


# All but xml, which the servers of the tests are built without.
TYPES = {
    "text": ["'ada.canary@example.com'"],
    "varchar(40)": ["'ada.canary@example.com'"],
    "char(40)": ["'ada.canary@example.com'"],
    "name": ["'ada.canary@example.com'"],
    "bytea": ["'\\xada0cafe7700900123'", "'ada.canary@example.com'::bytea"],
    "text[]": ["ARRAY['bob', 'ada.canary@example.com']"],
    "mail": ["'ada.canary@example.com'"],
    "mail[]": ["ARRAY['ada.canary@example.com']::mail[]"],
    "person": ["ROW('Ada Canary', 'ada.canary@example.com')"],
    "person[]": ["ARRAY[ROW('Ada Canary', 'ada.canary@example.com')]::person[]"],
    "ladies": ["'ada.canary@example.com'"],
    "json": ['\'{"a": ["ada.canary\\u0040example.com"]}\''],
    "jsonb": ["'{\"ada.canary@example.com\": 1}'", '\'{"a": {"b": ["Ada Canary of Leeds"]}}\''],
    "tsvector": ["to_tsvector('simple', 'ada.canary@example.com')"],
    "tsquery": ["'''ada.canary@example.com'''"],
    "jsonpath": ["'$ ? (@ == \"ada.canary@example.com\")'"],
    "uuid": ["'ada0cafe-0000-4000-8000-770090012300'"],
    "inet": ["'192.0.2.177/24'"],
    "cidr": ["'2001:db8:ada0::/48'"],
    "macaddr": ["'08:00:2b:ad:a0:03'"],
    "macaddr8": ["'08:00:2b:ad:a0:03:04:05'"],
    "bigint": ["4471002233445566"],
    "numeric": ["7700900123.25"],
    "double precision": ["7700900123.25"],
    "money": ["7700900123.25"],
    "timestamp": ["'1815-12-10 04:05:06'"],
    "timestamptz": ["'1815-12-10 04:05:06+00'"],
    "interval": ["'1815 years 10 days 04:05:06.789'"],
    "daterange": ["'[1815-12-10,1852-11-27)'"],
    "tsmultirange": ["'{[1815-12-10 01:02,1852-11-27 03:04)}'"],
    "int8range": ["'[4471002233,4471002244)'"],
    "bit varying": ["B'101011100101'"],
    "point": ["'(53.800755,-1.549077)'"],
    "polygon": ["'((53.8,-1.5),(53.9,-1.6))'"],
    "pg_lsn": ["'ADA0CAFE/77009001'"],
}
VALUES = [
    (kind, value if kind == "ladies" else value.replace("ada.canary", f"ada{number}.canary"))
    for number, (kind, value) in enumerate((kind, value) for kind, values in TYPES.items() for value in values)
]
TYPES_SCHEMA = """
CREATE DOMAIN mail AS text CHECK (VALUE LIKE '%@%');
CREATE TYPE person AS (name text, mail text);
CREATE TYPE ladies AS ENUM ('ada.canary@example.com', 'nobody at all');
"""


def types_schema(values_of: Sequence[tuple[str, str]], leaks: bool) -> str:
    """A table of persons, and one in which each of their values stands too, in a column of the same type."""
    columns = ", ".join(f"c{number} {kind}" for number, (kind, _) in enumerate(values_of))
    values = ", ".join(f"({value})::{kind}" for kind, value in values_of)
    leak = f"INSERT INTO leak VALUES (1, 'x', {values});" if leaks else "INSERT INTO leak (id, note) VALUES (1, 'x');"
    return (
        f"{TYPES_SCHEMA} CREATE TABLE persons (id integer PRIMARY KEY, {columns});"
        f"INSERT INTO persons VALUES (1, {values});"
        f"CREATE TABLE leak (id integer PRIMARY KEY, note text, {columns}); {leak}"
    )


@pytest.mark.parametrize(
    ("values", "leaks"),
    [(VALUES[:20], True), (VALUES[20:], True), (VALUES, False)],
    ids=["some types", "other types", "no leak"],
)
def test_a_value_of_any_type_is_found_where_it_was_left(
    programs: Programs, rules: Path, name: str, values: Sequence[tuple[str, str]], leaks: bool
) -> None:
    programs.cluster.create_database(name, "postgres")
    with psycopg.connect(programs.cluster.dsn(database=name), autocommit=True) as connection:
        connection.execute(types_schema(values, leaks))  # type: ignore[call-overload]
    raw_bucket, bucket = programs.bucket(f"{name}-raw"), programs.bucket(name)
    run = programs.run("pg_dump", programs.extract_environment("nightly", name, raw_bucket))
    programs.cluster.execute(f"DROP DATABASE {name}")  # type: ignore[arg-type]
    assert run.code == 0, run.text
    numbers = range(len(values))
    scrubbed = "".join(f", c{number}: 'NULL'" for number in numbers)
    kept = "".join(f", c{number}: keep" for number in numbers)
    (rules / "columns.yaml").write_text(
        "version: 1\ntables:\n"
        f"  public.persons: {{columns: {{id: keep{scrubbed}}}}}\n"
        f"  public.leak: {{columns: {{id: keep, note: \"'y'\"{kept}}}}}\n"
        "elsewhere: {enum_labels: keep, check_expressions: keep}\n"
    )
    ended = programs.run("transform", programs.transform_environment("nightly", raw_bucket, bucket, rules))
    labelled = any(kind == "ladies" for kind, _ in values)
    assert ended.code == (65 if leaks or labelled else 0), ended.text
    found = {number for number in numbers if f"public.persons.c{number} in public.leak.c{number}, " in ended.error}
    assert found == (set(numbers) if leaks else set()), [values[n] for n in set(numbers) ^ found]
    # The label of the enum is in its definition, whatever becomes of the rows.
    assert ("the definition of TYPE public.ladies" in ended.error) == labelled
    assert "canary" not in ended.text
    assert programs.objects(bucket) == {}
