"""The page of the contract: names, variables by program and by who gives them, exit codes, forms of names."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from etl_runtime import contract
from etl_runtime.contract import Env, ExitCode
from etl_runtime.faults import Fault
from etl_runtime.settings.dispatcher import DispatcherSettings
from etl_runtime.settings.extract import ExtractSettings
from etl_runtime.settings.load import LoadSettings
from etl_runtime.settings.transform import TransformSettings

from etl_local.documentation.markdown import code, page, table
from etl_local.documentation.variable_givers import variable_givers
from etl_local.rendering.stack_document import Document

_SETTINGS: Final = {
    contract.PG_DUMP_CONTAINER: ExtractSettings,
    contract.DISPATCHER_CONTAINER: DispatcherSettings,
    contract.TRANSFORM_CONTAINER: TransformSettings,
    contract.PG_RESTORE_CONTAINER: LoadSettings,
}
_READ_BY_ALL: Final = frozenset({Env.LOG_LEVEL})
_MEANINGS: Final[Mapping[ExitCode, str]] = {
    ExitCode.DONE: "Done; a second run of what is done is this, too.",
    ExitCode.USAGE: "Reserved; no program ends so.",
    ExitCode.DATA: "What it was given is not as it should be: a digest, an archive, a column unclassified, a survivor.",
    ExitCode.NO_INPUT: "What it should read is not there.",
    ExitCode.UNAVAILABLE: "A service or a tool that it needs refuses or fails.",
    ExitCode.SOFTWARE: "A fault of its own.",
    ExitCode.NO_SPACE: "The disk is too small.",
    ExitCode.TRANSIENT: "May pass: the only one that the pipeline tries again by itself.",
    ExitCode.REFUSED: "Refused on principle: a protected target, a dump that is not clean, rules that are not allowed.",
    ExitCode.CONFIG: "Its environment is incomplete or wrong; every variable at fault is named.",
    ExitCode.TERMINATED: "Stopped by SIGTERM; children ended, uploads aborted.",
}
_PREFACE: Final = """\
<!-- `make docs` writes this page from containers/etl_runtime/contract/. -->
# Contract

Every name that crosses a boundary between what is deployed and what runs has its home in
`containers/etl_runtime/contract/`; both sides import it. What is changed here changes for whoever starts a state
machine, reads a bucket or follows a Job.

## Names
"""
_VARIABLES: Final = """
## Variables

● required, ○ optional; then who gives it in a stack that has every stage. A program that lacks a required one ends with
{config} and names all that it lacks. DB_CREDENTIALS is a secret of the task definition where a role signs in by one.
"""
_EXIT_CODES: Final = """
## Exit codes

64 to 78 as in sysexits(3). All but {transient} and {terminated} are permanent: the same run would end the same way.
"""
_FORMS: Final = """
## Forms
"""


def contract_page(document: Document) -> str:
    """The page.

    Args:
        document: the rendering of a stack that has every stage: it says who gives which variable.
    """
    programs = tuple(contract.REQUIRED_ENV)
    return page(
        _PREFACE,
        *table(("Name", "Text"), ((code(name), code(text)) for name, text in _names())),
        _VARIABLES.format(config=int(ExitCode.CONFIG)),
        *table(("Variable", *map(code, programs)), _variables(programs, variable_givers(document))),
        _EXIT_CODES.format(transient=int(ExitCode.TRANSIENT), terminated=int(ExitCode.TERMINATED)),
        *table(("Code", "Name", "Meaning"), ((str(int(c)), code(c.name), _MEANINGS[c]) for c in ExitCode)),
        _FORMS,
        *table(("What", "Form"), ((code(name), form) for name, form in _forms())),
    )


def _names() -> Iterator[tuple[str, str]]:
    for name, value in vars(contract).items():
        if re.fullmatch(r"[A-Z][A-Z_]+", name) and isinstance(value, str):
            yield name, value
    yield "PROTECTED_ENVIRONMENTS", ", ".join(sorted(contract.PROTECTED_ENVIRONMENTS))


def _variables(programs: tuple[str, ...], givers: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, ...]]:
    read = {program: variables_read(program) for program in programs}
    for variable in Env:
        cells = [
            f"{mark} {givers[program].get(variable, '')}".strip()
            if (mark := _mark(variable, contract.REQUIRED_ENV[program], read[program]))
            else ""
            for program in programs
        ]
        yield (code(variable), *cells)


def _mark(variable: Env, required: frozenset[Env], read: frozenset[Env]) -> str:
    return "●" if variable in required else "○" if variable in read else ""


def variables_read(program: str) -> frozenset[Env]:
    """Every variable that a program asks its environment for: it is run with an environment that only listens."""
    asked = _Listening()
    with contextlib.suppress(Fault):  # of course: nothing was given
        _SETTINGS[program].from_env(asked)
    return frozenset(Env(name) for name in asked.names) | _READ_BY_ALL


class _Listening(dict[str, str]):
    """An environment that keeps what it is asked for; the one answer makes the programs ask for credentials, too."""

    def __init__(self) -> None:
        super().__init__({Env.DB_AUTHENTICATION: "secret"})
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:  # type: ignore[override]
        self.names.add(key)
        return super().get(key, default)


def _forms() -> Iterator[tuple[str, str]]:
    for name, thing in vars(contract).items():
        if inspect.isfunction(thing) or name in ("DumpPrefix", "LoadBucket"):
            yield name, (inspect.getdoc(thing) or "").split("\n\n")[0]
