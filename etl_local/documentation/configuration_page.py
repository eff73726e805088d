"""The page of configuration keys, from Pulumi.yaml: its sections, and each key's type, default and description."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import yaml

from etl_local.documentation.markdown import code, page, table

_SECTION: Final = re.compile(r"  # --- (?P<name>.+) ---")
_KEY: Final = re.compile(r"  (?P<name>\w+):")
_PREFACE: Final = """\
<!-- `make docs` writes this page from Pulumi.yaml: change a description there. -->
# Configuration

`Pulumi.<stack>.yaml` sets these keys, each as `postgres-etl:<key>`; `Pulumi.yaml` declares them. A key with a default
may be left out, one without is required; "" and [] mean "not given". Every fault of a stack's file is reported at once,
by file and key, and a key that is not declared is one. A secret is set by `pulumi config set --secret <key>` alone."""


def configuration_page(project_file: Path) -> str:
    """The page, from the text of the project file: its section comments are not among what YAML reads.

    Raises:
        ValueError: a key stands above the first section.
    """
    text = project_file.read_text(encoding="utf-8")
    declared: dict[str, dict[str, Any]] = yaml.safe_load(text)["config"]
    lines = [_PREFACE]
    for section, keys in _sections(text).items():
        rows = [
            (code(key), _type(declared[key]), _default(declared[key]), declared[key]["description"]) for key in keys
        ]
        lines += ["", f"## {section[0].upper()}{section[1:]}", "", *table(("Key", "Type", "Default", "Meaning"), rows)]
    return page(*lines)


def _sections(text: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    for line in text.partition("\nconfig:\n")[2].splitlines():
        if section := _SECTION.fullmatch(line):
            sections[section["name"]] = []
        elif key := _KEY.match(line):
            if not sections:
                raise ValueError(f"{key['name']} stands above the first section")
            sections[list(sections)[-1]].append(key["name"])
    return sections


def _type(declaration: dict[str, Any]) -> str:
    kind = declaration.get("type", "object")
    if kind == "array":
        kind = f"list of {declaration['items']['type']}s"
    return f"{kind}, secret" if declaration.get("secret") else kind


def _default(declaration: dict[str, Any]) -> str:
    if "default" not in declaration:
        return "**required**"
    default = declaration["default"]
    return code(default if isinstance(default, str) and default else json.dumps(default))
