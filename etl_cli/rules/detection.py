"""What kind of personal data a column seems to hold, told from its name and from a sample of its values.

Values are looked at and forgotten: what comes out are kinds and shares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address
from typing import Final

import phonenumbers
from stdnum import iban, luhn
from stdnum.exceptions import ValidationError
from stdnum.gb import nhs
from stdnum.us import ssn

_REGION: Final = "GB"
"""Whose national numbers are recognised without a country code."""
_LEAST_VALUES: Final = 5
_MOST_SHARE: Final = 0.8
_SOME_SHARE: Final = 0.3


class Confidence(IntEnum):
    """How sure a suggestion is."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Evidence:
    """A kind of data, how sure it is, and why, without a value."""

    kind: str
    confidence: Confidence
    why: str


_WORDS: Final[Sequence[tuple[str, str]]] = (
    ("email", r"e_?mails?|e_?mail_addr(?:ess(?:es)?)?|mailto"),
    ("secret", r"pass(?:word|wd|phrase|code)?|pwd|secret|token|(?:api|private)_?key|salt|otp|hash(?:ed)?|credentials?"),
    ("phone", r"(?:tele)?phones?|mobiles?|cell|tel|fax|msisdn|sms"),
    ("ip", r"ip|ip_?addr(?:ess)?|(?:remote|client|last|source)_?(?:ip|addr)|host_?addr"),
    ("postcode", r"post_?codes?|zip(?:_?code)?|postal_?code"),
    ("address", r"address(?:es)?|address_?(?:line)?_?\d|street|house|line_?\d|building"),
    ("birth", r"born|birth(?:day|_?date)?|dob|date_?of_?birth"),
    ("number", r"ssn|nino|ni_?number|national_?insurance|nhs|passport|licen[cs]e|tax|vat|utr|duns|iban|bic|sort_?code|"
     r"account_?(?:no|num|number)|card|pan|registration_?number|company_?number"),
    ("text", r"notes?|comments?|bod(?:y|ies)|messages?|descriptions?|bio|remarks?|feedback|question|answer|content|"
     r"about|reason|summary|text"),
    ("url", r"urls?|websites?|home_?page|links?|avatar|photo_?url"),
    ("company", r"compan(?:y|ies)|employer|organi[sz]ation|trading_?name"),
    ("person", r"(?:first|last|middle|full|given|family|maiden|nick|display|contact|user|sur|fore|legal|customer|"
     r"member|owner|author|sender|recipient|holder|signer|buyer)_?name|surname|forename|nickname|username|names?|author|sender|"
     r"recipient|signatory|login|handle"),
    ("agent", r"user_?agent|browser|device_?id|fingerprint"),
    ("gender", r"gender|sex|ethnicity|religion|nationality|marital|disability|diagnosis"),
    ("place", r"lat(?:itude)?|lon(?:g|gitude)?|geo|location|coordinates"),
    ("money", r"salary|wage|income|rate|balance|turnover"),
)  # fmt: skip
_CODES: Final = re.compile(
    r"(?:^|_)(?:id|uuid|type|kind|status|state|role|code|currency|country|locale|language|lang|time_?zone|slug|version|"
    r"category|level|flag|mode|format|mime|scheme|environment|sha256|md5|checksum|reference|ref|lot|size|topic|template)$"
)
"""Names that as a rule hold no person, though a key may."""
_POSTCODE: Final = re.compile(r"(?:GIR ?0AA|[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2})", re.IGNORECASE)
_EMAIL: Final = re.compile(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+\.[^\s@<>,;:\".]+")
_URL: Final = re.compile(r"(?:https?|ftp)://\S+|www\.\S+\.\S+", re.IGNORECASE)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NAME: Final = re.compile(r"[^\W\d_][^\W\d_'.-]+(?: [^\W\d_]\.?)?(?: [^\W\d_][^\W\d_'.-]+){1,3}")


def _is_ip(value: str) -> bool:
    try:
        ip_address(value.partition("/")[0])
    except ValueError:
        return False
    return not value.isdigit()


def _is_phone(value: str) -> bool:
    if not re.fullmatch(r"\+?[\d\s().\-/x]{7,24}", value) or len(re.sub(r"\D", "", value)) < 9:
        return False
    try:
        number = phonenumbers.parse(value, _REGION)
    except phonenumbers.NumberParseException:
        return False
    # Numbers that are kept for examples are not valid, and are possible.
    return value.lstrip().startswith(("+", "0")) and phonenumbers.is_possible_number(number)


def _by(check: Callable[[str], object], shape: str) -> Callable[[str], bool]:
    """A check of a registered number: its form first, since a check digit alone lets one of ten through."""

    def holds(value: str) -> bool:
        if not re.fullmatch(shape, value.strip(), re.IGNORECASE):
            return False
        try:
            check(value)
        except ValidationError:
            return False
        return True

    return holds


_VALUES: Final[Mapping[str, Callable[[str], bool]]] = {
    "email": lambda value: _EMAIL.fullmatch(value) is not None,
    "ip": _is_ip,
    "url": lambda value: _URL.fullmatch(value) is not None,
    "uuid": lambda value: _UUID.fullmatch(value) is not None,
    "iban": _by(iban.validate, r"[A-Z]{2}\d\d[A-Z0-9 ]{11,36}"),
    "card": _by(lambda value: luhn.validate(re.sub(r"\D", "", value)), r"(?:\d[ -]?){13,19}"),
    "nhs": _by(nhs.validate, r"\d{3}[ -]?\d{3}[ -]?\d{4}"),
    "ssn": _by(ssn.validate, r"\d{3}-\d\d-\d{4}"),
    "phone": _is_phone,
    "postcode": lambda value: _POSTCODE.fullmatch(value) is not None,
    "person": lambda value: _NAME.fullmatch(value) is not None,
}
_NAMES_OF_VALUES: Final = {
    "email": "e-mail addresses",
    "ip": "IP addresses",
    "url": "URLs",
    "iban": "IBANs",
    "card": "card numbers",
    "nhs": "NHS numbers",
    "ssn": "social security numbers",
    "phone": "telephone numbers",
    "postcode": "postcodes",
    "person": "names of two or more words",
    "uuid": "UUIDs",
}
_NUMBERS: Final = frozenset({"iban", "card", "nhs", "ssn"})
_WEAK: Final = frozenset({"person", "uuid", "card", "nhs"})
"""Kinds whose form alone other things have, too."""


def kind_by_name(name: str) -> str:
    """The kind that a name speaks of, or nothing: `customerEmail`, `Buyer Email` and `email_2` are `email`."""
    words = "_".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)).lower()
    for kind, pattern in _WORDS:
        if re.search(rf"(?:^|_)(?:{pattern})(?:_\d+)?$", words) or re.search(rf"^(?:{pattern})(?:_|$)", words):
            return kind
    return ""


