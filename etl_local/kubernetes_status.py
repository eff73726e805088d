"""The refusals of a Kubernetes API server: a `Status` document with the code, reason, words and details it would give.

Texts follow k8s.io/apimachinery `api/errors`; clients are known to match on reasons and on some of the words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from etl_local.kubernetes_kinds import ResourceType

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class KubernetesError(Exception):
    """A request that the API server refuses.

    Attributes:
        code: the HTTP status.
        reason: the machine-readable `reason`, such as `AlreadyExists`.
        message: the text for people.
        details: the `details` object, possibly empty.
    """

    def __init__(
        self, code: int, message: str, *, reason: str | None = None, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason or _REASONS.get(code, "")
        self.message = message
        self.details = details or {}

    def status(self) -> dict[str, Any]:
        """The `Status` document."""
        document: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            document["reason"] = self.reason
        if self.details:
            document["details"] = self.details
        return document | {"code": self.code}


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One fault of an invalid object: a cause type, the field's path, and the words after the path."""

    cause: str
    field: str
    message: str


def required(field: str, detail: str = "") -> FieldFault:
    """A field that must be given."""
    return FieldFault("FieldValueRequired", field, "Required value" + (f": {detail}" if detail else ""))


def invalid_value(field: str, value: Any, detail: str) -> FieldFault:
    """A field of the wrong form."""
    return FieldFault("FieldValueInvalid", field, f"Invalid value: {json.dumps(value)}: {detail}")


def unsupported(field: str, value: Any, supported: Sequence[str]) -> FieldFault:
    """A field whose value is not of its closed set."""
    words = ", ".join(json.dumps(word) for word in supported)
    return FieldFault(
        "FieldValueNotSupported", field, f"Unsupported value: {json.dumps(value)}: supported values: {words}"
    )


def duplicate(field: str, value: Any) -> FieldFault:
    """A value that may occur only once."""
    return FieldFault("FieldValueDuplicate", field, f"Duplicate value: {json.dumps(value)}")


def forbidden_value(field: str, detail: str) -> FieldFault:
    """A field that may not be set, or not be changed."""
    return FieldFault("FieldValueForbidden", field, f"Forbidden: {detail}")


def _details(kind: ResourceType, name: str) -> dict[str, Any]:
    details = {"name": name, "group": kind.group, "kind": kind.plural}
    return {key: value for key, value in details.items() if value}


def not_found(kind: ResourceType, name: str) -> KubernetesError:
    """404: no such object."""
    return KubernetesError(404, f'{kind.qualified} "{name}" not found', details=_details(kind, name))


def already_exists(kind: ResourceType, name: str, *, deleting: bool = False) -> KubernetesError:
    """409: the name is taken, perhaps by an object that is on its way out."""
    prefix = "object is being deleted: " if deleting else ""
    message = f'{prefix}{kind.qualified} "{name}" already exists'
    return KubernetesError(409, message, reason="AlreadyExists", details=_details(kind, name))


def conflict(kind: ResourceType, name: str, why: str | None = None) -> KubernetesError:
    """409: the object is not the one that the request was made for."""
    why = why or ("the object has been modified; please apply your changes to the latest version and try again")
    message = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}'
    return KubernetesError(409, message, details=_details(kind, name))


def invalid(kind: ResourceType, name: str, faults: Sequence[FieldFault]) -> KubernetesError:
    """422: the object breaks the rules of its kind, all of them told at once."""
    texts = list(dict.fromkeys(f"{fault.field}: {fault.message}" for fault in faults))
    told = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    causes = [{"reason": fault.cause, "message": fault.message, "field": fault.field} for fault in faults]
    details = _details(kind, name) | {"kind": kind.kind, "causes": causes}
    return KubernetesError(422, f'{kind.qualified_kind} "{name}" is invalid: {told}', details=details)


def forbidden(kind: ResourceType, name: str, why: str, causes: Sequence[dict[str, str]] = ()) -> KubernetesError:
    """403: an authorizer or an admission rule says no."""
    subject = f'{kind.qualified} "{name}"' if name else kind.qualified
    details = _details(kind, name) | ({"causes": list(causes)} if causes else {})
    return KubernetesError(403, f"{subject} is forbidden: {why}", details=details)


def expired(version: int, oldest: int) -> KubernetesError:
    """410: the history that a watch wants to resume from is gone."""
    return KubernetesError(410, f"too old resource version: {version} ({oldest})")


def bad_request(message: str) -> KubernetesError:
    """400: the request makes no sense."""
    return KubernetesError(400, message)
