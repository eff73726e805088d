"""The compiled functions against the SQL of the same names, on the same values: the bytes are the same."""

from __future__ import annotations

import json
import random
import string
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from etl_runtime.compiled_table import CompiledTable
from etl_runtime.copy_out import copied_out
from etl_runtime.proof.kernel import Segment
from etl_runtime.rules import ColumnRule, PathRule, json_expression
from etl_runtime.table_shape import TableShape
from etl_runtime.trusted_sql import trusted

from tests.containers.compiled_tables import compiled, expression, shape
from tests.sample.conftest import Connection

pytestmark = pytest.mark.end_to_end

ROWS = 1500
_ALPHABETS = (
    string.ascii_letters,
    string.digits + " +()-./",
    string.printable,
    "aé€😀ßΣİı \u00a0",
    "'\"\\\t\n\r{}[]:,%",
)


def _text(choose: random.Random) -> str:
    kind = choose.randrange(8)
    if kind == 0:
        return choose.choice(["", " ", "  a  ", "+44", "0044", "+440", "07", "0", "\\N", "N", "null", "Ann Sample"])
    if kind == 1:
        return choose.choice(["+44 (0)", "0044 ", "+44", "0"]) + f"7700 900{choose.randrange(1000):03}"
    if kind == 2:
        return choose.choice(["07700900", "01632960"]) + f"{choose.randrange(1000):03}"
    size = choose.choice([1, 2, 7, 20, 40, 55, 56, 63, 64, 65, 120, 500, 3799, 3800, 3801, 8000])
    return "".join(choose.choices(_ALPHABETS[choose.randrange(len(_ALPHABETS))], k=choose.randint(0, size)))


def _date(choose: random.Random) -> str:
    day = date(1, 1, 1) + timedelta(days=choose.randrange(3652059))
    return choose.choice(
        [str(day), str(day), f"{choose.choice([1900, 2000, 2023, 2024])}-02-28", "infinity", "0044-03-15 BC"]
    )


def _moment(choose: random.Random) -> datetime:
    return datetime(1700, 1, 1, tzinfo=UTC) + timedelta(microseconds=choose.randrange(10**16))


def _integer(bits: int) -> Callable[[random.Random], str]:
    def made(choose: random.Random) -> str:
        edge = 2 ** (bits - 1)
        return str(choose.choice([0, 1, -1, edge - 1, -edge, choose.randrange(-edge, edge), choose.randrange(100)]))

    return made


def _document(choose: random.Random, depth: int = 0) -> Any:
    kind = choose.randrange(8 if depth < 4 else 5)
    if kind == 0:
        return choose.choice([None, True, False, 0, -1.5, 1e300, 12345678901234567890])
    if kind < 5:
        return _text(choose).replace("\0", "")[:60]
    if kind == 5:
        return [_document(choose, depth + 1) for _ in range(choose.randrange(4))]
    keys = choose.sample(["a", "b", "c", "é", "k\\", 'k"', "a b"], k=choose.randrange(6))
    return {key: _document(choose, depth + 1) for key in keys}


TEXTS = [
    *("scrub.email(v)", "scrub.email(v, 28)", "scrub.email(v, 44)", "scrub.token(v, 1)", "scrub.token(v, 64)"),
    *("scrub.url(v)", "scrub.url(v, 37)", "scrub.text(v)", "scrub.person_name(v)", "scrub.person_name_unique(v)"),
    *("scrub.person_name_unique(v, 20)", "scrub.person_name_unique(v, 41)", "scrub.phone(v)", "scrub.phone_unique(v)"),
    *("scrub.address(v)", "scrub.postcode(v)", "scrub.company(v)", "scrub.digits(v)"),
]
OTHERS: list[tuple[str, str, Callable[[random.Random], str]]] = [
    ("smallint", "scrub.id(v)", _integer(16)),
    ("integer", "scrub.id(v)", _integer(32)),
    ("bigint", "scrub.id(v)", _integer(64)),
    ("bigint", "scrub.id(v, 0, 99)", lambda choose: str(choose.randrange(100))),
    ("bigint", "scrub.id(v, -5, 9223372036854775801)", lambda choose: str(choose.randrange(-5, 2**63 - 6))),
    ("uuid", "scrub.uuid(v)", lambda choose: str(uuid.UUID(int=choose.getrandbits(128)))),
    ("inet", "scrub.ip(v)", lambda choose: ".".join(str(choose.randrange(256)) for _ in range(4))),
    ("inet", "scrub.ip(v)", lambda choose: choose.choice(["192.0.2.7", "198.18.0.0/24", "2001:db8::1"])),
    ("date", "scrub.date_shift(v, k::text, 3650)", _date),
    ("date", "scrub.date_shift(v, k::text, 1)", _date),
    (
        *("timestamp without time zone", "scrub.date_shift(v, k::text, 90)"),
        lambda choose: str(_moment(choose).replace(tzinfo=None)),
    ),
    ("timestamp with time zone", "scrub.date_shift(v, k::text, 90)", lambda choose: str(_moment(choose))),
]


