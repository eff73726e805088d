"""Which of an archive's definitions the scratch needs: a run costs what its tables cost, not what the schema does."""

from __future__ import annotations

from collections.abc import Collection

from etl_runtime.table_keys import Keys, Name
from etl_runtime.toc import Toc, TocEntry

_FOREIGN = frozenset({"FOREIGN DATA WRAPPER", "SERVER", "USER MAPPING", "FOREIGN TABLE"})
"""The scratch reaches no other server, and an ordinary role may not define one."""
_OF_ROWS = frozenset({"TABLE", "TABLE ATTACH", "DEFAULT", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "SEQUENCE OWNED BY"})
"""What an expression over a row has no use for, but that it may be the table of the row."""
_AFTER_ROWS = frozenset(
    {
        "BLOB",
        "BLOB METADATA",
        "BLOBS",
        "CHECK CONSTRAINT",
        "COMMENT",
        "CONSTRAINT",
        "EVENT TRIGGER",
        "FK CONSTRAINT",
        "INDEX",
        "INDEX ATTACH",
        "MATERIALIZED VIEW DATA",
        "POLICY",
        "ROW SECURITY",
        "RULE",
        "SEQUENCE SET",
        "STATISTICS",
        "TABLE DATA",
        "TRIGGER",
    }
)
"""What pg_restore makes of tables once they have their rows; for their sake no table is needed here."""


def definitions_for(toc: Toc, tables: Collection[Name] | None) -> list[TocEntry]:
    """The entries to define, in the archive's order; which of them come before data is pg_restore's to say.

    Args:
        toc: The archive's.
        tables: Those that expressions are evaluated on; None where scripts may name anything.
    """
    entries = {entry.dump_id: entry for entry in toc.entries}
    left_out: set[int] = set()
    for entry in toc.entries:
        if entry.description in _FOREIGN or not left_out.isdisjoint(entry.dependencies):
            left_out.add(entry.dump_id)
    wanted = set(entries) if tables is None else _closure(toc, entries, tables)
    return [entry for entry in toc.entries if entry.dump_id in wanted and entry.dump_id not in left_out]


def _closure(toc: Toc, entries: dict[int, TocEntry], tables: Collection[Name]) -> set[int]:
    """Types, functions and whatever else may be named in an expression, the tables, and all that these need."""
    attached = {(e.schema, e.tag): e.dump_id for e in toc.entries if e.description == "TABLE ATTACH"}
    pending = [
        entry.dump_id
        for entry in toc.entries
        if entry.description not in _OF_ROWS | _AFTER_ROWS
        or (entry.description == "TABLE" and (entry.schema, entry.tag) in tables)
    ]
    wanted: set[int] = set()
    while pending:
        number = pending.pop()
        entry = entries.get(number)
        if entry is None or number in wanted:
            continue
        wanted.add(number)
        pending += entry.dependencies
        # Bounds are those of all that a partition is a part of.
        if entry.description == "TABLE" and (entry.schema, entry.tag) in attached:
            pending.append(attached[entry.schema, entry.tag])
    return wanted


def tables_with_keys(keys: Keys, rewritten: Collection[Name]) -> set[Name]:
    """The rewritten tables, and those that refer to one of them or that one of them refers to."""
    found = set(rewritten)
    for reference in keys.references:
        both = {*reference.children, *reference.parents}
        if not both.isdisjoint(rewritten):
            found |= both
    return found
