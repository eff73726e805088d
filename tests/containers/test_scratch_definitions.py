from __future__ import annotations

from etl_runtime.scratch_definitions import definitions_for, tables_with_keys
from etl_runtime.table_keys import Keys
from etl_runtime.toc import Toc, TocEntry

ENTRIES = [
    ("ENCODING", "ENCODING", ()),
    ("EXTENSION", "hstore", ()),
    ("TYPE", "mood", ()),
    ("FUNCTION", "mask(text)", ()),
    ("TABLE", "users", (3,)),
    ("TABLE", "other", ()),
    ("FUNCTION", "of_row(public.kin)", (8,)),
    ("TABLE", "kin", (9,)),
    ("TABLE", "ancestor", ()),
    ("TABLE", "events", ()),
    ("TABLE", "events_2025", ()),
    ("TABLE ATTACH", "events_2025", (10, 11)),
    ("VIEW", "seen", (5,)),
    ("FOREIGN DATA WRAPPER", "wrapper", ()),
    ("SERVER", "far", (14,)),
    ("FOREIGN TABLE", "there", (15,)),
    ("VIEW", "both", (5, 16)),
    ("TABLE DATA", "users", (5,)),
    ("CONSTRAINT", "other other_pkey", (6,)),
    ("FK CONSTRAINT", "users users_other_fkey", (5, 6)),
]


def toc() -> Toc:
    definition = "ALTER TABLE ONLY public.users\n    ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.other(id);\n"
    entries = [
        TocEntry(number, tag, kind, definition if kind == "FK CONSTRAINT" else "", "", "public", None, 0, 0, needs)
        for number, (kind, tag, needs) in enumerate(ENTRIES, 1)
    ]
    entries.append(TocEntry(99, "other", "TABLE DATA", "", "", "public", None, 0, 0, (6,)))
    return Toc((1, 16, 0), "db", "18.1", "18.1", tuple(entries), b"", 0, 0, 4)


def named(tables: list[tuple[str, str]] | None) -> set[str]:
    return {f"{entry.description} {entry.tag}" for entry in definitions_for(toc(), tables)}


def test_without_scripts_the_scratch_gets_the_tables_it_cleans_and_what_expressions_may_name() -> None:
    assert named([("public", "users")]) == {
        "ENCODING ENCODING",
        "EXTENSION hstore",
        "TYPE mood",
        "FUNCTION mask(text)",
        "TABLE users",
        "FUNCTION of_row(public.kin)",
        "TABLE kin",
        "TABLE ancestor",
    }


def test_a_partition_comes_with_the_table_whose_bounds_it_has() -> None:
    assert named([("public", "events_2025")]) >= {"TABLE events", "TABLE events_2025", "TABLE ATTACH events_2025"}


def test_with_scripts_it_gets_all_but_what_is_on_another_server() -> None:
    everything = {f"{kind} {tag}" for kind, tag, _ in ENTRIES} | {"TABLE DATA other"}
    assert everything - named(None) == {
        "FOREIGN DATA WRAPPER wrapper",
        "SERVER far",
        "FOREIGN TABLE there",
        "VIEW both",
    }


def test_tables_that_refer_to_cleaned_ones_are_known_for_their_keys() -> None:
    assert tables_with_keys(Keys(toc()), {("public", "other")}) == {("public", "users"), ("public", "other")}
    assert tables_with_keys(Keys(toc()), {("public", "kin")}) == {("public", "kin")}
