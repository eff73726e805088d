"""The comparison of two databases: it names exactly what differs, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from etl_cli.demonstration.examples import ColumnExample, TableExample, find_examples
from etl_local.clusters import ClusterTemplate, PostgresCluster
from etl_local.comparison import ColumnComparison, Comparison, ObjectComparison, TableComparison, compare
from etl_local.postgres_installation import PostgresInstallation
from etl_local.state_directory import StateDirectory

pytestmark = pytest.mark.end_to_end

SCHEMA: LiteralString = """
    CREATE TYPE mood AS ENUM ('calm', 'busy');
    CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL UNIQUE, mood mood, notes text);
    CREATE TABLE orders (id int, line int, price numeric(9, 2), PRIMARY KEY (id, line)) PARTITION BY RANGE (id);
    CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (100);
    CREATE TABLE orders_2 PARTITION OF orders FOR VALUES FROM (100) TO (200);
    CREATE TABLE clicks (page text, seen timestamptz);
    CREATE TABLE "Odd name" ("The Key" text PRIMARY KEY, "a,b" text);
    CREATE TABLE nothing ();
    CREATE VIEW busy AS SELECT * FROM users WHERE mood = 'busy';
    CREATE MATERIALIZED VIEW totals AS SELECT id, sum(price) FROM orders GROUP BY id;
    CREATE SEQUENCE numbers;
    CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql
      AS $$BEGIN NEW.notes := upper(NEW.notes); RETURN NEW; END$$;
    CREATE TRIGGER loud BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION shout();
    CREATE INDEX by_mood ON users (mood);
    INSERT INTO users
      SELECT i, 'user' || i || '@example.com', 'busy', CASE WHEN i % 2 = 0 THEN E'two\\tparts\\nof ' || i END
        FROM generate_series(1, 12) i;
    INSERT INTO orders SELECT i, 1, i * 1.5 FROM generate_series(1, 150) i;
    INSERT INTO clicks
      SELECT '/p' || i % 3, '2026-01-01'::timestamptz + i * interval '1 s' FROM generate_series(1, 9) i;
    INSERT INTO "Odd name" VALUES (E'tab\\there', 'x'), ('back\\slash', NULL), ('A', ''), ('a', 'y'), ('é', 'z');
    INSERT INTO nothing DEFAULT VALUES;
    SELECT nextval('numbers');
    SELECT lo_from_bytea(4242, 'synthetic bytes');
