"""The database that the end-to-end tests dump: small, with every kind of thing that a dump can hold, and canaries."""

from __future__ import annotations

from pathlib import Path

CANARIES = ("ada.canary", "canary-note", "7700 900123", "canary-memo", "canary-mail", "canary-object", "canary-comment")
"""Parts of the values that are personal: none may be in a log, and none of them in a clean dump."""

SCHEMA = """
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TABLE users (
    id serial PRIMARY KEY,
    email varchar(60) NOT NULL UNIQUE CHECK (email LIKE '%@%'),
    name text,
    phone text,
    note text,
    born date,
    feels mood NOT NULL DEFAULT 'happy',
    initial text GENERATED ALWAYS AS (left(name, 1)) STORED
);
CREATE TABLE orders (
    id integer PRIMARY KEY,
    user_id integer NOT NULL REFERENCES users ON DELETE CASCADE,
    memo text,
    total numeric(10,2)
);
CREATE TABLE catalogue (id integer PRIMARY KEY, title text);
CREATE TABLE nothing ();
CREATE SCHEMA "My Schema";
CREATE TABLE "My Schema"."User Data" (id integer PRIMARY KEY, "E Mail" text, "a,b" text);
CREATE TABLE events (at date NOT NULL, mail text) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW people AS SELECT id, name FROM users;
CREATE MATERIALIZED VIEW totals AS SELECT user_id, sum(total) AS total FROM orders GROUP BY user_id;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.memo := NEW.memo || '.'; RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE UPDATE ON orders FOR EACH ROW WHEN (false) EXECUTE FUNCTION touch();
COMMENT ON TABLE users IS 'canary-comment of Ada';
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
"""
ROWS = """
INSERT INTO users (email, name, phone, note, born)
SELECT 'ada.canary' || n || '@example.com', 'Ada ' || n, '+44 7700 900123 ' || n, E'canary-note\\n\\tx\\\\y ' || n,
       date '1970-01-01' + n
FROM generate_series(1, 200) AS n;
UPDATE users SET note = NULL WHERE id % 10 = 0;
INSERT INTO orders SELECT n, 1 + n % 200, 'canary-memo ' || n, n / 7.0 FROM generate_series(1, 300) AS n;
INSERT INTO catalogue SELECT n, 'title ' || n FROM generate_series(1, 5000) AS n;
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO "My Schema"."User Data" SELECT n, 'canary-mail ' || n, 'x' FROM generate_series(1, 20) AS n;
INSERT INTO events SELECT date '2025-12-20' + n, 'canary-mail ' || n FROM generate_series(1, 30) AS n;
SELECT lo_from_bytea(4711, 'canary-object');
GRANT SELECT ON LARGE OBJECT 4711 TO etl_dump;
REFRESH MATERIALIZED VIEW totals;
"""
TABLES = {
    "public.users": 200,
    "public.orders": 300,
    "public.catalogue": 5000,
    "public.nothing": 2,
    '"My Schema"."User Data"': 20,
    "public.events_2025": 11,
    "public.events_2026": 19,
}
"""Table → its number of rows."""

ELSEWHERE = """\
elsewhere:
  large_objects: drop
  comments: drop
  defaults: keep
  enum_labels: keep
  check_expressions: keep
  function_bodies: keep
  materialized_views: keep
  sequences: keep
"""
USERS_RULE = """\
  public.users:
    columns:
      id: keep
      email: scrub.email(email)
      name: "'Somebody ' || id"
      phone: NULL
      note: "CASE WHEN note IS NOT NULL THEN 'a note' END"
      born: {expression: "make_date(1900, 1, 1) + id", reason: "a day of nobody's"}
      feels: keep
"""
OTHER_RULES = """\
  public.orders: {columns: {id: keep, user_id: keep, memo: "''", total: keep}}
  public.catalogue: {keep: all, reason: "reference data"}
  public.nothing: {columns: {}}
  '"My Schema"."User Data"': {columns: {id: keep, "E Mail": "scrub.email(\\"E Mail\\")", "a,b": keep}}
  public.events_*: {columns: {at: keep, mail: "'somebody@example.com'"}}
"""
RULES = "version: 1\ntables:\n" + USERS_RULE + OTHER_RULES + ELSEWHERE
"""Rules that need no script: each line of `public.users` has its number in the tests."""

SCRIPTED_RULES = RULES.replace("note: \"CASE WHEN note IS NOT NULL THEN 'a note' END\"", "note: scripted")
"""The same, but that `users.note` is left to scripts."""


def change_rules(rules: Path, *changes: tuple[str, str]) -> None:
    """Replace parts of a scrub directory's rules; each must be there."""
    path = rules / "columns.yaml"
    text = path.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
