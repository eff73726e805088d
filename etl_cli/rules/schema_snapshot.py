"""`schema.yaml`: a schema as a file to commit beside the rules, one line for each column, so that a change can be seen.

It holds names, types and constraints. What a comment, a default or a function's body says is not in it: data can hide
there, which no file under version control should spread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import yaml

from etl_cli.ending import RefusedError
from etl_cli.rules.schema import Check, Column, ForeignKey, Schema, Table, TypeDefinition, UniqueIndex

SNAPSHOT_FILE: Final = "schema.yaml"
_HEAD: Final = """\
# What the rules beside this file are held against: written by `postgres-etl rules snapshot`, not by hand.
"""
_VERSION: Final = 1
_FLAGS: Final = re.compile(
    r"(?P<type>.+?)(?P<not_null> NOT NULL)?(?P<generated> GENERATED)?"
    r"(?: IDENTITY (?P<identity>ALWAYS|BY DEFAULT))?(?P<default> DEFAULT)?"
)
Read = TypeVar("Read")


class _Dumper(yaml.SafeDumper):
    """Mappings one entry a line; lists in one line."""


_Dumper.add_representer(tuple, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, True))


def snapshot_text(schema: Schema) -> str:
    """The whole file."""
    document: dict[str, Any] = {"version": _VERSION, "postgres": schema.major}
    if schema.extensions:
        document["extensions"] = dict(schema.extensions)
    if schema.types:
        document["types"] = {name: _type_document(definition) for name, definition in schema.types.items()}
    if schema.functions:
        document["functions"] = dict(schema.functions)
    document["tables"] = {name: _table_document(table) for name, table in schema.tables.items()}
    if schema.places:
        document["elsewhere"] = {place: list(names) for place, names in schema.places.items()}
    return _HEAD + yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=118, default_flow_style=False
    )


def _type_document(definition: TypeDefinition) -> dict[str, Any]:
    match definition.kind:
        case "enum":
            return {"enum": list(definition.labels)}
        case "composite":
            return {"composite": dict(definition.attributes)}
        case _:
            return {definition.kind: definition.base + (" NOT NULL" if definition.not_null else "")}


def _table_document(table: Table) -> dict[str, Any]:
    document: dict[str, Any] = {} if table.kind == "table" else {"kind": table.kind}
    if table.parents:
        document["parents"] = table.parents
    document["columns"] = {name: _column_text(column) for name, column in table.columns.items()}
    if table.primary_key:
        document["primary_key"] = table.primary_key
    if table.unique:
        document["unique"] = {name: _unique_document(index) for name, index in table.unique.items()}
    if table.checks:
        document["checks"] = {
            name: {"columns": check.columns, "expression": check.expression} for name, check in table.checks.items()
        }
    if table.foreign_keys:
        document["foreign_keys"] = {
            name: {"columns": key.columns, "references": {key.table: key.referenced}}
            | ({} if key.is_valid else {"not_valid": True})
            for name, key in table.foreign_keys.items()
        }
    return document


def _column_text(column: Column) -> str:
    return (
        column.type
        + (" NOT NULL" if column.not_null else "")
        + (" GENERATED" if column.is_generated else "")
        + (f" IDENTITY {column.identity}" if column.identity else "")
        + (" DEFAULT" if column.has_default else "")
    )


def _unique_document(index: UniqueIndex) -> Any:
    more: dict[str, Any] = {"expression": index.expression} if index.expression else {}
    more |= {"where": index.predicate} if index.predicate else {}
    more |= {"nulls_not_distinct": True} if index.nulls_not_distinct else {}
    return {"columns": index.columns, **more} if more else index.columns


def read_snapshot(path: Path) -> Schema:
    """The schema of a snapshot file.

    Raises:
        RefusedError: there is none, or it is none.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RefusedError(
            f"{path} does not exist: write it with `postgres-etl rules snapshot --source …`, and commit it"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{path} cannot be read: {type(error).__name__}") from None
    return parse_snapshot(content, str(path))


def parse_snapshot(content: str, name: str) -> Schema:
    """The schema that a snapshot's text describes.

    Raises:
        RefusedError: it is no snapshot; `name` is what it is called then.
    """
    try:
        document = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
        if document["version"] != _VERSION:
            raise ValueError
        return _schema(document)
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        raise RefusedError(
            f"{name} is no snapshot of a schema: write it anew with `postgres-etl rules snapshot`"
        ) from None


def _schema(document: Mapping[str, Any]) -> Schema:
    return Schema(
        major=int(document["postgres"]),
        extensions=_each(document.get("extensions"), str),
        types=_each(document.get("types"), _type),
        functions=_each(document.get("functions"), str),
        tables={name: _table(name, entry) for name, entry in (document["tables"] or {}).items()},
        places=_each(document.get("elsewhere"), lambda names: tuple(map(str, names))),
    )


def _each(entries: Mapping[str, Any] | None, read: Callable[[Any], Read]) -> dict[str, Read]:
    return {str(name): read(entry) for name, entry in (entries or {}).items()}


def _type(entry: Mapping[str, Any]) -> TypeDefinition:
    ((kind, value),) = entry.items()
    match kind:
        case "enum":
            return TypeDefinition("enum", labels=tuple(map(str, value)))
        case "composite":
            return TypeDefinition("composite", attributes=_each(value, str))
        case "domain" | "range":
            base = cast(str, value)
            return TypeDefinition(kind, base=base.removesuffix(" NOT NULL"), not_null=base.endswith(" NOT NULL"))
        case _:
            raise ValueError(kind)


def _table(name: str, entry: Mapping[str, Any]) -> Table:
    kind = entry.get("kind", "table")
    if kind not in ("table", "partitioned", "foreign"):
        raise ValueError(kind)
    return Table(
        name,
        kind,
        _each(entry["columns"], _column),
        tuple(entry.get("primary_key", ())),
        _each(entry.get("unique"), _unique),
        _each(entry.get("checks"), lambda check: Check(check["expression"], tuple(check["columns"]))),
        _each(entry.get("foreign_keys"), _foreign_key),
        tuple(entry.get("parents", ())),
    )


def _column(text: str) -> Column:
    found = _FLAGS.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return Column(
        found["type"],
        not_null=bool(found["not_null"]),
        is_generated=bool(found["generated"]),
        identity=found["identity"] or "",  # pyright: ignore[reportArgumentType] - the expression has the two words
        has_default=bool(found["default"]),
    )


def _unique(entry: Any) -> UniqueIndex:
    if isinstance(entry, list):
        return UniqueIndex(tuple(entry))
    return UniqueIndex(
        tuple(entry["columns"]),
        entry.get("expression", ""),
        entry.get("where", ""),
        entry.get("nulls_not_distinct", False),
    )


def _foreign_key(entry: Mapping[str, Any]) -> ForeignKey:
    ((table, referenced),) = entry["references"].items()
    return ForeignKey(tuple(entry["columns"]), table, tuple(referenced), not entry.get("not_valid", False))
