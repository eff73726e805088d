"""What each component does without being asked: the `Defaults:` of its docstring."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BEGIN: Final = "<!-- `make docs` writes what follows from the docstrings of etl_infra -->"
_END: Final = "<!-- the end of what `make docs` writes -->"
_HEADING: Final = "Defaults:"


@dataclass(frozen=True, slots=True)
class Component:
    """One component: its name, the module's path, what it is, and what it does by default, a sentence each."""

    name: str
    module: Path
    summary: str
    defaults: list[str]


def components(package: Path) -> Iterator[Component]:
    """The components of a package, stages first, in the order of their modules' names."""
    for path in (*sorted(package.glob("*.py")), *sorted((package / "components").glob("*.py"))):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and any("ComponentResource" in ast.unparse(base) for base in node.bases):
                docstring = inspect.cleandoc(ast.get_docstring(node) or "")
                summary, _, defaults = docstring.partition(_HEADING)
                yield Component(node.name, path.relative_to(package.parent), _text(summary), _bullets(defaults))


def with_default_settings(architecture: str, package: Path) -> str:
    """The architecture page with this part written anew.

    Raises:
        ValueError: the page lacks the marks between which it stands.
    """
    before, begin, rest = architecture.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"the page needs {_BEGIN} and {_END}")
    lines = [
        line
        for component in components(package)
        if component.defaults
        for line in (
            f"### {component.name}",
            "",
            f"{component.summary} `{component.module.as_posix()}`",
            "",
            *(f"- {default}" for default in component.defaults),
            "",
        )
    ]
    return f"{before}{begin}\n\n" + "\n".join(lines) + f"\n{end}{after}"


def _text(lines: str) -> str:
    return " ".join(lines.split())


def _bullets(section: str) -> list[str]:
    """The bullets of an indented section, which ends where the indentation does."""
    lines: list[str] = []
    for line in section.splitlines()[1:]:
        if line and not line.startswith(" "):
            break
        lines.append(line)
    return [_text(bullet) for bullet in inspect.cleandoc("\n".join(["", *lines])).split("- ")[1:]] if lines else []