"""


@dataclasses.dataclass
class Pair:
    """A source, and a target that was copied from it."""

    source: str
    target: str

    def change(self, *statements: LiteralString) -> None:
        with psycopg.connect(self.target, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def compare(self) -> Comparison:
        return compare(self.source, self.target)


@pytest.fixture(scope="module")
def cluster() -> Iterator[PostgresCluster]:
    with StateDirectory() as state:
        launchers = PostgresInstallation.bundled().launchers(state.path)
        template = ClusterTemplate(state.path / "template", launchers)
        with PostgresCluster(state.path, launchers, "compared", template) as running:
            running.create_database("original", "postgres")
            running.execute(SCHEMA, database="original")
            yield running


@pytest.fixture
def pair(cluster: PostgresCluster, request: pytest.FixtureRequest) -> Pair:
    name = sql.Identifier(f"copy {abs(hash(request.node.name))}")
    cluster.execute(sql.SQL("CREATE DATABASE {} TEMPLATE original").format(name))
    return Pair(cluster.dsn(database="original"), cluster.dsn(database=name.as_string().strip('"')))


def changed(comparison: Comparison) -> dict[str, TableComparison]:
    return {table.table: table for table in comparison.changed_tables}


def unequal(comparison: Comparison) -> dict[str, ObjectComparison]:
    return {kind.kind: kind for kind in comparison.objects if not kind.equal}


def test_a_copy_is_identical_table_by_table_and_object_by_object(pair: Pair) -> None:
    comparison = pair.compare()
    assert [(table.table, table.source_rows, table.key) for table in comparison.identical_tables] == [
        ('public."Odd name"', 5, ("The Key",)),
        ("public.clicks", 9, ()),
        ("public.nothing", 1, ()),
        ("public.orders_1", 99, ("id", "line")),
        ("public.orders_2", 51, ("id", "line")),
        ("public.users", 12, ("id",)),
    ]
    assert (comparison.changed_tables, comparison.same_structure) == ((), True)
    counts = {kind.kind: kind.target_count for kind in comparison.objects if kind.target_count}
    assert counts == {
        "index": 7,
        "constraint": 6,
        "view": 1,
        "materialized view": 1,
        "trigger": 1,
        "function": 1,
        "type": 1,
        "partition": 2,
        "large object": 1,
        "column": 17,
        "sequence": 1,
    }


def test_exactly_the_changed_columns_are_named_with_how_many_rows(pair: Pair) -> None:
    pair.change("UPDATE users SET email = 'x' || email WHERE id > 2", "UPDATE users SET notes = NULL WHERE id = 4")
    comparison = pair.compare()
    assert changed(comparison) == {
        "public.users": TableComparison(
            table="public.users",
            key=("id",),
            source_rows=12,
            target_rows=12,
            identical=False,
            columns=(ColumnComparison("email", 10), ColumnComparison("notes", 1)),
        )
    }
    assert comparison.changed_columns == ("public.users.email", "public.users.notes")
    assert comparison.same_structure


def test_values_that_only_change_places_are_changed_values(pair: Pair) -> None:
    pair.change("UPDATE orders SET price = (150 - id) * 1.5 WHERE id < 150")
    assert {name: table.columns for name, table in changed(pair.compare()).items()} == {
        # 75 keeps its price, and so does none of the second partition but 150.
        "public.orders_1": (ColumnComparison("price", 98),),
        "public.orders_2": (ColumnComparison("price", 50),),
    }


def test_rows_that_are_gone_do_not_hide_which_columns_changed(pair: Pair) -> None:
    pair.change("DELETE FROM users WHERE id IN (1, 5, 12)", "UPDATE users SET mood = 'calm' WHERE id = 6")
    table = changed(pair.compare())["public.users"]
    assert (table.source_rows, table.target_rows, table.removed_rows) == (12, 9, 3)
    assert table.columns == (ColumnComparison("mood", 1),)


def test_rewritten_keys_are_compared_as_values(pair: Pair) -> None:
    pair.change("UPDATE users SET id = id + 100")
    table = changed(pair.compare())["public.users"]
    assert table.columns == (ColumnComparison("id", None),)
    assert (table.key, table.removed_rows) == ((), None)


def test_a_table_without_a_key_is_compared_as_values(pair: Pair) -> None:
    pair.change("UPDATE clicks SET page = '/other' WHERE page = '/p1'")
    assert changed(pair.compare())["public.clicks"].columns == (ColumnComparison("page", None),)


def test_keys_with_every_kind_of_character_are_matched(pair: Pair) -> None:
    pair.change("""UPDATE "Odd name" SET "a,b" = 'new' WHERE "The Key" IN ('a', E'tab\\there')""")
    assert changed(pair.compare())['public."Odd name"'].columns == (ColumnComparison("a,b", 2),)


def test_null_and_the_empty_text_are_two_values(pair: Pair) -> None:
    pair.change("""UPDATE "Odd name" SET "a,b" = NULL WHERE "a,b" = ''""")
    assert changed(pair.compare())['public."Odd name"'].columns == (ColumnComparison("a,b", 1),)


@pytest.mark.parametrize(
    ("statement", "kind", "difference"),
    [
        ("DROP INDEX by_mood", "index", ("missing", "public.by_mood")),
        (
            "ALTER TABLE users DROP CONSTRAINT users_email_key",
            "constraint",
            ("missing", "public.users.users_email_key"),
        ),
        ("CREATE OR REPLACE VIEW busy AS SELECT * FROM users", "view", ("different", "public.busy")),
        ("REFRESH MATERIALIZED VIEW totals WITH NO DATA", "materialized view", ("different", "public.totals")),
        ("ALTER TABLE users DISABLE TRIGGER loud", "trigger", ("different", "public.users.loud")),
        ("SELECT nextval('numbers')", "sequence", ("different", "public.numbers")),
        ("ALTER TYPE mood ADD VALUE 'tired'", "type", ("different", "public.mood")),
        ("ALTER TABLE users ALTER notes SET DEFAULT 'x'", "column", ("different", "public.users.notes")),
        ("COMMENT ON TABLE users IS 'people'", "comment", ("unexpected", "on table public.users")),
        ("COMMENT ON COLUMN users.id IS 'x'", "comment", ("unexpected", "on table column public.users.id")),
        ("COMMENT ON FUNCTION shout IS 'x'", "comment", ("unexpected", "on function public.shout()")),
        ("COMMENT ON LARGE OBJECT 4242 IS 'x'", "comment", ("unexpected", "on large object 4242")),
        ("SELECT lo_put(4242, 0, 'SYNTHETIC')", "large object", ("different", "4242")),
        ("CREATE POLICY own ON users USING (true)", "policy", ("unexpected", "public.users.own")),
    ],
)
def test_every_kind_of_object_is_compared_by_its_definition(
    pair: Pair, statement: LiteralString, kind: str, difference: tuple[str, str]
) -> None:
    pair.change(statement)
    found = unequal(pair.compare())[kind]
    what, name = difference
    assert getattr(found, what) == (name,)
    assert [getattr(found, other) for other in ("missing", "unexpected", "different") if other != what] == [(), ()]


def test_comments_that_an_extension_brings_are_not_the_dumps(pair: Pair) -> None:
    pair.change("CREATE EXTENSION vector")
    assert "comment" not in unequal(pair.compare())


def test_tables_on_one_side_only_are_named(pair: Pair) -> None:
    pair.change("ALTER TABLE clicks RENAME TO views")
    comparison = pair.compare()
    assert (comparison.missing_tables, comparison.unexpected_tables) == (("public.clicks",), ("public.views",))
    assert not comparison.same_structure


def test_schemas_can_be_left_out(pair: Pair) -> None:
    pair.change("CREATE SCHEMA etl", "CREATE TABLE etl.mark (id int)")
    assert compare(pair.source, pair.target, ignored_schemas=frozenset({"etl"})).same_structure


def test_examples_pair_the_same_row_before_and_after(pair: Pair) -> None:
    pair.change(
        "UPDATE users SET email = 'p' || id || '@example.com', notes = CASE WHEN notes <> '' THEN 'redacted' END"
    )
    proved = [{"table": "public.users", "column": "email"}, {"table": "public.users", "column": "notes"}]
    # Each column shows rows in which it had a value.
    assert find_examples(pair.source, pair.target, proved, rows=2, show_before=True) == [
        TableExample(
            "public.users",
            (
                ColumnExample(
                    "email", (("user1@example.com", "p1@example.com"), ("user2@example.com", "p2@example.com")), True
                ),
                ColumnExample("notes", (("TWO PARTS OF 2", "redacted"), ("TWO PARTS OF 4", "redacted")), True),
            ),
        )
    ]


def test_examples_hide_what_was_before_unless_asked(pair: Pair) -> None:
    proved = [{"table": "public.users", "column": "email"}]
    (example,) = find_examples(pair.source, pair.target, proved, rows=1, show_before=False)
    assert example.columns[0].values == (("••••", "user1@example.com"),)


def test_examples_of_rows_that_cannot_be_matched_stand_side_by_side_and_claim_no_more(pair: Pair) -> None:
    pair.change("UPDATE clicks SET page = '/q'", "UPDATE users SET id = id + 100, notes = NULL")
    proved = [
        {"table": "public.clicks", "column": "page"},
        {"table": "public.users", "column": "id"},
        {"table": "public.users", "column": "notes"},
    ]
    assert find_examples(pair.source, pair.target, proved, rows=2, show_before=True) == [
        TableExample("public.clicks", (ColumnExample("page", (("/p1", "/q"), ("/p2", "/q")), False),)),
        TableExample(
            "public.users",
            (
                ColumnExample("id", (("1", "101"), ("2", "102")), False),
                ColumnExample("notes", (("TWO PARTS OF 2", None), ("TWO PARTS OF 4", None)), False),
            ),
        ),
    ]
    hidden = find_examples(pair.source, pair.target, proved, rows=1, show_before=False)
    assert hidden[0].columns[0].values == (("••••", "/q"),)


def test_a_database_that_cannot_be_reached_is_an_error(pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(psycopg.OperationalError):
        compare(pair.source, f"host={tmp_path} dbname=none")
