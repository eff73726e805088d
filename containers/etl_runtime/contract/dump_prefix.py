"""Where a dump is in its bucket."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from etl_runtime.contract.contract_error import ContractError, shown
from etl_runtime.contract.names import MANIFEST_NAME

_ENVIRONMENT: Final = re.compile(r"[a-z][a-z0-9-]{0,15}")
_EXECUTION_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_FILENAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


@dataclass(frozen=True, slots=True)
class DumpPrefix:
    """The place of one dump in a bucket: `<load environment>/<execution name>/<dump filename>`.

    `LOAD_FILENAME` is the text form of such a prefix in the load bucket.
    """

    load_environment: str
    execution_name: str
    dump_filename: str

    def __post_init__(self) -> None:
        """Check each part against its alphabet, so a prefix can be no path, no option and no shell word.

        Raises:
            ContractError: a part is empty, too long or holds another character.
        """
        for label, pattern, value in (
            ("load environment", _ENVIRONMENT, self.load_environment),
            ("execution name", _EXECUTION_NAME, self.execution_name),
            ("dump filename", _FILENAME, self.dump_filename),
        ):
            if not pattern.fullmatch(value):
                raise ContractError(f"{label} {shown(value)} is not of the form {pattern.pattern}")

    @classmethod
    def parse(cls, text: str) -> DumpPrefix:
        """Read `environment/execution/filename`.

        Raises:
            ContractError: not three parts, or a part of another shape.
        """
        parts = text.split("/")
        if len(parts) != 3:
            raise ContractError(
                f"{shown(text)} is not a dump prefix: <load environment>/<execution name>/<dump filename>"
            )
        return cls(*parts)

    @classmethod
    def of_manifest(cls, key: str) -> DumpPrefix:
        """The prefix whose manifest has this key.

        Raises:
            ContractError: the key is not that of a manifest.
        """
        head, _, name = key.rpartition("/")
        if name != MANIFEST_NAME:
            raise ContractError(f"{shown(key)} is not the key of a {MANIFEST_NAME}")
        return cls.parse(head)

    def __str__(self) -> str:
        return f"{self.load_environment}/{self.execution_name}/{self.dump_filename}"

    def key(self, name: str) -> str:
        """The object key of one archive file."""
        return f"{self}/{name}"

    @property
    def manifest_key(self) -> str:
        """The object key whose presence makes the dump exist."""
        return self.key(MANIFEST_NAME)


def execution_name(execution_id: str) -> str:
    """The last part of an execution id (`$$.Execution.Id` is an ARN; a bare name is its own last part).

    Raises:
        ContractError: that part is not an execution name.
    """
    name = execution_id.rpartition(":")[2]
    if not _EXECUTION_NAME.fullmatch(name):
        raise ContractError(
            f"execution id {shown(execution_id)} does not end in a name of the form {_EXECUTION_NAME.pattern}"
        )
    return name
