"""What rules are held against: the tables of a database with all that decides whether a cleaned row still fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from etl_runtime.toc import identifiers, relation

Identity = Literal["", "ALWAYS", "BY DEFAULT"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `type` is as `format_type` has it, with its schema."""

    type: str
    not_null: bool = False
    is_generated: bool = False
    identity: Identity = ""
    has_default: bool = False


@dataclass(frozen=True, slots=True)
class UniqueIndex:
    """What may occur once. `columns` are the indexed ones; `expression` stands for an index on more than columns."""

    columns: tuple[str, ...]
    expression: str = ""
    predicate: str = ""
    nulls_not_distinct: bool = False


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference: `columns` to `referenced` ones of another table. Where it is not valid, it binds new rows alone."""

    columns: tuple[str, ...]
    table: str
    referenced: tuple[str, ...]
    is_valid: bool = True


@dataclass(frozen=True, slots=True)
class Check:
    """A CHECK constraint: its expression, and the columns that it looks at."""

    expression: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        name: as rules have it, quoted where SQL needs it.
        kind: an ordinary table, a partition or an unlogged one holds rows of its own; a partitioned one does not, and
            of a foreign one a dump has none.
        columns: by name, in order.
        primary_key: its columns.
        unique: index name → what is unique, the primary key left out.
        checks: constraint name → check.
        foreign_keys: constraint name → reference; those of a partition that it has of its parent are left out.
        parents: the names of what it is a partition of, or inherits from.
    """

    name: str
    kind: Literal["table", "partitioned", "foreign"] = "table"
    columns: Mapping[str, Column] = field(default_factory=dict[str, Column])
    primary_key: tuple[str, ...] = ()
    unique: Mapping[str, UniqueIndex] = field(default_factory=dict[str, UniqueIndex])
    checks: Mapping[str, Check] = field(default_factory=dict[str, Check])
    foreign_keys: Mapping[str, ForeignKey] = field(default_factory=dict[str, ForeignKey])
    parents: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[str, str]:
        """Schema and name, unquoted."""
        schema, name = identifiers(self.name)
        return schema, name

    @property
    def dumped_columns(self) -> dict[str, Column]:
        """The columns that a dump has values of: those that are not generated."""
        return {name: column for name, column in self.columns.items() if not column.is_generated}


@dataclass(frozen=True, slots=True)
class TypeDefinition:
    """A type of the database's own: an enum's labels, a composite's attributes, a domain's or a range's base."""

    kind: Literal["enum", "composite", "domain", "range"]
    labels: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    base: str = ""
    not_null: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    """A database without its rows.

    Attributes:
        major: of the server.
        extensions: name → schema.
        types: name → definition.
        functions: `schema.name(arguments)` → the type that it gives; those that can stand in an expression.
        tables: by name.
        places: where data hides beside rows (see `etl_runtime.rules.PLACES`) → what is there, by name, no contents.
    """

    major: int
    extensions: Mapping[str, str] = field(default_factory=dict[str, str])
    types: Mapping[str, TypeDefinition] = field(default_factory=dict[str, TypeDefinition])
    functions: Mapping[str, str] = field(default_factory=dict[str, str])
    tables: Mapping[str, Table] = field(default_factory=dict[str, Table])
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    @property
    def with_rows(self) -> tuple[Table, ...]:
        """The tables of which a dump has rows."""
        return tuple(table for table in self.tables.values() if table.kind == "table")

    def leaves(self, name: str) -> tuple[Table, ...]:
        """The tables that hold the rows of one: itself, and what is a partition of it or inherits from it."""
        return tuple(table for table in self._family(name) if table.kind == "table")

    def _family(self, name: str) -> Iterator[Table]:
        if name in self.tables:
            yield self.tables[name]
        for table in self.tables.values():
            if name in table.parents:
                yield from self._family(table.name)

    def ancestors(self, name: str) -> frozenset[str]:
        """The names of all that a table is a part of, and its own."""
        table = self.tables.get(name)
        above = [self.ancestors(parent) for parent in table.parents] if table else []
        return frozenset({name}).union(*above)

    def base_type(self, name: str) -> str:
        """A type's own name, or what its domain stands on in the end."""
        definition = self.types.get(name)
        return self.base_type(definition.base) if definition and definition.kind == "domain" else name

    def place(self, name: str) -> tuple[str, ...]:
        """What there is in a place, by name."""
        derived: dict[str, list[str]] = {
            "defaults": [t.name for t in self.tables.values() if any(c.has_default for c in t.columns.values())],
            "enum_labels": [type_name for type_name, definition in self.types.items() if definition.kind == "enum"],
            "check_expressions": [table.name for table in self.tables.values() if table.checks],
        }
        return (*derived.get(name, []), *self.places.get(name, ()))


def table_name(schema: str, name: str) -> str:
    """A table's name as rules and snapshots have it."""
    return relation(schema, name)
