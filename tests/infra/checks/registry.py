"""The register of checks, and what most of them ask of a document."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from tests.infra.engine import Deployment, Registered

Check: TypeAlias = Callable[[Deployment], Iterator[str]]

CHECKS: dict[str, Check] = {}
"""The sentence that must hold → what names everything of a deployment in which it does not."""


def check(sentence: str) -> Callable[[Check], Check]:
    """Register a check under the sentence that must hold."""

    def register(function: Check) -> Check:
        assert sentence not in CHECKS, sentence
        CHECKS[sentence] = function
        return function

    return register


def failing(deployment: Deployment) -> set[str]:
    """The sentences that do not hold."""
    return {sentence for sentence, function in CHECKS.items() if any(True for _ in function(deployment))}


def each(deployment: Deployment, kind: str, holds: Callable[[Registered], Any]) -> Iterator[str]:
    """The names of the resources of a kind for which something does not hold."""
    yield from (resource.name for resource in deployment.all(kind) if not holds(resource))


def of_each_bucket(deployment: Deployment, kind: str, holds: Callable[[Registered], Any]) -> Iterator[str]:
    """The buckets that have no resource of a kind, or one for which something does not hold."""
    settings = {resource.inputs["bucket"]: resource for resource in deployment.all(kind)}
    for bucket in deployment.all("s3/bucket:Bucket"):
        found = settings.get(bucket.inputs["bucket"])
        if found is None or not holds(found):
            yield bucket.name


def listed(value: Any) -> list[Any]:
    """The value as a list, as IAM reads it."""
    return value if isinstance(value, list) else [value]


def statements(document: dict[str, Any], effect: str = "Allow") -> list[dict[str, Any]]:
    """The statements of one effect."""
    return [statement for statement in listed(document["Statement"]) if statement["Effect"] == effect]


def actions(statement: dict[str, Any]) -> set[str]:
    return set(listed(statement["Action"]))


def condition(statement: dict[str, Any], operator: str, key: str) -> Any:
    """What a statement's condition says of a key, None if nothing."""
    return statement.get("Condition", {}).get(operator, {}).get(key)


def denies(document: dict[str, Any], action: str, operator: str, key: str, value: Any) -> bool:
    """Whether everybody is denied an action where a condition has this value; beside it any other may stand."""
    return any(
        statement["Principal"] == "*"
        and {action, action.partition(":")[0] + ":*"} & actions(statement)
        and condition(statement, operator, key) == value
        for statement in statements(document, "Deny")
    )


def role_statements(deployment: Deployment) -> Iterator[tuple[Registered, dict[str, Any]]]:
    """Every statement of every role's policy."""
    for policy in deployment.all("RolePolicy"):
        for statement in statements(policy.document("policy")):
            yield policy, statement