def is_code(name: str) -> bool:
    """Whether the name is one of a code, a state or a key."""
    words = "_".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)).lower()
    return _CODES.search(words) is not None


def detect(name: str, values: Sequence[str]) -> Evidence | None:
    """What a column of text seems to hold; None where neither its name nor its values say anything.

    Args:
        name: Of the column, or of the key of a JSON document.
        values: A sample, without NULLs and empty texts.
    """
    named = kind_by_name(name)
    best, share = _best(values)
    by_values = _by_values(named, best, share) if len(values) >= _LEAST_VALUES else None
    if by_values is not None:
        return by_values
    if named:
        agree = best and _kind(best) == named and share >= _SOME_SHARE
        why = f"its name, and some values are {_NAMES_OF_VALUES[best]}" if agree else "its name"
        return Evidence(named, Confidence.HIGH if agree else Confidence.MEDIUM, why)
    if any(_EMAIL.search(value) for value in values):
        return Evidence("text", Confidence.LOW, "e-mail addresses stand in some values")
    if best and best not in _WEAK:
        return Evidence(_kind(best), Confidence.LOW, f"some values are {_NAMES_OF_VALUES[best]}")
    return None


def _by_values(named: str, best: str, share: float) -> Evidence | None:
    """What most values say by themselves, where other things have not the same form."""
    if not best or share < _MOST_SHARE:
        return None
    if best not in _WEAK or named in (best, "number", "person"):
        return Evidence(_kind(best), Confidence.HIGH, f"most values are {_NAMES_OF_VALUES[best]}")
    if best == "person" and not named:
        return Evidence("person", Confidence.LOW, f"most values look like {_NAMES_OF_VALUES[best]}")
    return None


def _kind(value_kind: str) -> str:
    return "number" if value_kind in _NUMBERS else value_kind


def _best(values: Sequence[str]) -> tuple[str, float]:
    """The kind that most values are of, and their share; the first of equals, so the stricter one."""
    if not values:
        return "", 0.0
    counts = {kind: sum(map(holds, values)) for kind, holds in _VALUES.items()}
    kind = max(counts, key=lambda kind: counts[kind])
    return (kind, counts[kind] / len(values)) if counts[kind] else ("", 0.0)
