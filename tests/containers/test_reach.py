"""What scrub scripts are guessed to reach, from their text and the archive's own table of contents."""

from __future__ import annotations

import pytest
from etl_runtime.reach import Reach
from etl_runtime.toc import read_toc

from tests.containers.archive_bytes import ENCODING, Entry, table, toc_bytes

TABLES = {
    1: "users",
    2: "sessions",
    3: "suppliers",
    4: "services",
    5: "events",
    6: "events_2025",
    7: "log",
    8: "odd Name",
    9: "alone",
}


def _foreign_key(number: int, child: int, parent: int) -> Entry:
    return Entry(
        dump_id=number,
        tag=f"{TABLES[child]} fk",
        description="FK CONSTRAINT",
        definition=f'ALTER TABLE ONLY public."{TABLES[child]}"\n    ADD CONSTRAINT fk FOREIGN KEY (x)'
        f' REFERENCES public."{TABLES[parent]}"(id) ON DELETE CASCADE;\n',
        dependencies=(child, 100 + parent),
    )


def _primary_key(of: int) -> Entry:
    return Entry(dump_id=100 + of, tag=f"{TABLES[of]} pk", description="CONSTRAINT", dependencies=(of, of))


ARCHIVE = (
    ENCODING,
    *(entry for number, name in TABLES.items() for entry in table(number, name, "id integer")),
    *(_primary_key(number) for number in (1, 3)),
    _foreign_key(201, child=2, parent=1),
    _foreign_key(202, child=1, parent=3),
    _foreign_key(203, child=4, parent=3),
    Entry(dump_id=301, tag="events_2025", description="TABLE ATTACH", dependencies=(5, 6)),
    Entry(dump_id=401, tag="people", description="VIEW", definition="SELECT 1", dependencies=(1,)),
    Entry(dump_id=402, tag="totals", description="MATERIALIZED VIEW", definition="SELECT 1", dependencies=(9,)),
    Entry(dump_id=403, tag="note(integer)", description="FUNCTION", definition="INSERT INTO public.log VALUES (1)"),
    Entry(dump_id=404, tag="alone noted", description="TRIGGER", dependencies=(9, 403)),
    Entry(dump_id=405, tag="users_name", description="INDEX", dependencies=(1,)),
)


@pytest.fixture
def reach() -> Reach:
    return Reach(read_toc(toc_bytes(ARCHIVE)))


@pytest.mark.parametrize(
    ("script", "reached"),
    [
        ("DELETE FROM users;", {"users", "sessions", "suppliers"}),
        ("DELETE FROM public.sessions;", {"sessions", "users"}),
        ("UPDATE Suppliers SET name = 'x';", {"suppliers", "users", "sessions", "services"}),
        ("-- users /* services\nTRUNCATE events; /* log */", {"events", "events_2025"}),
        ("UPDATE events_2025 SET a = 1;", {"events", "events_2025"}),
        ('DELETE FROM "odd Name";', {"odd Name"}),
        ('DELETE FROM "USERS"; SELECT 1;', set()),
        ("UPDATE people SET name = NULL;", {"users", "sessions", "suppliers"}),
        ("SELECT note(1);", {"log"}),
        ("INSERT INTO alone VALUES (1);", {"alone", "log"}),
        ("SELECT * FROM totals;", set(TABLES.values())),
        ("SELECT lo_unlink(x) FROM log;", set(TABLES.values())),
    ],
)
def test_a_script_reaches_what_it_names_and_what_that_leads_to(reach: Reach, script: str, reached: set[str]) -> None:
    assert {name for _, name in reach.names(reach.guess([script]))} == reached


def test_entries_are_those_of_the_chosen_tables_and_of_no_other(reach: Reach) -> None:
    chosen = reach.entries({1, 2}, lambda _: True)
    described = [(entry.description, entry.tag) for entry in chosen]
    assert described == [
        ("TABLE DATA", "users"),
        ("TABLE DATA", "sessions"),
        ("CONSTRAINT", "users pk"),
        ("FK CONSTRAINT", "sessions fk"),
        ("INDEX", "users_name"),
    ]


def test_entries_that_are_not_wanted_are_left_out(reach: Reach) -> None:
    assert reach.entries({9}, lambda entry: entry.description != "TABLE DATA") == [
        entry for entry in reach.entries({9}, lambda _: True) if entry.description == "TRIGGER"
    ]
