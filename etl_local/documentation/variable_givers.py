"""Who gives a program its variables, read from what a stack deploys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from etl_runtime import contract

from etl_local.rendering.stack_document import Document

Variables = dict[str, dict[str, str]]


def variable_givers(document: Document) -> Variables:
    """Program → variable → who gives it.

    Args:
        document: the rendering of a stack that has every stage.
    """
    givers: Variables = {program: {} for program in contract.REQUIRED_ENV}
    for program, giver, names in _given(document):
        givers[program] |= dict.fromkeys(names, giver)
    return givers


def _given(document: Document) -> Iterator[tuple[str, str, list[str]]]:
    for resource in document["resources"].values():
        inputs: dict[str, Any] = resource.get("inputs", {})
        match resource["type"]:
            case "aws:ecs/taskDefinition:TaskDefinition":
                for container in inputs["containerDefinitions"]:
                    yield container["name"], "task definition", _names(container["environment"])
                    yield container["name"], "secret", _names(container.get("secrets", []))
            case "aws:sfn/stateMachine:StateMachine":
                for override in _overrides(inputs["definition"]):
                    names = [entry["Name"] for entry in override.get("Environment", [])]
                    yield override["Name"], "state machine", names
            case "kubernetes:apps/v1:Deployment":
                for container in inputs["spec"]["template"]["spec"]["containers"]:
                    yield container["name"], "Deployment", _names(container["env"])
            case "kubernetes:core/v1:ConfigMap":
                for content in inputs["data"].values():
                    if isinstance(content, dict):
                        yield from _of_job(content)
            case _:
                pass


def _of_job(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    for container in manifest["spec"]["template"]["spec"]["containers"]:
        yield container["name"], "Job template", _names(container["env"])
        yield container["name"], "dispatcher", list(contract.DISPATCHED_ENV)


def _names(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["name"] for entry in entries]


def _overrides(definition: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for state in definition["States"].values():
        yield from state.get("Parameters", {}).get("Overrides", {}).get("ContainerOverrides", [])
