"""What a stack registered, as a Terraform plan: the form in which scanners read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from tests.infra.engine import Deployment, Registered

TYPES: Final = {
    "aws:ec2/securityGroup": "aws_security_group",
    "aws:rds/instance": "aws_db_instance",
    "aws:rds/parameterGroup": "aws_db_parameter_group",
    "aws:rds/subnetGroup": "aws_db_subnet_group",
    "aws:sqs/redriveAllowPolicy": "aws_sqs_queue_redrive_allow_policy",
}
"""Where Terraform's name is not made of the module's and the type's."""

SINGULAR: Final = {"parameters": "parameter", "rules": "rule", "settings": "setting", "volumes": "volume"}
"""Blocks, which may be repeated; Pulumi names the list, Terraform its item."""

MAPS: Final = {"dimensions", "input_paths", "tags"}
"""Attributes that are maps and not blocks."""


def plan(deployment: Deployment) -> dict[str, Any]:
    """The plan that creates every AWS resource of a deployment.

    Rules that look at connections follow `references`; without them a bucket has no versioning, whatever is registered.
    """
    resources = [r for r in deployment.resources if r.type.startswith("aws:")]
    known: dict[str, str] = {}
    for value, reference in _known(resources):
        known.setdefault(value, reference)  # a bucket before its settings, which carry its name
    planned = [
        {
            "address": _address(r),
            "mode": "managed",
            "type": _type(r),
            "name": _name(r),
            "provider_name": "registry.terraform.io/hashicorp/aws",
            "schema_version": 0,
            "values": _block(r.inputs),
        }
        for r in resources
    ]
    return {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": planned}},
        "resource_changes": [
            {**entry, "change": {"actions": ["create"], "before": None, "after": entry["values"], "after_unknown": {}}}
            for entry in planned
        ],
        "configuration": {
            "root_module": {
                "resources": [
                    {
                        "address": _address(r),
                        "mode": "managed",
                        "type": _type(r),
                        "name": _name(r),
                        "expressions": _expressions(_block(r.inputs), known, _address(r)),
                    }
                    for r in resources
                ]
            }
        },
    }


def _known(resources: list[Registered]) -> Iterator[tuple[str, str]]:
    """What each resource is known by, once it is there → how an expression refers to it."""
    for resource in resources:
        for output in ("bucket", "name", "url", "keyId", "arn", "id"):
            value = resource.outputs.get(output)
            if isinstance(value, str):
                yield value, f"{_address(resource)}.{output}"


def _expressions(value: Any, known: dict[str, str], own: str) -> Any:
    if isinstance(value, dict):
        return {key: _expressions(inner, known, own) for key, inner in value.items()}
    if isinstance(value, list):
        if value and isinstance(value[0], dict):
            return [_expressions(inner, known, own) for inner in value]
        references = [ref for item in value if (ref := _reference(item, known, own))]
        return {"references": [*references, *(ref.rpartition(".")[0] for ref in references)]} if references else {}
    reference = _reference(value, known, own)
    if reference:
        return {"references": [reference, reference.rpartition(".")[0]]}
    return {"constant_value": value}


def _reference(value: Any, known: dict[str, str], own: str) -> str:
    reference = known.get(value, "") if isinstance(value, str) else ""
    return "" if reference.startswith(f"{own}.") else reference


def _block(inputs: dict[str, Any]) -> dict[str, Any]:
    block: dict[str, Any] = {}
    for camel, value in inputs.items():
        name = SINGULAR.get(_snake(camel), _snake(camel))
        if isinstance(value, dict) and name not in MAPS:
            block[name] = [_block(value)]
        elif isinstance(value, list):
            block[name] = [_block(item) if isinstance(item, dict) else item for item in value]
        else:
            block[name] = value
    return block


def _snake(camel: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"_{match[1].lower()}", camel)


def _type(resource: Registered) -> str:
    token = resource.type.rpartition(":")[0]
    module, _, kind = token.removeprefix("aws:").partition("/")
    return TYPES.get(token, f"aws_{module}_{_snake(kind)}")


def _name(resource: Registered) -> str:
    return re.sub(r"\W", "_", resource.name)


def _address(resource: Registered) -> str:
    return f"{_type(resource)}.{_name(resource)}"
