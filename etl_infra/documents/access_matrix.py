"""Who may do what with which resource: derived from the policies that stacks register, and from nothing else.

A right counts when every policy that has a say allows it. In its own account a role's policy is enough, but for keys,
whose policies are the whole of what may be done with them: there both must agree. Across accounts both must, always.
What a policy denies to everybody (plaintext, another key …) is not subtracted: it restricts how, not who.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Protocol, TypeAlias, cast

from etl_infra.documents.iam import Statement

BUCKET_POLICY: Final = "aws:s3/bucketPolicy:BucketPolicy"
ENCRYPTION: Final = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
KEY: Final = "aws:kms/key:Key"
PROVIDER: Final = "pulumi:providers:aws"
ROLE: Final = "aws:iam/role:Role"
ROLE_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
SECRET: Final = "aws:secretsmanager/secret:Secret"  # noqa: S105 - a type's token
GUARDS: Final = (
    BUCKET_POLICY,
    "aws:secretsmanager/secretPolicy:SecretPolicy",
    "aws:sns/topicPolicy:TopicPolicy",
    "aws:sqs/queuePolicy:QueuePolicy",
)
ENCRYPTED_THINGS: Final = ("kms:EncryptionContext:aws:s3:arn", "kms:EncryptionContext:SecretARN")

Conditions: TypeAlias = Mapping[str, Mapping[str, Any]]


class Resource(Protocol):
    """A registered resource: type token, and its resolved inputs and outputs with Pulumi's keys."""

    @property
    def type(self) -> str:
        """Such as `aws:s3/bucket:Bucket`."""
        ...

    @property
    def inputs(self) -> dict[str, Any]:
        """What the program gave."""
        ...

    @property
    def outputs(self) -> dict[str, Any]:
        """What became of it; of keys and secrets `arn` is read."""
        ...


@dataclass(frozen=True, order=True, kw_only=True)
class Right:
    """One cell of the matrix.

    Attributes:
        principal: a role by its name, a service by its domain.
        action: as IAM names it, such as `s3:GetObject`.
        resource: an ARN or a pattern of ARNs.
        condition: what else must hold, "" if nothing.
    """

    principal: str
    action: str
    resource: str
    condition: str = ""


def access_matrix(stacks: Mapping[str, Sequence[Resource]]) -> list[Right]:
    """Every right that the policies of these stacks give, sorted.

    Args:
        stacks: environment → what its stack registered. A right across accounts shows only with both sides' stacks.
    """
    guards = [guard for resources in stacks.values() for guard in _guards(resources)]
    encrypted = _encrypted([resource for resources in stacks.values() for resource in resources])
    rights = {right for guard in guards for right in _of_services(guard)}
    for resources in stacks.values():
        for role in _roles(resources):
            rights |= {right for statement in role.statements for right in _granted(role, statement, guards, encrypted)}
    return sorted(rights)


def may(rights: Iterable[Right], principal: str, action: str, resource: str) -> bool:
    """Whether a principal may do this with one resource, whatever else must hold."""
    return any(
        right.principal == principal and right.action == action and fnmatchcase(resource, right.resource)
        for right in rights
    )


@dataclass(frozen=True, kw_only=True)
class _Role:
    name: str
    account: str
    statements: list[Statement]

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:role/{self.name}"


@dataclass(frozen=True, kw_only=True)
class _Guard:
    """The policy of a resource; of a key, which its own policy calls "*", the ARN stands beside it."""

    account: str
    statements: list[Statement]
    key_arn: str = ""

    def covers(self, arn: str) -> bool:
        """Whether this is the policy that has a say about the resource."""
        if self.key_arn:
            return arn == self.key_arn
        return any(arn.partition("/")[0] == pattern.partition("/")[0] for pattern in self._patterns())

    def admits(self, role: _Role, action: str, arn: str, conditions: Conditions) -> Iterator[str]:
        """The part of an ARN pattern with which the policy lets a role do this."""
        for statement in _of_effect(self.statements, "Allow"):
            if action not in _listed(statement["Action"]) or not _is_meant(statement, role, conditions):
                continue
            for pattern in [self.key_arn] if self.key_arn else _listed(statement["Resource"]):
                if fnmatchcase(arn, pattern):
                    yield arn
                elif fnmatchcase(pattern, arn):
                    yield pattern

    def _patterns(self) -> list[str]:
        return [pattern for statement in self.statements for pattern in _listed(statement.get("Resource", []))]


