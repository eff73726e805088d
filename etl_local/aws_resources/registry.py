"""Which function makes which type of AWS resource, and the check that it used every input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Inputs: TypeAlias = dict[str, Any]
"""A resource's inputs, keys in Pulumi's camelCase. A maker takes out (`pop`) every one that it understands."""

Made: TypeAlias = tuple[str, dict[str, Any]]
"""A resource's identifier, and its outputs beside its inputs."""


class UnknownResourceError(Exception):
    """A resource type, an input or a function that the stand-in does not know: nothing is skipped silently."""


@dataclass
class Account:
    """The account in which resources are made.

    Attributes:
        client: a client by service name, such as `s3`.
        account_id: twelve digits.
        region: of everything.
        default_tags: what the provider adds to every resource's tags.
        databases: by RDS instance identifier, what an existing instance answers.
    """

    client: Callable[[str], Any]
    account_id: str
    region: str
    default_tags: dict[str, str] = field(default_factory=dict[str, str])
    databases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a regional resource."""
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"

    def tags(self, inputs: Inputs) -> dict[str, str]:
        """A resource's own tags over the provider's; taken out of its inputs."""
        return {**self.default_tags, **(inputs.pop("tags", None) or {})}

    def tag_list(self, inputs: Inputs, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
        """The same as a list of pairs, as most services want them."""
        return [{key: name, value: text} for name, text in self.tags(inputs).items()]


Maker: TypeAlias = Callable[[Account, Inputs], Made]
Answer: TypeAlias = Callable[[Account, Inputs], dict[str, Any]]

_makers: dict[str, Maker] = {}
_answers: dict[str, Answer] = {}


def makes(type_token: str) -> Callable[[Maker], Maker]:
    """Mark a function as the one that makes a type of resource."""

    def register(maker: Maker) -> Maker:
        _makers[type_token] = maker
        return maker

    return register


def answers(token: str) -> Callable[[Answer], Answer]:
    """Mark a function as the one that answers a provider function."""

    def register(answer: Answer) -> Answer:
        _answers[token] = answer
        return answer

    return register


def make(account: Account, type_token: str, inputs: Mapping[str, Any]) -> Made:
    """Make one resource.

    Returns:
        its identifier, and all its properties.

    Raises:
        UnknownResourceError: nothing makes this type, or its maker does not know one of the inputs.
        ClientError: the service refused.
    """
    maker = _makers.get(type_token)
    if maker is None:
        raise UnknownResourceError(f"the stand-in cannot make {type_token}")
    left = {name: value for name, value in inputs.items() if value is not None}
    identifier, outputs = maker(account, left)
    if left:
        raise UnknownResourceError(f"the stand-in does not know what {', '.join(sorted(left))} of {type_token} does")
    return identifier, {**inputs, **outputs}


def answer(account: Account, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one provider function.

    Raises:
        UnknownResourceError: nothing answers it, or it does not know one of the arguments.
    """
    found = _answers.get(token)
    if found is None:
        raise UnknownResourceError(f"the stand-in cannot answer {token}")
    left = {name: value for name, value in arguments.items() if value is not None}
    result = found(account, left)
    if left:
        raise UnknownResourceError(f"the stand-in does not know what {', '.join(sorted(left))} of {token} does")
    return result


def pascal(value: Any, renamed: Mapping[str, str] = {}) -> Any:  # read only
    """A structure with its keys in AWS's PascalCase.

    Args:
        value: dicts, lists and scalars, keys in camelCase.
        renamed: the keys that AWS writes in another way, such as `{"id": "ID"}`.
    """
    if isinstance(value, Mapping):
        return {
            renamed.get(key, key[:1].upper() + key[1:]): pascal(inner, renamed)
            for key, inner in value.items()
            if inner is not None
        }
    if isinstance(value, list):
        return [pascal(inner, renamed) for inner in value]
    return value
