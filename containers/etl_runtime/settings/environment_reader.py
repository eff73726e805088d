"""Reading variables, with every fault kept until the end."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from etl_runtime.contract import ContractError, DumpPrefix, Env, ExitCode, LoadBucket, execution_name, load_buckets
from etl_runtime.faults import Fault
from etl_runtime.script_variables import named_texts

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
NO_PREFIX: Final = DumpPrefix("none", "none", "none")
"""What stands where a prefix is at fault, until `finish` raises that."""


class EnvironmentReader:
    """Reads variables one by one, gathers what is wrong, and `finish` raises it all together."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._faults: list[str] = []

    def fault(self, name: Env, problem: str) -> None:
        """Note what is wrong with a variable."""
        self._faults.append(f"{name} {problem}")

    def text(self, name: Env, default: str | None = None) -> str:
        """The variable's text; a missing or empty one is a fault unless there is a default."""
        value = self._environ.get(name, "")
        if value == "":
            if default is None:
                self.fault(name, "is not set")
                return ""
            return default
        if _CONTROL.search(value):
            self.fault(name, "holds a control character")
        return value

    def document(self, name: Env) -> str:
        """The variable's text, of as many lines as it likes; "" where it is not set."""
        return self._environ.get(name, "")

    def integer(self, name: Env, least: int, most: int, default: int | None = None) -> int:
        """A whole number from `least` to `most`."""
        text = self.text(name, None if default is None else str(default))
        if not text:
            return least
        if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
            self.fault(name, f"must be a whole number from {least} to {most}")
            return least
        return int(text)

    def choice(self, name: Env, choices: tuple[str, ...], default: str | None = None) -> str:
        """One of a closed set of words."""
        text = self.text(name, default)
        if text and text not in choices:
            self.fault(name, f"must be one of {', '.join(choices)}")
        return text

    def path(self, name: Env, default: str | None = None) -> Path:
        """An existing directory or file."""
        text = self.text(name, default)
        if text and not Path(text).exists():
            self.fault(name, f"names {text}, which does not exist")
        return Path(text or ".")

    def execution(self, name: Env = Env.EXECUTION_ID) -> str:
        """An execution's id or name, as it was given."""
        text = self.text(name)
        try:
            if text:
                execution_name(text)
        except ContractError as error:
            self.fault(name, f"is no execution id: {error}")
        return text

    def buckets(self) -> dict[str, LoadBucket]:
        """Load environment → its bucket; {} where that cannot be read."""
        text = self.text(Env.LOAD_BUCKETS)
        try:
            return load_buckets(text) if text else {}
        except ContractError as error:
            self.fault(Env.LOAD_BUCKETS, str(error).removeprefix("LOAD_BUCKETS "))
            return {}

    def prefix(self, name: Env) -> DumpPrefix:
        """The prefix of a dump; `NO_PREFIX` where that cannot be read."""
        text = self.text(name)
        try:
            return DumpPrefix.parse(text) if text else NO_PREFIX
        except ContractError as error:
            self.fault(name, str(error))
            return NO_PREFIX

    def named_texts(self, name: Env) -> dict[str, str]:
        """A JSON object of texts; {} where it cannot be read."""
        try:
            return named_texts(self.document(name))
        except json.JSONDecodeError:
            self.fault(name, "is not JSON")
        except ValueError as error:
            self.fault(name, str(error))
        return {}

    def words(self, name: Env) -> frozenset[str]:
        """The words of a list with commas."""
        return frozenset(filter(None, map(str.strip, self.text(name).split(","))))

    def finish(self) -> None:
        """Raise what was gathered.

        Raises:
            Fault: CONFIG, naming every variable at fault.
        """
        if self._faults:
            raise Fault(ExitCode.CONFIG, "environment: " + "; ".join(self._faults))
