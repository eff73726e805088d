"""The database that the transform is measured on: made in SQL, of no one's data, some of it personal by its rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from string import Template

import psycopg
from etl_runtime.contract import RULES_FILE
from etl_runtime.trusted_sql import trusted

PERSONAL = ("messages", "people", "events")
"""The tables that are cleaned, the largest first."""
PERSONAL_SHARE = 0.35
_LOOKUPS = ("regions", "currencies", "units", "categories", "tax_bands")
_FACTS = (
    *("suppliers", "products", "prices", "stock_levels", "orders", "order_lines", "shipments"),
    *("parcels", "invoices", "invoice_lines", "payments", "ledger_entries", "refunds", "price_changes"),
)
_QUARTERS = ("2025-01-01", "2025-04-01", "2025-07-01", "2025-10-01", "2026-01-01", "2026-04-01", "2026-07-01")
_PEOPLE_BYTES, _MESSAGE_BYTES, _EVENT_BYTES, _FACT_BYTES, _MEASUREMENT_BYTES = 306, 511, 390, 303, 184
"""Of a row in the database with its part of the indexes, measured."""

_FUNCTIONS = """
CREATE FUNCTION pg_temp.pick(i bigint, seed int, choices int) RETURNS int LANGUAGE sql IMMUTABLE
RETURN ((hashint8extended(i, seed) & 2147483647) % choices)::int;
CREATE FUNCTION pg_temp.name(i bigint) RETURNS text LANGUAGE sql IMMUTABLE
RETURN ('{Ada,Ben,Cara,Dan,Eve,Finn,Gita,Hugh,Ines,Jon,Kim,Lena,Max,Nora,Omar,Pia,Quentin,Rita,Sam,Tess}'::text[])
    [1 + pg_temp.pick(i, 1, 20)] || ' '
    || ('{Sample,Test,Example,Specimen,Demo,Mock,Dummy,Trial,Pattern,Model}'::text[])[1 + pg_temp.pick(i, 2, 10)]
    || ('{ford,worthy,son,field,man,stone,well,by,ley,more}'::text[])[1 + pg_temp.pick(i, 3, 10)];
