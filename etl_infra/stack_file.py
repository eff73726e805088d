"""A stack's configuration as typed values, read by key, every fault collected by stack file and key."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import pulumi
import yaml

PROJECT_DIRECTORY: Final = Path(__file__).resolve().parent.parent

_Fallback = TypeVar("_Fallback")


class SettingsError(Exception):
    """A stack's configuration cannot be used; the message has one line a fault, each naming stack file and key."""


class StackFile:
    """The configuration of one stack, with the defaults that `Pulumi.yaml` declares.

    Readers never raise: a faulty value is recorded, a harmless one returned, and `finish` raises for all of them, so
    that one run shows every fault. Defaults are read from the project file: without the Pulumi CLI nobody applies them.
    """

    def __init__(self) -> None:
        self.stack: Final = pulumi.get_stack()
        self.file_name: Final = f"Pulumi.{self.stack}.yaml"
        self.faults: Final[list[str]] = []
        self._config: Final = pulumi.Config()
        self._declared: Final = _declared_keys()
        self._refuse_undeclared_keys()

    def text(self, key: str, pattern: str = r".*", meaning: str = "text", *, required: bool = True) -> str:
        """The text of a key, "" if it is empty and may be.

        Args:
            key: name without the project's namespace.
            pattern: regular expression of the whole value.
            meaning: what the pattern says, for the reader of the fault.
            required: whether "" is a fault.
        """
        value = self._value(key)
        if value in (None, ""):
            if required:
                self.refuse(key, f"is required: {meaning}")
            return ""
        text = str(value)
        if not re.fullmatch(pattern, text):
            self.refuse(key, f"must be {meaning}, got {_shown(text)}")
            return ""
        return text

    def choice(self, key: str, allowed: Iterable[str]) -> str:
        """The text of a key that has few possible values."""
        options = list(allowed)
        value = str(self._value(key))
        if value not in options:
            self.refuse(key, f"must be one of {', '.join(options)}, got {_shown(value)}")
            return options[0]
        return value

    def integer(self, key: str, minimum: int, maximum: int) -> int:
        """The whole number of a key, within limits that count as allowed."""
        value = self._value(key)
        try:
            number = int(str(value))
        except ValueError:
            self.refuse(key, f"must be a whole number, got {_shown(str(value))}")
            return minimum
        if not minimum <= number <= maximum:
            self.refuse(key, f"must be {minimum} to {maximum}, got {number}")
            return minimum
        return number

    def flag(self, key: str) -> bool:
        """The truth of a key."""
        value = str(self._value(key)).lower()
        if value not in ("true", "false"):
            self.refuse(key, f"must be true or false, got {_shown(value)}")
        return value == "true"

    def texts(
        self,
        key: str,
        pattern: str,
        meaning: str,
        *,
        at_least: int = 0,
        holds: Callable[[str], bool] = lambda _: True,
    ) -> tuple[str, ...]:
        """The list of texts of a key, each of one form, none twice.

        Args:
            key: name without the project's namespace.
            pattern: regular expression of each whole text.
            meaning: what pattern and `holds` say, for the reader of the fault.
            at_least: how many there must be.
            holds: whether a text is of the form, where no pattern can say it.
        """
        values = self._parsed(key, list[Any]())
        texts = tuple(str(value) for value in values)
        wrong = [text for text in texts if not (re.fullmatch(pattern, text) and holds(text))]
        if wrong:
            self.refuse(key, f"must hold {meaning}, got {_shown(wrong[0])}")
        elif len(set(texts)) != len(texts):
            self.refuse(key, "holds an entry twice")
        elif len(texts) < at_least:
            self.refuse(key, f"must hold at least {at_least}: {meaning}")
        return texts

    def mapping(self, key: str) -> dict[str, Any]:
        """The object of a key."""
        return self._parsed(key, dict[str, Any]())

    def secret(self, key: str, minimum_length: int) -> pulumi.Output[str]:
        """The secret of a key, kept secret: no fault repeats it."""
        if len(str(self._value(key) or "")) < minimum_length:
            self.refuse(key, f"must be a secret of at least {minimum_length} characters (pulumi config set --secret)")
        return self._config.get_secret(key) or pulumi.Output.secret("")

    def matches(self, key: str, value: str, pattern: str, why: str) -> None:
        """Record a fault unless a value inside an object has the form."""
        if not re.fullmatch(pattern, value):
            self.refuse(key, f"{why}, got {_shown(value)}")

    def refuse(self, key: str, why: str) -> None:
        """Record a fault of a key."""
        fault = f"{self.file_name}: {self._config.full_key(key)} {why}"
        if fault not in self.faults:
            self.faults.append(fault)

    def finish(self) -> None:
        """Raise if anything was refused.

        Raises:
            SettingsError: one line a fault.
        """
        if self.faults:
            raise SettingsError("\n".join(self.faults))

    def _value(self, key: str) -> Any:
        value = self._config.get(key)
        return self._declared[key].get("default") if value is None else value

    def _parsed(self, key: str, empty: _Fallback) -> _Fallback:
        """A list or an object, which Pulumi hands over as JSON text."""
        kind = type(empty)
        value = self._value(key)
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                value = None
        if value is None and self._config.get(key) is None:
            self.refuse(key, f"is required: {'a list' if kind is list else 'an object'}")
            return empty
        if not isinstance(value, kind):
            self.refuse(key, f"must be {'a list' if kind is list else 'an object'}")
            return empty
        return value

    def _refuse_undeclared_keys(self) -> None:
        """A misspelt key would otherwise leave its default in force without a word."""
        namespace = f"{self._config.name}:"
        given = {**pulumi.runtime.get_config_env(), **pulumi.runtime.config.CONFIG.get()}
        for key in sorted(given):
            if key.startswith(namespace) and key.removeprefix(namespace) not in self._declared:
                self.refuse(key.removeprefix(namespace), "is not declared in Pulumi.yaml")


def _declared_keys() -> Mapping[str, dict[str, Any]]:
    return _config_schema((PROJECT_DIRECTORY / "Pulumi.yaml").read_text(encoding="utf-8"))


@functools.cache
def _config_schema(project: str) -> Mapping[str, dict[str, Any]]:
    return yaml.safe_load(project)["config"]


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
