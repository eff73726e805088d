"""The variables that scripts use as `:name`: from the stack's settings, and from secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_PREFIX = "ETL_SCRIPT_VARIABLE_"


def named_texts(text: str) -> dict[str, str]:
    """A JSON object of variables' names and texts; an empty text has none.

    Raises:
        ValueError: it is no such object, or a name is none that psql takes; the message has no value in it.
    """
    document: Any = json.loads(text) if text else {}
    if not isinstance(document, dict):
        raise ValueError("must be a JSON object of names and texts")
    for name, value in cast(dict[str, Any], document).items():
        if not _NAME.fullmatch(name) or not isinstance(value, str) or "\0" in value:
            raise ValueError(f"has an entry {name[:63]!a} that is no variable's name with a text")
    return cast(dict[str, str], document)


@dataclass(frozen=True, slots=True)
class ScriptVariables:
    """Variables by name; those of secrets never appear in `repr` or in a message."""

    plain: Mapping[str, str] = field(default_factory=dict[str, str])
    secret: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @classmethod
    def read(
        cls, plain: Mapping[str, str], secret_ids: Mapping[str, str], fetch: Callable[[str], str]
    ) -> ScriptVariables:
        """Fetch the secrets.

        Raises:
            Fault: CONFIG when a secret is empty.
        """
        secret = {name: fetch(secret_id) for name, secret_id in secret_ids.items()}
        if empty := [name for name, value in secret.items() if not value]:
            raise Fault(ExitCode.CONFIG, f"the secret of the scripts' variable {empty[0]} is empty")
        return cls(plain, secret)

    @property
    def environment(self) -> dict[str, str]:
        """What psql gets: a command's arguments can be read by every process, its variables cannot."""
        return {f"{_PREFIX}{name}": value for name, value in (*self.plain.items(), *self.secret.items())}

    @property
    def script(self) -> str:
        """Commands of psql, from 14 on, that set the variables."""
        return "".join(f"\\getenv {name} {_PREFIX}{name}\n" for name in (*self.plain, *self.secret))

    def hidden(self, message: str) -> str:
        """A message in which a secret stands as `:name`: psql puts values into statements, and errors quote these."""
        for name, value in sorted(self.secret.items(), key=lambda item: -len(item[1])):
            for part in {value, *value.splitlines()}:
                if part.strip():
                    message = message.replace(part, f":{name}")
        return message
