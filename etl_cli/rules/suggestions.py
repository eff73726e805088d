"""A first rule for each column: what its type, its name and a sample suggest, and TODO where that is not enough."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from etl_runtime.rules_document import UNDECIDED
from etl_runtime.toc import quoted
from pglast.keywords import COL_NAME_KEYWORDS, RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS

from etl_cli.rules.check_lengths import LENGTHS, Length, fitted, room_of
from etl_cli.rules.detection import Confidence, Evidence, detect, is_code, kind_by_name
from etl_cli.rules.json_leaves import json_leaves
from etl_cli.rules.schema import Column, Schema, Table

_KEYWORDS: Final = COL_NAME_KEYWORDS | RESERVED_KEYWORDS | TYPE_FUNC_NAME_KEYWORDS
_TEXT: Final = re.compile(r"text|character varying.*|character.*|(?:\w+\.)?citext|name")
_NUMBER: Final = re.compile(r"smallint|integer|bigint|numeric.*|real|double precision|money")
_MOMENT: Final = re.compile(r"date|timestamp.*|time(?:[ (].*)?|interval.*")
_DOCUMENT: Final = re.compile(r"jsonb?")
_LIST: Final = re.compile(r"(?:text|character varying.*)\[\]")
_FEW: Final = {
    "phone": "only 1,000 numbers are reserved",
    "postcode": "400,000 postcodes of area ZZ",
    "ip": "only 768 addresses are for documentation",
    "number": "a permutation of all numbers of as many digits",
    "birth": "one person's new birthday may be another's old one",
    "money": "an amount may equal another's by chance",
}
"""Kinds whose pseudonyms may be another row's original, and why."""
_JSON_FUNCTIONS: Final = {
    "email": "email",
    "person": "person_name",
    "phone": "phone",
    "postcode": "postcode",
    "address": "address",
    "ip": "ip",
    "url": "url",
    "company": "company",
    "text": "text",
    "number": "digits",
    "secret": "redact",
}
_EXPRESSIONS: Final = {
    "email": "scrub.email({})",
    "url": "scrub.url({})",
    "person": "scrub.person_name({})",
    "phone": "scrub.phone({})",
    "number": "scrub.digits({})",
    "secret": "'redacted'",
    "postcode": "scrub.postcode({})",
    "address": "scrub.address({})",
    "company": "scrub.company({})",
    "text": "scrub.text({})",
    "ip": "host(scrub.ip({}::inet))",
}
_ONE_TO_ONE: Final = "scrub.token({}, 32)"
_UNIQUE: Final = {
    "email": "scrub.email({})",
    "url": "scrub.url({})",
    "person": "scrub.person_name_unique({})",
    "phone": "scrub.phone_unique({})",
    "number": "scrub.digits({})",
    **dict.fromkeys(("secret", "postcode", "address", "company", "text", "ip"), _ONE_TO_ONE),
}
"""Those that keep a unique column unique."""
_PROOFS_FOR_FEW: Final = {True: "per_row", False: "per_column"}

Values = Callable[[Table, str], Sequence[str]]
"""Gives a sample of a column's values."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What columns.yaml might say of a column.

    Attributes:
        rule: `keep`, `TODO`, or an expression with `{}` in place of the column.
        comment: for whoever decides: how sure it is, and why; no value.
        proof: where it is not the one that goes without saying, and `reason` then.
        paths: JSON path → suggestion, of a document; the rule of each is the name of a function.
    """

    rule: str
    comment: str = ""
    proof: str = ""
    reason: str = ""
    paths: Mapping[str, Suggestion] = field(default_factory=dict[str, "Suggestion"])

    def expression(self, column: str) -> str:
        """The rule of a column."""
        return self.rule.replace("{}", reference(column))


