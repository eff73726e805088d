"""What a program says of a resource beside its inputs: parent, protection, aliases, which inputs are secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Alias:
    """A former identity of a resource, as its options give it; "" in a part means that it has not changed.

    Attributes:
        urn: the whole identity; the other parts are then empty.
        name: the former logical name.
        type: the former type token.
        parent: the URN of the former parent.
        had_no_parent: whether it stood at the top of the stack.
    """

    urn: str = ""
    name: str = ""
    type: str = ""
    parent: str = ""
    had_no_parent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One resource as the program registered it.

    Attributes:
        urn: its identity.
        type: the Pulumi type token, such as `aws:s3/bucket:Bucket`.
        name: the logical name.
        inputs: its resolved inputs, keys in Pulumi's camelCase; secrets stand there in the clear.
        secrets: the inputs that are secret, or hold one at whatever depth.
        parent: the parent's URN, "" at the top of the stack.
        custom: whether a provider makes it; a component only holds others.
        provider: the logical name of the provider that the program gave it, "" if it gave none.
        depends_on: URNs that it waits for although no input comes from them, sorted.
        aliases: its former identities.
        options: the other options that are set, named as `pulumi.ResourceOptions` names them in camelCase.
    """

    urn: str
    type: str
    name: str
    inputs: dict[str, Any]
    secrets: frozenset[str]
    parent: str
    custom: bool
    provider: str
    depends_on: tuple[str, ...]
    aliases: tuple[Alias, ...]
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def of(cls, request: Any, urn: str, inputs: dict[str, Any], secrets: frozenset[str]) -> Registration:
        """Read Pulumi's own message.

        Args:
            request: a `RegisterResourceRequest`.
            urn: the identity that the resource was given.
            inputs: the message's inputs, resolved.
            secrets: those of them that are secret.
        """
        through_inputs = {source for sources in request.propertyDependencies.values() for source in sources.urns}
        options = {
            "protect": request.protect,
            "retainOnDelete": request.retainOnDelete,
            "deleteBeforeReplace": request.deleteBeforeReplace,
            "ignoreChanges": sorted(request.ignoreChanges),
            "replaceOnChanges": sorted(request.replaceOnChanges),
            "import": request.importId,
        }
        return cls(
            urn=urn,
            type=request.type,
            name=request.name,
            inputs=inputs,
            secrets=secrets,
            parent="" if _type_of(request.parent) == "pulumi:pulumi:Stack" else request.parent,
            custom=request.custom,
            provider=request.provider.rpartition("::")[0].rpartition("::")[2],
            depends_on=tuple(sorted(set(request.dependencies) - through_inputs)),
            aliases=tuple(_alias(alias) for alias in request.aliases),
            options={name: value for name, value in options.items() if value},
        )


def _alias(message: Any) -> Alias:
    if message.WhichOneof("alias") == "urn":
        return Alias(urn=message.urn)
    spec = message.spec
    return Alias(name=spec.name, type=spec.type, parent=spec.parentUrn, had_no_parent=spec.noParent)


def _type_of(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2] if urn else ""
