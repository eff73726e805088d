"""Keys that cleaned rows must still hold to: unique ones and references, as the archive defines them.

The scratch has no index and no constraint on tables that no script reaches, so what a load would refuse is told here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from etl_runtime.toc import Toc, TocEntry, identifiers

Name = tuple[str, str]
"""Schema and table."""

_UNIQUE = re.compile(
    r"ALTER TABLE (?:ONLY )?(.+)\n\s+ADD CONSTRAINT (.+) (PRIMARY KEY|UNIQUE)(?: NULLS NOT DISTINCT)? \((.+?)\)"
)
_UNIQUE_INDEX = re.compile(
    r"CREATE UNIQUE INDEX (.+) ON (?:ONLY )?(.+) USING btree \(([^()]+)\)(?: INCLUDE \(.+\))?;\n*"
)
_REFERENCE = re.compile(
    r"ALTER TABLE (?:ONLY )?(.+)\n\s+ADD CONSTRAINT (.+) FOREIGN KEY \((.+?)\) REFERENCES (.+?)\((.+?)\)(.*);"
)
_ATTACH = re.compile(r"ALTER TABLE (?:ONLY )?(.+) ATTACH PARTITION (.+) (?:FOR VALUES|DEFAULT)")
_OF_INDEX = re.compile(r" (?:ASC|DESC|NULLS FIRST|NULLS LAST)\b")


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """Columns that no two rows of a table may share."""

    table: Name
    name: str
    columns: tuple[str, ...]
    is_primary: bool


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: `columns` of every table in `children` hold what `parent_columns` of some table in `parents` do.

    A partitioned table stands there as the tables that have its rows.
    """

    name: str
    children: tuple[Name, ...]
    columns: tuple[str, ...]
    parents: tuple[Name, ...]
    parent_columns: tuple[str, ...]


class Keys:
    """What an archive says of keys."""

    def __init__(self, toc: Toc) -> None:
        self._with_rows = {(entry.schema, entry.tag) for entry in toc.table_data}
        self._partitions: dict[Name, list[Name]] = defaultdict(list)
        for entry in toc.entries:
            if entry.description == "TABLE ATTACH" and (match := _ATTACH.match(entry.definition)):
                self._partitions[_name(match[1])].append(_name(match[2]))
        self.unique = tuple(key for entry in toc.entries if (key := _unique(entry)) is not None)
        self.references = tuple(
            Reference(
                identifiers(match[2])[0],
                self._leaves(_name(match[1])),
                identifiers(match[3]),
                self._leaves(_name(match[4])),
                identifiers(match[5]),
            )
            for entry in toc.entries
            if entry.description == "FK CONSTRAINT"
            and (match := _REFERENCE.match(entry.definition))
            and "NOT VALID" not in match[6]
        )

    def _leaves(self, name: Name) -> tuple[Name, ...]:
        """The tables that have a table's rows: itself, or its partitions."""
        below = tuple(leaf for partition in self._partitions[name] for leaf in self._leaves(partition))
        return ((name,) if name in self._with_rows else ()) + below

    def primary(self, table: Name) -> tuple[str, ...]:
        """The columns of a table's primary key; none where it has none."""
        return next((key.columns for key in self.unique if key.table == table and key.is_primary), ())


def _name(text: str) -> Name:
    """Schema and name; pg_dump always writes both."""
    parts = identifiers(text)
    return (parts[-2], parts[-1]) if len(parts) > 1 else ("", text)


def _unique(entry: TocEntry) -> UniqueKey | None:
    """The key that an entry makes; None where it makes none, or one of expressions or of some rows alone."""
    if entry.description == "CONSTRAINT" and (match := _UNIQUE.match(entry.definition)):
        return UniqueKey(_name(match[1]), identifiers(match[2])[0], identifiers(match[4]), match[3] == "PRIMARY KEY")
    if entry.description == "INDEX" and (match := _UNIQUE_INDEX.fullmatch(entry.definition)):
        columns = identifiers(_OF_INDEX.sub("", match[3]))
        return UniqueKey(_name(match[2]), identifiers(match[1])[0], columns, False)
    return None
