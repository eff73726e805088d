"""Which tables scrub scripts can reach: a guess from names and foreign keys, to be held against what they did reach."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from etl_runtime.toc import Toc, TocEntry, identifiers

_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_WORDS = re.compile(r'"((?:[^"]|"")+)"|([A-Za-z_][\w$]*)')
_LARGE_OBJECTS = re.compile(r"\blo_\w+\s*\(|\bloread\b|\blowrite\b|pg_largeobject", re.IGNORECASE)
_FOREIGN_KEY = re.compile(r"ALTER TABLE (?:ONLY )?(.+?)\n\s+ADD CONSTRAINT .+? FOREIGN KEY \(.+?\) REFERENCES (.+?)\(")
_ROUTINES = frozenset({"FUNCTION", "PROCEDURE"})
_OF_TABLES = frozenset(
    {
        "TABLE DATA",
        "CONSTRAINT",
        "CHECK CONSTRAINT",
        "FK CONSTRAINT",
        "INDEX",
        "INDEX ATTACH",
        "TRIGGER",
        "RULE",
        "POLICY",
        "ROW SECURITY",
        "STATISTICS",
    }
)
"""What is restored for the tables that are reached, and for no other."""


def _words(text: str) -> frozenset[str]:
    """Every name that SQL text may mean: quoted ones as they are, others in lower case."""
    found = _WORDS.findall(_COMMENTS.sub(" ", text))
    return frozenset(quoted.replace('""', '"') if quoted else bare.lower() for quoted, bare in found)


def _union(sets: Iterable[set[int]]) -> set[int]:
    return {number for one in sets for number in one}


class Reach:
    """The tables of an archive, and how one leads to another.

    A guess may be short: a script can build a name, a function can call another server. So it only decides what is
    loaded at first; what a script really touched is asked of Postgres before its transaction ends.
    """

    def __init__(self, toc: Toc) -> None:
        self._toc = toc
        self._entries = {entry.dump_id: entry for entry in toc.entries}
        self._tables = {entry.dump_id: entry for entry in toc.entries if entry.description == "TABLE"}
        self._by_name = {(entry.schema, entry.tag): entry.dump_id for entry in self._tables.values()}
        self._children: dict[int, set[int]] = defaultdict(set)
        self._parents: dict[int, set[int]] = defaultdict(set)
        for entry in toc.entries:
            if entry.description == "FK CONSTRAINT" and (match := _FOREIGN_KEY.search(entry.definition)):
                child, parent = (self._by_name.get(self._pair(match[number])) for number in (1, 2))
                if child is not None and parent is not None:
                    self._children[parent].add(child)
                    self._parents[child].add(parent)
        self._kin = self._families()

    @staticmethod
    def _pair(text: str) -> tuple[str, str]:
        """Schema and name; pg_dump always writes both."""
        names = identifiers(text)
        return (names[-2], names[-1]) if len(names) > 1 else ("", text)

    def _families(self) -> dict[int, set[int]]:
        """Partitions and inheritance: a table is reached with all of its family."""
        family = {table: {table} for table in self._tables}
        for entry in self._toc.entries:
            if entry.description not in ("TABLE", "TABLE ATTACH"):
                continue
            members = {table for table in (entry.dump_id, *entry.dependencies) if table in self._tables}
            joined = _union(family[member] for member in members)
            for member in joined:
                family[member] = joined
        return family

    @property
    def everything(self) -> frozenset[int]:
        """The dump ids of all tables."""
        return frozenset(self._tables)

    def guess(self, scripts: Iterable[str]) -> frozenset[int]:
        """The dump ids of the tables that the scripts' texts lead to.

        Named tables, views' and functions' own tables, tables with a foreign key to one that is reached (a delete may
        cascade to them) and what their triggers name, and the tables that reached ones refer to (a foreign key looks
        them up). All tables where large objects or materialized views are named, which hold data of their own.
        """
        texts = list(scripts)
        if any(_LARGE_OBJECTS.search(text) for text in texts):
            return self.everything
        reached: set[int] = set()
        pending = self._named(_words("\n".join(texts)))
        while pending:
            new = _union(self._kin.get(number, {number}) for number in pending) - reached
            reached |= new
            pending = _union(self._led_to(self._entries[number]) for number in new) - reached
        if any(self._entries[number].description == "MATERIALIZED VIEW" for number in reached):
            return self.everything
        tables = reached & self._tables.keys()
        looked_up = _union(self._parents[table] for table in tables)
        return frozenset(tables | _union(self._kin[table] for table in looked_up))

    def _named(self, words: Collection[str]) -> set[int]:
        """Tables, views and routines that have one of these names, in whatever schema."""
        return {
            entry.dump_id
            for entry in self._toc.entries
            if (entry.description in ("TABLE", "VIEW", "MATERIALIZED VIEW") and entry.tag in words)
            or (entry.description in _ROUTINES and entry.tag.partition("(")[0] in words)
        }

    def _led_to(self, entry: TocEntry) -> set[int]:
        if entry.description in _ROUTINES:
            return self._named(_words(entry.definition)) - {entry.dump_id}
        if entry.description in ("VIEW", "MATERIALIZED VIEW"):
            return {number for number in entry.dependencies if self._is(number, "TABLE", "VIEW", "MATERIALIZED VIEW")}
        triggers = [e for e in self._toc.entries if e.description == "TRIGGER" and entry.dump_id in e.dependencies]
        called = {number for trigger in triggers for number in trigger.dependencies if self._is(number, *_ROUTINES)}
        return self._children[entry.dump_id] | called

    def _is(self, number: int, *descriptions: str) -> bool:
        entry = self._entries.get(number)
        return entry is not None and entry.description in descriptions

    def entries(self, tables: Collection[int], wanted: Callable[[TocEntry], bool]) -> list[TocEntry]:
        """Rows, indexes, constraints and triggers of these tables: the entries that belong to no other table.

        Args:
            tables: Dump ids of tables.
            wanted: Whether an entry is to be restored at all.
        """
        chosen = set(tables)
        found: list[TocEntry] = []
        for entry in self._toc.entries:
            if entry.description in _OF_TABLES and wanted(entry):
                of = self._tables_of(entry)
                if of and of <= chosen:
                    found.append(entry)
        return found

    def _tables_of(self, entry: TocEntry) -> set[int]:
        """The tables that an entry is about: those it depends on, itself or through the indexes it uses."""
        found: set[int] = set()
        for number in entry.dependencies:
            other = self._entries.get(number)
            if other is None:
                continue
            if other.description == "TABLE":
                found.add(number)
            elif other.description in ("CONSTRAINT", "INDEX") and other.dump_id != entry.dump_id:
                found |= self._tables_of(other)
        return found

    def names(self, tables: Collection[int]) -> list[tuple[str, str]]:
        """Schema and name of tables."""
        return [(self._tables[table].schema, self._tables[table].tag) for table in sorted(tables)]
