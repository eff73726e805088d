"""A psql script as the statements that it sends, its meta-commands carried out and its variables put in.

What psql itself does is told in https://www.postgresql.org/docs/current/app-psql.html: a meta-command begins with a
backslash outside of quotes and ends with its line; `:name`, `:'name'` and `:"name"` stand for a variable that is set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from etl_runtime.toc import quoted

_TOKEN = re.compile(
    r"""
      (?P<comment>--[^\n]*)
    | (?P<block>/\*)
    | (?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*)?\$)
    | (?P<escape>[eE]'(?:[^'\\]|\\.|'')*')
    | (?P<string>'(?:[^']|'')*')
    | (?P<name>"(?:[^"]|"")*")
    | (?P<cast>::|:=)
    | (?P<variable>:(?:(?P<bare>\w+)|'(?P<literal>\w+)'|"(?P<identifier>\w+)"))
    | (?P<meta>\\(?P<command>[A-Za-z!?+]+|;)(?P<rest>[^\n]*))
    | (?P<end>;)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ARGUMENT = re.compile(r"""'((?:[^'\\]|\\.|'')*)'|"((?:[^"]|"")*)"|(\S+)""", re.DOTALL)
_SENDS = ("g", "gx", "gset", "gdesc", "gexec", "crosstabview", "watch", "bind")
_MOST_INCLUDES = 50


@dataclass(frozen=True, slots=True)
class Statement:
    r"""One statement: its text, and the file and line that it begins at.

    `is_conditional`: it stands between `\if` and `\endif`. `sends_rows`: its rows are statements, too (`\gexec`).
    """

    text: str
    file: str
    line: int
    is_conditional: bool = False
    sends_rows: bool = False


@dataclass
class _State:
    """What goes on from one file to the next."""

    variables: dict[str, str] = field(default_factory=dict[str, str])
    depth: int = 0
    included: int = 0


def read_script(path: Path) -> list[Statement]:
    """The statements of a script and of what it includes, in order.

    Raises:
        OSError: the script cannot be read. What it includes and cannot be read is passed over: a run says so.
    """
    return list(_statements(path, _State()))


def _statements(path: Path, state: _State) -> Iterator[Statement]:
    text = path.read_text(encoding="utf-8", errors="replace")
    parts: list[str] = []
    line, begins, position = 1, 0, 0

    def statement(*, sends_rows: bool = False) -> Iterator[Statement]:
        if whole := "".join(parts).strip():
            yield Statement(whole, path.name, begins, state.depth > 0, sends_rows)
        parts.clear()

    while (token := _TOKEN.match(text, position)) is not None:
        position = token.end()
        kind = token.lastgroup if token.lastgroup not in ("bare", "literal", "identifier", "command", "rest") else None
        if token["meta"] is not None:
            command, rest = token["command"], token["rest"].split("\\\\")[0]
            if command in _SENDS:
                yield from statement(sends_rows=command == "gexec")
            elif command == ";":
                parts.append(";")
                position = token.start("rest")
            else:
                yield from _carried_out(command, rest, path, state, begins or line)
        elif token["end"] is not None:
            yield from statement()
        elif token["comment"] is None:
            if token["block"] is not None:
                position = _block_end(text, position)
            elif token["dollar"] is not None:
                closing = text.find(token[0], position)
                position = len(text) if closing < 0 else closing + len(token[0])
            said = _said(token, state.variables) if kind in (None, "variable") else text[token.start() : position]
            if token["block"] is None:
                if not "".join(parts).strip() and said.strip():
                    begins = line
                parts.append(said)
        line += text.count("\n", token.start(), position)
    yield from statement()


def _said(token: re.Match[str], variables: dict[str, str]) -> str:
    """What a variable's place says; one that is not set stays as it is."""
    name = token["bare"] or token["literal"] or token["identifier"]
    if name is None or name not in variables:
        return token[0]
    value = variables[name]
    if token["literal"]:
        return "'" + value.replace("'", "''") + "'"
    return quoted(value) if token["identifier"] else value


def _block_end(text: str, position: int) -> int:
    """Behind a comment's end; comments may stand in comments."""
    depth = 1
    while depth:
        mark = re.compile(r"/\*|\*/").search(text, position)
        if mark is None:
            return len(text)
        depth += 1 if mark[0] == "/*" else -1
        position = mark.end()
    return position


def _carried_out(command: str, rest: str, path: Path, state: _State, line: int) -> Iterator[Statement]:
    arguments = [_argument(found, state.variables) for found in _ARGUMENT.finditer(rest)]
    match command:
        case "set" if arguments:
            state.variables[arguments[0]] = "".join(arguments[1:])
        case "unset" if arguments:
            state.variables.pop(arguments[0], None)
        case "if":
            state.depth += 1
        case "endif":
            state.depth = max(0, state.depth - 1)
        case "i" | "include" | "ir" | "include_relative" if arguments and state.included < _MOST_INCLUDES:
            state.included += 1
            included = path.parent / arguments[0]
            if included.is_file():
                yield from _statements(included, state)
        case "copy" if re.search(r"\bfrom\b", rest, re.IGNORECASE):
            yield Statement(f"COPY {rest.strip()}", path.name, line, state.depth > 0)
        case _:
            return


def _argument(found: re.Match[str], variables: dict[str, str]) -> str:
    if found[1] is not None:
        return re.sub(
            r"\\(.)", lambda escape: {"n": "\n", "t": "\t"}.get(escape[1], escape[1]), found[1].replace("''", "'")
        )
    if found[2] is not None:
        return found[2].replace('""', '"')
    variable = re.fullmatch(r""":(?:(\w+)|'(\w+)'|"(\w+)")""", found[3])
    name = next(filter(None, variable.groups()), "") if variable else ""
    return variables.get(name, found[3])
