"""A recorded stack as one readable document: resources by their place, policies and machines as structures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, cast

import yaml

from etl_local.registration import Alias, Registration
from etl_local.rendering.recorded_stack import RecordedStack
from etl_local.rendering.yaml_text import yaml_text

SECRET: Final = "[secret]"  # noqa: S105  # what stands in place of one
BETWEEN: Final = " / "
_NO_PROVIDER: Final = "default"
"""What the engine would use in place of the stack's own provider: whatever account the caller is signed in to."""
_HEADING: Final = """\
# What stack {stack} registers, as its program runs without an account; `make preview-offline` writes this file.
# ARNs, addresses and ids that only a cloud could give are made up from names; a secret is {secret}.
"""
_FIRST: Final = ("Sid", "id", "name", "Name", "type", "apiVersion", "kind", "metadata", "Version", "Effect")

Document = dict[str, Any]


def stack_document(stack: RecordedStack) -> Document:
    """What a reviewer reads of a stack.

    Returns:
        `stack`, `exports`, `lookups` (what the program asks of the account), and `resources`: place → type, former
        identities, options that are set, inputs. A place is the path of logical names from the stage down.
    """
    deployment = stack.deployment
    by_urn = {registration.urn: registration for registration in deployment.registrations}
    places = _places(by_urn)
    return {
        "stack": stack.name,
        "exports": {
            name: SECRET if name in deployment.secret_outputs else _readable(value)
            for name, value in sorted(deployment.outputs.items())
        },
        "lookups": [f"{token} {json.dumps(arguments, sort_keys=True)}" for token, arguments in stack.lookups],
        "resources": {
            places[urn]: _resource(by_urn[urn], by_urn) for urn in sorted(by_urn, key=lambda urn: places[urn])
        },
    }


def stack_text(document: Document) -> str:
    """The document as YAML, the same for the same document."""
    return _HEADING.format(stack=document["stack"], secret=SECRET) + yaml_text(document)


def identity(registration: Registration, by_urn: Mapping[str, Registration]) -> str:
    """What tells a resource from the others of its stack: the types from the top down, and the name.

    The end of its URN at a real engine; the double's own URNs leave out all types but the last two.
    """
    above = by_urn.get(registration.parent)
    types = f"{identity(above, by_urn).rpartition('::')[0]}$" if above else ""
    return f"{types}{registration.type}::{registration.name}"


def _places(by_urn: Mapping[str, Registration]) -> dict[str, str]:
    def path(registration: Registration) -> str:
        above = by_urn.get(registration.parent)
        return f"{path(above)}{BETWEEN}{registration.name}" if above else registration.name

    paths = {urn: path(registration) for urn, registration in by_urn.items()}
    shared = {place for place in paths.values() if list(paths.values()).count(place) > 1}
    return {urn: f"{place} ({by_urn[urn].type})" if place in shared else place for urn, place in paths.items()}


def _resource(registration: Registration, by_urn: Mapping[str, Registration]) -> dict[str, Any]:
    package = registration.type.partition(":")[0]
    resource: dict[str, Any] = {"type": registration.type}
    former = sorted(former_identities(registration, by_urn))
    if former:
        resource["aliases"] = former
    if registration.custom and package not in ("pulumi", registration.provider):
        resource["provider"] = registration.provider or _NO_PROVIDER
    resource |= registration.options
    if registration.depends_on:
        resource["dependsOn"] = sorted(by_urn[urn].name for urn in registration.depends_on if urn in by_urn)
    inputs = {
        key: SECRET if key in registration.secrets else _input(registration.type, key, value)
        for key, value in registration.inputs.items()
    }
    if inputs:
        resource["inputs"] = _ordered(inputs)
    return resource


def former_identities(registration: Registration, by_urn: Mapping[str, Registration]) -> set[str]:
    """Every identity that the engine would take for this resource: its own aliases, and those of what stands above.

    A child of a renamed parent is found by the parent's former name in its own, as Pulumi does:
    https://www.pulumi.com/docs/iac/concepts/resources/options/aliases/
    """
    above = by_urn.get(registration.parent)
    parents = [identity(above, by_urn), *former_identities(above, by_urn)] if above else [""]
    found: set[str] = set()
    for alias in (Alias(), *(alias for alias in registration.aliases if not _is_of_its_provider(alias, registration))):
        if alias.urn:
            found.add(_end_of(alias.urn))
        elif alias.had_no_parent:
            found.add(_below("", registration, alias, above))
        elif alias.parent:
            given = by_urn.get(alias.parent)
            parent = identity(given, by_urn) if given else _end_of(alias.parent)
            found.add(_below(parent, registration, alias, above))
        else:
            found |= {_below(parent, registration, alias, above) for parent in parents}
    return found - {identity(registration, by_urn)}


def _is_of_its_provider(alias: Alias, registration: Registration) -> bool:
    """Whether the provider's package gives the alias, for a type token of its own that it once renamed."""
    return bool(alias.type) and not alias.name and registration.custom


def _end_of(urn: str) -> str:
    return "::".join(urn.split("::")[2:]).removeprefix("pulumi:pulumi:Stack$")


def _below(parent: str, registration: Registration, alias: Alias, above: Registration | None) -> str:
    """The identity that a resource had below a parent of this identity."""
    types, _, parent_name = parent.rpartition("::")
    name = alias.name or registration.name
    if above and parent and not alias.name and name.startswith(above.name):
        name = parent_name + name.removeprefix(above.name)
    kind = alias.type or registration.type
    return f"{types}${kind}::{name}" if types else f"{kind}::{name}"


def _input(kind: str, key: str, value: Any) -> Any:
    if kind == "kubernetes:core/v1:ConfigMap" and key in ("data", "binaryData") and isinstance(value, dict):
        files = cast(dict[str, str], value)
        return {name: _file(text) for name, text in sorted(files.items())}
    return _readable(value)


def _file(text: str) -> Any:
    """A manifest as a structure; any other content by its digest, for its own file is where it is reviewed."""
    content = text.encode()
    try:
        manifest = yaml.safe_load(text)
    except yaml.YAMLError:
        manifest = None
    if isinstance(manifest, dict) and {"apiVersion", "kind"} <= manifest.keys():
        return _unfolded(manifest)
    return f"sha256:{hashlib.sha256(content).hexdigest()} ({len(content)} bytes)"


def _readable(value: Any) -> Any:
    """JSON text as the structure that it is, in its own order; the order of other objects, which is chance, settled."""
    match value:
        case str() if value.startswith(("{", "[")):
            try:
                return _unfolded(json.loads(value))
            except ValueError:
                return value
        case dict():
            return _ordered({key: _readable(item) for key, item in cast(dict[str, Any], value).items()})
        case list():
            return [_readable(item) for item in cast(list[Any], value)]
        case _:
            return value


def _unfolded(value: Any) -> Any:
    """JSON inside JSON as well."""
    match value:
        case dict():
            return {key: _unfolded(item) for key, item in cast(dict[str, Any], value).items()}
        case list():
            return [_unfolded(item) for item in cast(list[Any], value)]
        case str():
            return _readable(value)
        case _:
            return value


def _ordered(entries: Mapping[str, Any]) -> dict[str, Any]:
    def rank(key: str) -> tuple[int, str]:
        return (_FIRST.index(key) if key in _FIRST else len(_FIRST), key)

    return {key: entries[key] for key in sorted(entries, key=rank)}
