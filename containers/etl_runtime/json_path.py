"""The JSON paths that `scrub.json` understands, as steps: what of a document a rule is about.

The grammar is that of `scrub.path` in sql/json.sql: `$`, then `.key`, `."any key"`, `.*`, `[*]`, `[n]` and `.**.key`
(that key at any depth) in any sequence. A path leads to a node; what is personal is every leaf below it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

_STEP = re.compile(
    r"""
      \.\*\*(?:\."(?P<descend_quoted>[^"]+)"|\.(?P<descend>[^\].\["*]+))
    | \.(?P<any_key>\*)
    | \."(?P<quoted>[^"]+)"
    | \.(?P<key>[^\].\["*]+)
    | \[(?P<any_element>\*)\]
    | \[(?P<element>[0-9]{1,9})\]
    """,
    re.VERBOSE,
)


class Step(Enum):
    """What a step leads to."""

    KEY = auto()
    ANY_KEY = auto()
    ANY_ELEMENT = auto()
    ELEMENT = auto()
    DESCEND = auto()


@dataclass(frozen=True, slots=True)
class PathStep:
    """One step. `name` is the key of a KEY, or of a DESCEND at any depth; `index` is that of an ELEMENT, from 0."""

    kind: Step
    name: str = ""
    index: int = 0


class JsonPathError(ValueError):
    """A text that is no path which `scrub.json` understands."""


def json_path_steps(text: str) -> tuple[PathStep, ...]:
    """The steps behind `$`.

    Raises:
        JsonPathError: it is no such path; the message says so and gives examples.
    """
    steps: list[PathStep] = []
    position = 1
    while text.startswith("$") and position < len(text):
        found = _STEP.match(text, position)
        if found is None:
            break
        steps.append(_step(found))
        position = found.end()
    if not text.startswith("$") or position < len(text):
        raise JsonPathError(f"{text!a} is not a JSON path that scrub.json understands, such as $.contacts[*].email")
    return tuple(steps)


def _step(found: re.Match[str]) -> PathStep:
    text = found[found.lastgroup or 0]
    match found.lastgroup:
        case "descend" | "descend_quoted":
            return PathStep(Step.DESCEND, text)
        case "any_key":
            return PathStep(Step.ANY_KEY)
        case "any_element":
            return PathStep(Step.ANY_ELEMENT)
        case "element":
            return PathStep(Step.ELEMENT, index=int(text))
        case _:
            return PathStep(Step.KEY, text)