def _guards(resources: Sequence[Resource]) -> Iterator[_Guard]:
    account = _account(resources)
    for resource in resources:
        if resource.type == KEY:
            key_arn = str(resource.outputs["arn"])
            yield _Guard(account=account, statements=_statements(resource.inputs["policy"]), key_arn=key_arn)
        elif resource.type in GUARDS:
            yield _Guard(account=account, statements=_statements(resource.inputs["policy"]))


def _roles(resources: Sequence[Resource]) -> Iterator[_Role]:
    account = _account(resources)
    for resource in resources:
        if resource.type == ROLE_POLICY:
            statements = _of_effect(_statements(resource.inputs["policy"]), "Allow")
            yield _Role(name=str(resource.inputs["role"]), account=account, statements=statements)


def _encrypted(resources: Sequence[Resource]) -> set[tuple[str, str]]:
    """Each key with each bucket and secret that it encrypts."""
    pairs: set[tuple[str, str]] = set()
    for resource in resources:
        if resource.type == ENCRYPTION:
            bucket = f"arn:aws:s3:::{resource.inputs['bucket']}"
            for rule in resource.inputs["rules"]:
                pairs.add((str(rule["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"]), bucket))
        elif resource.type == SECRET:
            pairs.add((str(resource.inputs["kmsKeyId"]), str(resource.outputs["arn"])))
    return pairs


def _granted(
    role: _Role, statement: Statement, guards: Sequence[_Guard], encrypted: set[tuple[str, str]]
) -> Iterator[Right]:
    conditions: Conditions = statement.get("Condition", {})
    things = [
        thing
        for keys in conditions.values()
        for key, values in keys.items()
        if key in ENCRYPTED_THINGS
        for thing in _listed(values)
    ]
    for action in _listed(statement["Action"]):
        for pattern in _listed(statement["Resource"]):
            is_key = action.startswith("kms:")
            reached = [guard for guard in guards if guard.key_arn and fnmatchcase(guard.key_arn, pattern)]
            arns = [guard.key_arn for guard in reached] if is_key else [pattern]
            for arn in arns:
                if things and not any((arn, thing) in encrypted for thing in things):
                    continue
                asked = [guard for guard in guards if guard.covers(arn)]
                if is_key or any(guard.account != role.account for guard in asked):
                    allowed = {part for guard in asked for part in guard.admits(role, action, arn, conditions)}
                else:
                    allowed = {arn}
                for part in allowed:
                    yield Right(principal=role.name, action=action, resource=part, condition=_text(conditions))


def _of_services(guard: _Guard) -> Iterator[Right]:
    for statement in _of_effect(guard.statements, "Allow"):
        principal = statement["Principal"]
        if not isinstance(principal, dict) or "Service" not in principal:
            continue
        service = str(cast(dict[str, Any], principal)["Service"])
        condition = _text(statement.get("Condition", {}))
        for action in _listed(statement["Action"]):
            for arn in [guard.key_arn] if guard.key_arn else _listed(statement["Resource"]):
                yield Right(principal=service, action=action, resource=arn, condition=condition)


def _is_meant(statement: Statement, role: _Role, asked: Conditions) -> bool:
    """Whether a resource's policy means this role, by its account and its conditions, asking in this way."""
    principal = statement["Principal"]
    accounts = _listed(cast(dict[str, Any], principal).get("AWS", [])) if isinstance(principal, dict) else []
    if f"arn:aws:iam::{role.account}:root" not in accounts:
        return False
    said: dict[str, list[str]] = {"aws:PrincipalArn": [role.arn], "kms:CallerAccount": [role.account]}
    for keys in asked.values():
        for key, values in keys.items():
            said.setdefault(key, []).extend(_listed(values))
    return all(
        set(_listed(values)) & set(said.get(key, ()))
        for keys in statement.get("Condition", {}).values()
        for key, values in keys.items()
        if key in said or key.startswith("kms:")
    )


def _account(resources: Sequence[Resource]) -> str:
    """The only account in which the stack's provider works."""
    (provider,) = [resource for resource in resources if resource.type == PROVIDER]
    (account,) = json.loads(provider.inputs["allowedAccountIds"])
    return str(account)


def _statements(document: str) -> list[Statement]:
    return cast(list[Statement], json.loads(document)["Statement"])


def _of_effect(statements: Sequence[Statement], effect: str) -> list[Statement]:
    return [statement for statement in statements if statement["Effect"] == effect]


def _listed(value: Any) -> list[str]:
    return [str(item) for item in cast(list[Any], value)] if isinstance(value, list) else [str(value)]


def _text(conditions: Conditions) -> str:
    return "; ".join(
        f"{key} {operator} {', '.join(_listed(values))}"
        for operator, keys in sorted(conditions.items())
        for key, values in sorted(keys.items())
    )