@pytest.fixture
def table(scrub: Connection) -> Iterator[Connection]:
    scrub.execute("SET timezone = 'UTC'; SET client_min_messages = warning; DROP TABLE IF EXISTS pg_temp.t")
    yield scrub
    scrub.execute("DROP TABLE IF EXISTS pg_temp.t")


def _filled(table: Connection, type_: str, values: list[str | None]) -> None:
    table.execute(trusted(f"CREATE TEMP TABLE t (k bigint, v {type_})"))
    with table.cursor().copy("COPY pg_temp.t FROM STDIN") as copy:
        for number, value in enumerate(values):
            copy.write_row((number, value))


def _copied(table: Connection, select: str) -> bytes:
    return copied_out(table, trusted(f"COPY (SELECT {select} FROM pg_temp.t AS t ORDER BY k) TO STDOUT"))


def _both(table: Connection, of: TableShape, sql: str) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """The rows as the SQL and as the compiled functions give them, and those that these declined."""
    made = _copied(table, f"k, {sql}")
    clean: CompiledTable = compiled(of)
    declined: list[bytes] = []

    def by_database(rows: bytes) -> bytes:
        declined.extend(rows.splitlines(keepends=True))
        lines = dict(line.split(b"\t", 1) for line in made.split(b"\n") if line)
        return b"".join(key + b"\t" + lines[key] + b"\n" for key in (row.split(b"\t", 1)[0] for row in declined))

    ours = clean.cleaned(Segment(_copied(table, "k, v"), 2, "t"), by_database)
    return made.split(b"\n"), ours.split(b"\n"), declined


@pytest.mark.parametrize("text", TEXTS)
def test_a_compiled_function_of_texts_gives_what_its_sql_gives(table: Connection, text: str) -> None:
    choose = random.Random(text)
    values = [None, *(_text(choose).replace("\0", "") for _ in range(ROWS))]
    if "digits" in text:
        values = [value and value[:30] for value in values]
    _filled(table, "text", values)
    of = shape({"k": "bigint", "v": "text"}, {"v": expression(text)})
    theirs, ours, declined = _both(table, of, text)
    assert ours == theirs
    assert len(declined) == 0 or ("digits" in text and len(declined) < ROWS / 2)


@pytest.mark.parametrize(("type_", "text", "value"), OTHERS)
def test_a_compiled_function_of_other_types_gives_what_its_sql_gives(
    table: Connection, type_: str, text: str, value: Callable[[random.Random], str]
) -> None:
    choose = random.Random(text)
    _filled(table, type_, [None, *(value(choose) for _ in range(ROWS))])
    of = shape({"k": "bigint", "v": type_}, {"v": expression(text)})
    theirs, ours, declined = _both(table, of, text)
    assert ours == theirs
    assert len(declined) < ROWS


def test_a_length_that_a_value_does_not_fit_is_left_to_the_database_alone(table: Connection) -> None:
    choose = random.Random(3)
    _filled(table, "varchar(60)", [_text(choose).replace("\0", "")[:60] for _ in range(ROWS)])
    of = shape({"k": "bigint", "v": "character varying(60)"}, {"v": expression("scrub.text(v)")})
    theirs, ours, declined = _both(table, of, "scrub.text(v)")
    assert (ours, declined) == (theirs, [])


@pytest.mark.parametrize(
    "paths",
    [
        {"$.a": "email", "$.b.c": "person_name", "$.b.a": "phone"},
        {"$[*].a": "text", "$[*].b[*]": "address"},
        {"$": "token"},
        {"$.é": "company", '$."k\\"': "postcode", "$.a b[*][*]": "url"},
        {"$.a": "phone_unique", "$.b": "person_name_unique", "$.c": "redact"},
    ],
)
def test_a_compiled_document_is_what_scrub_json_makes_of_it(table: Connection, paths: dict[str, str]) -> None:
    choose = random.Random(str(paths))
    _filled(table, "jsonb", [None, *(json.dumps(_document(choose), ensure_ascii=False) for _ in range(ROWS))])
    rules = {path: PathRule(function, 1) for path, function in paths.items()}
    of = shape({"k": "bigint", "v": "jsonb"}, {"v": ColumnRule("json", 1, paths=rules)})
    theirs, ours, declined = _both(table, of, json_expression("v", rules, "jsonb"))
    assert ours == theirs
    assert len(declined) < ROWS / 5