CREATE FUNCTION pg_temp.email(i bigint) RETURNS text LANGUAGE sql IMMUTABLE
RETURN 'person.' || i || '@example.com';
CREATE FUNCTION pg_temp.moment(i bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE
RETURN timestamptz '2025-01-01 00:00:00+00' + make_interval(secs => pg_temp.pick(i, 4, 47000000));
-- Sentences of words and numbers: gzip makes about a third of them, as of prose.
CREATE TEMP TABLE pool AS
SELECT n, (
    SELECT string_agg(
        CASE WHEN pg_temp.pick(n * 32 + k, 5, 12) = 0 THEN pg_temp.pick(n * 32 + k, 6, 100000)::text
        ELSE words[1 + pg_temp.pick(n * 32 + k, 7, cardinality(words))] END, ' ' ORDER BY k)
    FROM generate_series(1, 8 + pg_temp.pick(n, 8, 10)) AS k
) || '.' AS sentence
FROM generate_series(0, 8191) AS n, (VALUES (string_to_array(
    'the of and a to in is you that it he was for on are as with his they at be this have from or one had by word but '
    'not what all were we when your can said there use an each which she do how their if will up other about out many '
    'then them these so some her would make like him into time has look two more write go see number no way could '
    'people my than first water been call who its now find long down day did get come made may part over new sound '
    'take only little work know place year live me back give most very after thing our just name good sentence man '
    'think say great where help through much before line right too mean old any same tell boy follow came want show',
    ' '))) AS w (words);
ALTER TABLE pool ADD PRIMARY KEY (n);
ANALYZE pool;
"""
_PEOPLE = """
CREATE TABLE public.people (
    id bigint NOT NULL, email text NOT NULL, name text NOT NULL, phone text, born date, address text, postcode text,
    notes text, status text NOT NULL, region_id int NOT NULL, created_at timestamptz NOT NULL);
INSERT INTO public.people
SELECT i, pg_temp.email(i), pg_temp.name(i), '+44 7700 900' || lpad(pg_temp.pick(i, 10, 1000)::text, 3, '0'),
    date '1940-01-01' + pg_temp.pick(i, 11, 25000),
    1 + pg_temp.pick(i, 12, 998) || ' Example Road, Sampleton ' || i,
    'QQ' || pg_temp.pick(i, 13, 100) || ' ' || pg_temp.pick(i, 14, 10) || 'QQ',
    CASE WHEN i % 2 = 0 THEN sentence END, ('{active,invited,closed}'::text[])[1 + pg_temp.pick(i, 15, 3)],
    1 + pg_temp.pick(i, 16, 50), pg_temp.moment(i)
FROM generate_series(1, $people::bigint) AS i JOIN pool ON n = pg_temp.pick(i, 17, 8192);
ALTER TABLE public.people ADD PRIMARY KEY (id), ADD UNIQUE (email),
    ADD FOREIGN KEY (region_id) REFERENCES public.regions (id);
CREATE INDEX ON public.people (created_at);
CREATE INDEX ON public.people (postcode);
"""
_MESSAGES = """
CREATE TABLE public.messages (
    id bigint NOT NULL, person_id bigint NOT NULL, from_address text NOT NULL, channel text NOT NULL, subject text,
    body text NOT NULL, sent_at timestamptz NOT NULL);
INSERT INTO public.messages
SELECT i, p, pg_temp.email(p), ('{post,telephone,web}'::text[])[1 + pg_temp.pick(i, 20, 3)],
    'About order ' || pg_temp.pick(i, 21, 1000000),
    'From ' || pg_temp.name(p) || ': ' || concat_ws(' ', a.sentence, b.sentence, c.sentence, d.sentence, e.sentence),
    pg_temp.moment(i)
FROM (SELECT i, 1 + pg_temp.pick(i, 22, $people) AS p FROM generate_series(1, $messages::bigint) AS i) AS m
JOIN pool AS a ON a.n = pg_temp.pick(i, 23, 8192)
JOIN pool AS b ON b.n = pg_temp.pick(i, 24, 8192)
JOIN pool AS c ON c.n = pg_temp.pick(i, 25, 8192)
JOIN pool AS d ON d.n = pg_temp.pick(i, 26, 8192)
JOIN pool AS e ON e.n = pg_temp.pick(i, 27, 8192);
ALTER TABLE public.messages ADD PRIMARY KEY (id), ADD FOREIGN KEY (person_id) REFERENCES public.people (id);
CREATE INDEX ON public.messages (person_id);
CREATE INDEX ON public.messages (sent_at);
"""
_EVENTS = """
CREATE TABLE public.events (
    id bigint NOT NULL, person_id bigint NOT NULL, type text NOT NULL, at timestamptz NOT NULL, data jsonb NOT NULL);
INSERT INTO public.events
SELECT i, p, ('{login,order,update,export}'::text[])[1 + pg_temp.pick(i, 30, 4)], pg_temp.moment(i),
    jsonb_build_object(
        'actor', jsonb_build_object('email', pg_temp.email(p), 'name', pg_temp.name(p)),
        'client', jsonb_build_object(
            'ip', '192.0.2.' || pg_temp.pick(i, 31, 256), 'agent', 'Example Browser ' || pg_temp.pick(i, 36, 500)),
        'items', jsonb_build_array(pg_temp.pick(i, 32, 100000), pg_temp.pick(i, 33, 100000)),
        'accepted', i % 7 <> 0)
FROM (SELECT i, 1 + pg_temp.pick(i, 34, $people) AS p FROM generate_series(1, $events::bigint) AS i) AS m;
ALTER TABLE public.events ADD PRIMARY KEY (id), ADD FOREIGN KEY (person_id) REFERENCES public.people (id);
CREATE INDEX ON public.events (person_id);
CREATE INDEX ON public.events (at);
"""
_LOOKUP = """
CREATE TABLE public.$name (id int PRIMARY KEY, label text NOT NULL UNIQUE);
INSERT INTO public.$name SELECT i, '$name ' || i FROM generate_series(1, 50) AS i;
"""
_FACT = """
CREATE TABLE public.$name (
    id bigint NOT NULL, reference uuid NOT NULL, lookup_id int NOT NULL, parent_id bigint, title text NOT NULL,
    amount numeric(12, 2) NOT NULL, quantity int NOT NULL, details jsonb, created_at timestamptz NOT NULL);
INSERT INTO public.$name
SELECT i, md5('$name' || i)::uuid, 1 + pg_temp.pick(i, 40, 50), 1 + pg_temp.pick(i, 41, $facts), left(sentence, 60),
    pg_temp.pick(i, 42, 100000000) / 100.0, pg_temp.pick(i, 43, 1000),
    CASE WHEN i % 4 = 0 THEN jsonb_build_object('state', pg_temp.pick(i, 44, 9), 'note', left(sentence, 40)) END,
    pg_temp.moment(i)
FROM generate_series(1, $facts::bigint) AS i JOIN pool ON n = pg_temp.pick(i, 45, 8192);
ALTER TABLE public.$name ADD PRIMARY KEY (id), ADD UNIQUE (reference),
    ADD FOREIGN KEY (lookup_id) REFERENCES public.$lookup (id),
    ADD FOREIGN KEY (parent_id) REFERENCES public.$parent (id);
CREATE INDEX ON public.$name (parent_id);
CREATE INDEX ON public.$name (lookup_id, created_at);
"""
_MEASUREMENTS = """
CREATE TABLE public.measurements (
    id bigint NOT NULL, at timestamptz NOT NULL, sensor int NOT NULL, value double precision NOT NULL,
    label text NOT NULL) PARTITION BY RANGE (at);
$partitions
INSERT INTO public.measurements
SELECT i, pg_temp.moment(i), pg_temp.pick(i, 50, 5000), pg_temp.pick(i, 51, 1000000) / 1000.0, left(sentence, 30)
FROM generate_series(1, $measurements::bigint) AS i JOIN pool ON n = pg_temp.pick(i, 52, 8192);
ALTER TABLE public.measurements ADD PRIMARY KEY (id, at);
CREATE INDEX ON public.measurements (sensor, at);
"""
_SMALL = """
CREATE TABLE public.small_$number (id int PRIMARY KEY, label text NOT NULL);
INSERT INTO public.small_$number VALUES (1, 'one'), (2, 'two'), (3, 'three');
"""
_RULES = """version: 1
tables:
  public.people:
    columns:
      id: keep
      email: scrub.email(email)
      name: scrub.person_name(name)
      phone: {expression: scrub.phone(phone), proof: per_row, reason: "only 1,000 numbers are reserved"}
      born: {expression: "scrub.date_shift(born, id::text, 90)", proof: per_row, reason: others have that birthday}
      address: scrub.address(address)
      postcode: scrub.postcode(postcode)
      notes: scrub.text(notes)
      status: keep
      region_id: keep
      created_at: keep
  public.messages:
    columns:
      id: keep
      person_id: keep
      from_address: scrub.email(from_address)
      channel: keep
      subject: SUBJECT
      body: scrub.text(body)
      sent_at: keep
  public.events:
    columns:
      id: keep
      person_id: keep
      type: keep
      at: keep
      data:
        json:
          $.actor.email: email
          $.actor.name: person_name
          $.client.ip: {function: ip, proof: per_row, reason: only 768 addresses are for documentation}
"""
_SCRIPT = """\\echo 'Give every message one subject'
UPDATE public.messages SET subject = 'About an order';
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of what there is; rows of each kind of table, and tables beside the others that are all but empty."""

    people: int
    messages: int
    events: int
    facts: int
    measurements: int
    small_tables: int = 0

    @classmethod
    def of(cls, megabytes: float, *, personal: float = 1, others: float = 1, small_tables: int = 0) -> Size:
        """A database of about so many megabytes (10^6 bytes), before its personal or its other rows are multiplied.

        Half of what is personal is messages, a quarter each people and events.
        """
        share = megabytes * 1e6 * PERSONAL_SHARE * personal
        rest = megabytes * 1e6 * (1 - PERSONAL_SHARE) * others
        return cls(
            people=max(int(share / 4 / _PEOPLE_BYTES), 10),
            messages=max(int(share / 2 / _MESSAGE_BYTES), 10),
            events=max(int(share / 4 / _EVENT_BYTES), 10),
            facts=max(int(rest * 0.9 / len(_FACTS) / _FACT_BYTES), 10),
            measurements=max(int(rest * 0.1 / _MEASUREMENT_BYTES), 10),
            small_tables=small_tables,
        )


@dataclass(frozen=True, slots=True)
class Filled:
    """What is in a database: bytes with all indexes, rows and bytes of the personal tables, and tables with rows."""

    bytes: int
    personal_bytes: int
    personal_rows: int
    tables: int


def fill(dsn: str, size: Size, seconds: float) -> Filled:
    """Make the tables and their rows; no statement may take longer than so many seconds."""
    with psycopg.connect(dsn, autocommit=True, options="-c synchronous_commit=off") as connection:
        connection.execute("SET maintenance_work_mem = '256MB'; SET work_mem = '64MB'; SET timezone = 'UTC'")
        connection.execute("SET client_min_messages = warning")
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [f"{seconds:.0f}s"])
        for template, names in _statements(size.small_tables):
            connection.execute(trusted(Template(template).substitute(asdict(size), **names)))
        return _filled(connection, size)


def _statements(small_tables: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Each statement's template, and the names for it."""
    yield _FUNCTIONS, {}
    for name in _LOOKUPS:
        yield _LOOKUP, {"name": name}
    yield from ((template, {}) for template in (_PEOPLE, _MESSAGES, _EVENTS))
    for number, name in enumerate(_FACTS):
        lookup, parent = _LOOKUPS[number % len(_LOOKUPS)], _FACTS[max(number - 1, 0)]
        yield _FACT, {"name": name, "lookup": lookup, "parent": parent}
    partitions = "\n".join(
        f"CREATE TABLE public.measurements_{number} PARTITION OF public.measurements"
        f" FOR VALUES FROM ('{start}') TO ('{end}');"
        for number, (start, end) in enumerate(pairwise(_QUARTERS), 1)
    )
    yield _MEASUREMENTS, {"partitions": partitions}
    for number in range(small_tables):
        yield _SMALL, {"number": str(number)}


def _filled(connection: psycopg.Connection[tuple[int, ...]], size: Size) -> Filled:
    row = connection.execute(
        "SELECT pg_database_size(current_database()), count(*) FILTER (WHERE relkind = 'r'),"
        " sum(pg_total_relation_size(oid)) FILTER (WHERE relname IN ('people', 'messages', 'events'))::bigint"
        " FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return Filled(row[0], row[2], size.people + size.messages + size.events, row[1])


def write_rules(directory: Path, size: Size, *, scripts: bool = False) -> Path:
    """Make a scrub directory for it; with `scripts`, one of the columns is a script's."""
    directory.mkdir()
    text = _RULES.replace("SUBJECT", "scripted" if scripts else "keep")
    others = [*_LOOKUPS, *_FACTS, "measurements_*", *(["small_*"] if size.small_tables else [])]
    text += "".join(f"  public.{name}: {{keep: all, reason: no one's}}\n" for name in others)
    text += "elsewhere: {defaults: keep, check_expressions: keep, sequences: keep}\n"
    (directory / RULES_FILE).write_text(text)
    if scripts:
        (directory / "10_subjects.sql").write_text(_SCRIPT)
    return directory