def reference(column: str) -> str:
    """A column in an expression, in quotes where SQL needs them."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", column) and column not in _KEYWORDS
    return column if plain else quoted(column)


class Suggestions:
    """Suggests rules for the columns of a schema.

    Args:
        schema: All of it.
        values: A sample of the values of any column.
    """

    def __init__(self, schema: Schema, values: Values) -> None:
        self._schema = schema
        self._values = values

    def of(self, table: Table, name: str, seen: frozenset[tuple[str, str]] = frozenset()) -> Suggestion:
        """The suggestion for a column; one that refers to another gets the other's, so that they stay equal."""
        for key in table.foreign_keys.values():
            if name in key.columns and (table.name, name) not in seen and key.table in self._schema.tables:
                other = key.referenced[key.columns.index(name)]
                found = self.of(self._schema.tables[key.table], other, seen | {(table.name, name)})
                whence = f"refers to {key.table} ({other})"
                return replace(
                    found, comment=f"{whence}; {found.comment}" if found.rule != "keep" else f"high: {whence}"
                )
        return self._by_type(table, name, table.columns[name])

    def _by_type(self, table: Table, name: str, column: Column) -> Suggestion:
        base = self._schema.base_type(column.type)
        definition = self._schema.types.get(base)
        if definition is not None and definition.kind == "enum":
            is_personal = kind_by_name(name) == "gender"
            return (
                _undecided(column, "says something of a person") if is_personal else Suggestion("keep", "high: an enum")
            )
        for pattern, suggest in (
            (_TEXT, self._text),
            (_NUMBER, self._number),
            (_MOMENT, self._moment),
            (_DOCUMENT, self._document),
            (_LIST, self._array),
        ):
            if pattern.fullmatch(base):
                return suggest(table, name, column)
        return self._other(table, name, column, base)

    def _other(self, table: Table, name: str, column: Column, base: str) -> Suggestion:
        match base:
            case "boolean":
                return Suggestion("keep", "high: yes or no")
            case "uuid":
                return Suggestion("keep", f"medium: a UUID; scrub.uuid({reference(name)}) if others outside know it")
            case "inet":
                return self._with_proof(Suggestion("scrub.ip({})", "high: its type"), table, "ip")
            case "bytea" if not column.not_null:
                return Suggestion("NULL", "medium: bytes, which nothing here looks into")
            case "bytea":
                return _undecided(column, "bytes, which nothing here looks into; '\\x'::bytea leaves none")
            case _:
                return _undecided(column, f"{column.type}, of which nothing here knows what it holds")

    def _text(self, table: Table, name: str, column: Column) -> Suggestion:
        values = self._values(table, name)
        evidence = detect(name, values)
        if evidence is None:
            if is_code(name):
                return Suggestion("keep", "medium: its name is a code's, and no value looks personal")
            return _undecided(column, "text of which neither the name nor a sample says anything")
        if evidence.kind == "uuid":
            return Suggestion("keep", "medium: UUIDs")
        if evidence.confidence is Confidence.LOW:
            return _undecided(column, evidence.why)
        is_unique = self._is_unique(table, name)
        room = room_of(self._schema.base_type(column.type))
        rule = _in_room(_expression_for(evidence.kind, is_unique, bool(table.primary_key)), room)
        if not rule:
            return _undecided(column, f"{evidence.why} ({evidence.kind})")
        suggestion = Suggestion(rule, _told(evidence))
        few = evidence.kind in _FEW and "unique" not in rule
        return self._with_proof(suggestion, table, evidence.kind) if few else suggestion

    def _is_unique(self, table: Table, name: str) -> bool:
        indexes = [table.primary_key, *(index.columns for index in table.unique.values())]
        return any(name in columns for columns in indexes)

    def _with_proof(self, suggestion: Suggestion, table: Table, kind: str) -> Suggestion:
        key_stays = bool(table.primary_key) and all(self._stays(table, part) for part in table.primary_key)
        return replace(suggestion, proof=_PROOFS_FOR_FEW[key_stays], reason=_FEW[kind])

    def _stays(self, table: Table, name: str) -> bool:
        """Whether a column of a key is likely kept; asked without looking at values."""
        base = self._schema.base_type(table.columns[name].type)
        return bool(_NUMBER.fullmatch(base) or _MOMENT.fullmatch(base)) or base in ("uuid", "boolean")

    def _number(self, table: Table, name: str, column: Column) -> Suggestion:
        named = kind_by_name(name)
        if name in table.primary_key:
            return Suggestion("keep", "high: a key without a meaning")
        if is_code(name):
            return Suggestion("keep", "medium: a number, by its name a key or a code")
        if named == "money" and column.type.startswith("numeric") and len(table.primary_key) == 1:
            key = reference(table.primary_key[0])
            return self._with_proof(
                Suggestion(f"scrub.noise({{}}, {key}::text, 0.1)", "medium: its name"), table, named
            )
        if named:
            return _undecided(column, f"a number, by its name of {named}")
        return Suggestion("keep", "medium: a number")

    def _moment(self, table: Table, name: str, column: Column) -> Suggestion:
        named = kind_by_name(name)
        if named != "birth":
            return Suggestion("keep", "medium: a moment")
        if len(table.primary_key) != 1 or not column.type.startswith(("date", "timestamp")):
            return _undecided(column, "a birthday by its name")
        key = reference(table.primary_key[0])
        return self._with_proof(
            Suggestion(f"scrub.date_shift({{}}, {key}::text, 90)", "medium: its name"), table, named
        )

    def _array(self, table: Table, name: str, column: Column) -> Suggestion:
        elements = [
            part.strip('"') for text in self._values(table, name) for part in text.strip("{}").split(",") if part
        ]
        evidence = detect(name, elements)
        if evidence is None or evidence.confidence is Confidence.LOW or evidence.kind not in _JSON_FUNCTIONS:
            return _undecided(column, "a list of texts; scrub.each({}, 'email') for one".replace("{}", reference(name)))
        return Suggestion(f"scrub.each({{}}, '{_JSON_FUNCTIONS[evidence.kind]}')", _told(evidence))

    def _document(self, table: Table, name: str, _column: Column) -> Suggestion:
        leaves = json_leaves(self._values(table, name))
        paths: dict[str, Suggestion] = {}
        for path, values in leaves.items():
            key = re.sub(r"\[\*\]|\.\*", "", path).rpartition(".")[2].strip('"').lstrip("$")
            evidence = detect(key, values)
            if evidence is not None and evidence.confidence is not Confidence.LOW and evidence.kind in _JSON_FUNCTIONS:
                found = Suggestion(_JSON_FUNCTIONS[evidence.kind], _told(evidence))
                paths[path] = self._with_proof(found, table, evidence.kind) if evidence.kind in _FEW else found
            elif (values and not is_code(key)) or evidence is not None:
                why = evidence.why if evidence else "text of which neither the key nor a sample says anything"
                paths[path] = Suggestion(UNDECIDED, why)
        if not leaves:
            return Suggestion(UNDECIDED, "documents, of which the sample has none")
        if not paths:
            return Suggestion(UNDECIDED, "documents; no text in the sample's looks personal")
        return Suggestion("json", "paths that are not named are kept", paths=paths)


def _in_room(rule: str, room: int | None) -> str:
    """The expression, or one that gives no more characters than there is room for; nothing where there is none."""
    call = re.fullmatch(r"scrub\.(\w+)\(\{\}(?:, 32)?\)", rule)
    length = {**LENGTHS, "token": Length(32, 32)}.get(call[1]) if call else None
    # A telephone number is as long as the one that it stands for.
    if room is None or call is None or length is None or (length.least if call[1] == "phone" else length.most) <= room:
        return rule
    return fitted(call[1], "{}", room)


def _told(evidence: Evidence) -> str:
    return f"{evidence.confidence}: {evidence.why}"


def _undecided(column: Column, why: str) -> Suggestion:
    return Suggestion(UNDECIDED, f"{column.type}: {why}" if not why.startswith(column.type) else why)


def _expression_for(kind: str, is_unique: bool, has_key: bool) -> str:
    """The expression for a kind of text; nothing where there is none that a machine should choose."""
    if kind == "phone" and not has_key:
        return _UNIQUE[kind]
    return (_UNIQUE if is_unique else _EXPRESSIONS).get(kind, "")
