"""The scripts that run in each new database before it is swapped in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final, cast

from etl_runtime.contract.contract_error import ContractError, shown

_SCRIPT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\.sql")


def post_load_scripts(text: str) -> dict[str, str]:
    """Read `POST_LOAD_SCRIPTS`: a JSON object, file name → SQL; {} of no text at all.

    Raises:
        ContractError: not such an object.
    """
    if not text:
        return {}
    try:
        document = cast(dict[str, Any], json.loads(text))
        if not all(_SCRIPT_NAME.fullmatch(name) and isinstance(body, str) for name, body in document.items()):
            raise TypeError
        return document
    except (ValueError, AttributeError, TypeError):
        raise ContractError('must be JSON such as {"10-grants.sql": "GRANT …;"}') from None


def post_load_text(directory: Path) -> str:
    """The inverse of `post_load_scripts`, of the `*.sql` files of a directory.

    Raises:
        ContractError: a file's name is of another form, or its content is not UTF-8; it names the file.
    """
    scripts: dict[str, str] = {}
    for path in sorted(directory.glob("*.sql")):
        if not _SCRIPT_NAME.fullmatch(path.name):
            raise ContractError(f"{shown(path.name)} is not of the form {_SCRIPT_NAME.pattern}")
        try:
            scripts[path.name] = path.read_text("utf-8")
        except UnicodeDecodeError:
            raise ContractError(f"{path.name} is not UTF-8") from None
    return json.dumps(scripts, sort_keys=True)
