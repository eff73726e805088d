"""Keys of what will be released: pseudonyms that collide, and references to nothing, stop the run and not the load."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from etl_runtime.classification import ClassifiedTable
from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.proof.digest_store import DigestPool, DigestStore
from etl_runtime.proof.kernel import Digests, Key, Segment
from etl_runtime.table_keys import Keys, Name, Reference, UniqueKey
from etl_runtime.table_shape import TableShape
from etl_runtime.toc import relation


@dataclass(frozen=True, slots=True)
class _Part:
    """Columns of one table whose values together go into a store."""

    table: Name
    columns: tuple[str, ...]
    store: DigestStore


@dataclass(frozen=True, slots=True)
class KeyDigests:
    """What some rows gave: an array for each part of their table."""

    found: Sequence[tuple[DigestStore, Digests]]


class ReleasedKeys:
    """The keys that cleaning can break. `examine` may be called in any thread, the rest in one.

    A unique key can when an expression or a script makes one of its columns; a reference can, too, when a filter or
    `truncate` takes away rows that others refer to.

    Args:
        tables: All classified tables.
        rewritten: Those that are written anew.
        keys: Of the archive.
        directory: An existing directory for digests that do not fit in memory.
        key: Of the digests.
    """

    def __init__(
        self,
        tables: Collection[ClassifiedTable],
        rewritten: Collection[ClassifiedTable],
        keys: Keys,
        directory: Path,
        key: Key,
    ) -> None:
        self._key = key
        self._pool = DigestPool(directory)
        self._tables = {_name(table): table for table in tables}
        self._emptied = {_name(table) for table in tables if table.empties}
        self._fewer = {_name(table) for table in tables if table.rule.where} | self._emptied
        self._changed = {_name(table): {name for name, _ in table.scrubbed} for table in rewritten}
        self._unique: list[tuple[UniqueKey, DigestStore]] = []
        self._references: list[tuple[Reference, DigestStore, DigestStore]] = []
        self._parts: list[_Part] = []
        for unique in keys.unique:
            if unique.table not in self._emptied and not self._kept(unique.table, unique.columns):
                store = self._pool.store()
                self._unique.append((unique, store))
                self._parts.append(_Part(unique.table, unique.columns, store))
        for reference in keys.references:
            if self._breakable(reference):
                self._watch(reference)

    def _kept(self, table: Name, columns: Collection[str]) -> bool:
        return self._changed.get(table, set()).isdisjoint(columns)

    def _breakable(self, reference: Reference) -> bool:
        if self._emptied.issuperset(reference.children):
            return False
        return (
            not self._fewer.isdisjoint(reference.parents)
            or not all(self._kept(table, reference.columns) for table in reference.children)
            or not all(self._kept(table, reference.parent_columns) for table in reference.parents)
        )

    def _watch(self, reference: Reference) -> None:
        children, parents = self._pool.store(), self._pool.store()
        self._references.append((reference, children, parents))
        for tables, columns, store in (
            (reference.children, reference.columns, children),
            (reference.parents, reference.parent_columns, parents),
        ):
            self._parts += [_Part(table, columns, store) for table in tables if table not in self._emptied]

    @property
    def tables(self) -> frozenset[Name]:
        """The tables whose rows have to be read for it, written anew or not."""
        return frozenset(part.table for part in self._parts)

    def examine(self, shape: TableShape, segment: Segment) -> KeyDigests:
        """The keys of some rows that will be released."""
        table = _name(shape.table)
        order = {name: number for number, name in enumerate(shape.table.entry.columns)}
        found: list[tuple[DigestStore, Digests]] = []
        for part in self._parts:
            if part.table == table and set(part.columns) <= order.keys():
                columns = [(order[name], shape.column(name).is_padded) for name in part.columns]
                found.append((part.store, segment.tuples(columns, self._key)))
        return KeyDigests(found)

    def note(self, digests: KeyDigests) -> None:
        """Keep what `examine` found."""
        for store, found in digests.found:
            store.add(found)

    def conclude(self) -> None:
        """Hold the keys together.

        Raises:
            Fault: DATA, naming keys, lines and counts, when rows collide or refer to nothing.
        """
        told = [
            f"{repeated} rows of {self._told(key.table)} have another's {', '.join(key.columns)}, and {key.name} is"
            " unique: use a function that is injective"
            for key, store in self._unique
            if (repeated := store.repeated())
        ]
        told += [
            self._dangling(reference, missing)
            for reference, children, parents in self._references
            if (missing := children.missing_from(parents))
        ]
        if told:
            raise Fault(ExitCode.DATA, f"nothing is released, for no load would take it: {'; '.join(told)}")

    def _dangling(self, reference: Reference, missing: int) -> str:
        child, parent = reference.children[0], reference.parents[0]
        advice = (
            "let both be scrubbed alike"
            if self._fewer.isdisjoint(reference.parents)
            else "filter them too, empty them or set the column to NULL"
        )
        return (
            f"{missing} rows of {self._told(child)} would refer to rows of {self._told(parent)} that are not there"
            f" ({reference.name}): {advice}"
        )

    def _told(self, name: Name) -> str:
        table = self._tables.get(name)
        return f"{relation(*name)} (columns.yaml:{table.rule.line})" if table else relation(*name)


def _name(table: ClassifiedTable) -> Name:
    return table.entry.schema, table.entry.tag
