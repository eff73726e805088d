"""The rules of names, labels and annotations in Kubernetes, as field faults."""

from __future__ import annotations

import re
from collections.abc import Iterator

from etl_local.kubernetes_status import FieldFault, invalid_value

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_PART = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation "
    "is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_KEY_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_ANNOTATION_BYTES = 256 << 10

Faults = Iterator[FieldFault]


def dns_label_faults(path: str, name: str) -> Faults:
    """An RFC 1123 label: a namespace, a container, a volume."""
    if len(name) > 63:
        yield invalid_value(path, name, "must be no more than 63 bytes")
    if not _LABEL.fullmatch(name):
        yield invalid_value(path, name, _LABEL_RULE)


def subdomain_faults(path: str, name: str) -> Faults:
    """An RFC 1123 subdomain: the name of most objects."""
    if len(name) > 253:
        yield invalid_value(path, name, "must be no more than 253 bytes")
    if not _SUBDOMAIN.fullmatch(name):
        yield invalid_value(path, name, _SUBDOMAIN_RULE)


def _key(path: str, key: str) -> Faults:
    prefix, separator, name = key.rpartition("/")
    if separator and not _SUBDOMAIN.fullmatch(prefix):
        yield invalid_value(path, key, "prefix part " + _SUBDOMAIN_RULE)
    if not name:
        yield invalid_value(path, key, "name part must be non-empty")
    elif len(name) > 63:
        yield invalid_value(path, key, "name part must be no more than 63 bytes")
    if not _NAME_PART.fullmatch(name):
        yield invalid_value(path, key, _KEY_RULE)


def label_faults(path: str, labels: dict[str, str] | None) -> Faults:
    """Keys and values of labels."""
    for key, value in (labels or {}).items():
        yield from _key(path, key)
        if len(value) > 63:
            yield invalid_value(path, value, "must be no more than 63 bytes")
        if value and not _NAME_PART.fullmatch(value):
            yield invalid_value(path, value, _VALUE_RULE)


def annotation_faults(path: str, annotations: dict[str, str] | None) -> Faults:
    """Keys of annotations, and their size together."""
    for key in annotations or {}:
        yield from _key(path, key.lower())
    size = sum(len(key.encode()) + len(value.encode()) for key, value in (annotations or {}).items())
    if size > _ANNOTATION_BYTES:
        yield FieldFault("FieldValueTooLong", path, f"Too long: may not be more than {_ANNOTATION_BYTES} bytes")
