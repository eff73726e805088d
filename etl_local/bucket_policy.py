"""Whether a bucket policy denies a request: its Deny statements for everybody, conditions judged as S3 does.

Other statements need no judging: the stand-in has one identity, which its account allows everything. For the same
reason those are left out that deny something to everybody but a few roles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

_WHO: Final = "aws:PrincipalArn"
_UPLOAD_PARTS: Final = ("uploads", "partNumber")


class ConditionError(Exception):
    """A condition that the stand-in cannot judge, so that it could not say whether a request is denied."""


@dataclass(frozen=True, slots=True)
class S3Request:
    """What a policy asks about a request.

    Attributes:
        method: of HTTP.
        resource: the ARN of the object or bucket.
        query: the parameters in the URL.
        headers: by name in lower case.
    """

    method: str
    resource: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def action(self) -> str:
        """The IAM action of a request for one object."""
        verb = {"GET": "Get", "HEAD": "Get", "DELETE": "Delete"}.get(self.method, "Put")
        return f"s3:{verb}Object{'Tagging' if 'tagging' in self.query else ''}"

    @property
    def creates_object(self) -> bool:
        """Whether an object is there afterwards: parts of an upload, and its beginning, create none yet."""
        return self.action == "s3:PutObject" and not any(name in self.query for name in _UPLOAD_PARTS)


def _header(name: str) -> Callable[[S3Request], str | None]:
    return lambda request: request.headers.get(name)


_VALUES: Final[Mapping[str, Callable[[S3Request], str | None]]] = {
    "aws:SecureTransport": lambda _: "true",  # the loopback interface, in the place of TLS
    "s3:ObjectCreationOperation": lambda request: str(request.creates_object).lower(),
    "s3:if-none-match": _header("if-none-match"),
    "s3:x-amz-server-side-encryption": _header("x-amz-server-side-encryption"),
    "s3:x-amz-server-side-encryption-aws-kms-key-id": _header("x-amz-server-side-encryption-aws-kms-key-id"),
    "s3:x-amz-server-side-encryption-customer-algorithm": _header("x-amz-server-side-encryption-customer-algorithm"),
}
"""Condition key → its value in a request, None where the request has none."""


def _some(test: Callable[[str, str], bool]) -> Callable[[str | None, list[str]], bool]:
    return lambda actual, wanted: actual is not None and any(test(actual, one) for one in wanted)


def _none(test: Callable[[str, str], bool]) -> Callable[[str | None, list[str]], bool]:
    # a negated operator is met by a request without the key:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    return lambda actual, wanted: actual is None or not any(test(actual, one) for one in wanted)


def _equal(one: str, other: str) -> bool:
    return one == other


_OPERATORS: Final[Mapping[str, Callable[[str | None, list[str]], bool]]] = {
    "Bool": _some(lambda actual, wanted: actual.lower() == wanted.lower()),
    "Null": lambda actual, wanted: (actual is None) == (wanted[0].lower() == "true"),
    "StringEquals": _some(_equal),
    "StringNotEquals": _none(_equal),
    "StringLike": _some(fnmatchcase),
    "StringNotLike": _none(fnmatchcase),
}


def check_conditions(policy: Mapping[str, Any]) -> None:
    """Check that every Deny statement for everybody can be judged.

    Raises:
        ConditionError: an operator or a key is not known here.
    """
    for statement in _denials(policy):
        for operator, keys in statement.get("Condition", {}).items():
            unknown = [key for key in keys if key not in _VALUES]
            if operator not in _OPERATORS or unknown:
                raise ConditionError(f"the stand-in cannot judge {operator} of {', '.join(unknown) or 'anything'}")


def denies(policy: Mapping[str, Any], request: S3Request) -> bool:
    """Whether a policy that `check_conditions` has let pass denies a request."""
    return any(
        any(_matches(pattern, request.action) for pattern in _listed(statement["Action"]))
        and _is_about(statement, request.resource)
        and all(
            _OPERATORS[operator](_VALUES[key](request), [str(one) for one in _listed(wanted)])
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
        for statement in _denials(policy)
    )


def _is_about(statement: Mapping[str, Any], resource: str) -> bool:
    if "NotResource" in statement:
        return not any(_matches(pattern, resource) for pattern in _listed(statement["NotResource"]))
    return any(_matches(pattern, resource) for pattern in _listed(statement["Resource"]))


def _denials(policy: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        statement
        for statement in _listed(policy["Statement"])
        if statement["Effect"] == "Deny" and statement.get("Principal") in ("*", {"AWS": "*"})
        # the stand-in's one identity is none of the roles that a statement may name
        if not any(_WHO in keys for keys in statement.get("Condition", {}).values())
    ]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _matches(pattern: str, text: str) -> bool:
    """IAM's wildcards: `*` and `?`, and nothing else has a meaning."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, re.DOTALL) is not None
