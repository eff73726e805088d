"""The program's source: nothing is registered inside of an apply, and nothing happens on import."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.engine import ROOT

MODULES = sorted((ROOT / "etl_infra").rglob("*.py"))
PROVIDERS = {"aws", "k8s", "pulumi"}
BUILDS_A_VALUE = {
    "Exemption",
    "Path",
    "PodSize",
    "TypeVar",
    "dataclass",
    "field",
    "frozenset",
    "int",
    "range",
    "resolve",
}
"""What a module may call when it is imported."""


def named(call: ast.Call) -> str:
    """The last part of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def applied(tree: ast.AST) -> Iterator[ast.AST]:
    """What is given to an `apply`; a function that goes by its name is looked up."""
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and named(node) == "apply":
            for argument in node.args:
                yield functions.get(argument.id, argument) if isinstance(argument, ast.Name) else argument


def of_a_provider(node: ast.AST) -> bool:
    """Whether this calls something of an SDK, at whatever depth of its name."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id in PROVIDERS


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_nothing_is_registered_inside_of_an_apply(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = [call for given in applied(tree) for call in ast.walk(given) if isinstance(call, ast.Call)]
    assert not [ast.unparse(call) for call in inside if of_a_provider(call.func)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_nothing_happens_on_import(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = {
        named(call)
        for statement in tree.body
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef)
        for call in ast.walk(statement)
        if isinstance(call, ast.Call)
    }
    assert calls <= BUILDS_A_VALUE


def test_both_rules_see_what_breaks_them() -> None:
    tree = ast.parse("name.apply(lambda n: aws.s3.Bucket(n))\ndef late(n): k8s.core.v1.Pod(n)\nname.apply(late)")
    inside = [call for given in applied(tree) for call in ast.walk(given) if isinstance(call, ast.Call)]
    assert [of_a_provider(call.func) for call in inside] == [True, True]
