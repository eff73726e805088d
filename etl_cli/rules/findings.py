"""What a check found: for a terminal, for a program, or as annotations on the lines of a pull request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from etl_cli.quantities import count_text

_RELATION: Final = re.compile(r'(?:"(?:[^"]|"")+"|[\w$]+)\.(?:"(?:[^"]|"")+"|[\w$]+)')


class Severity(StrEnum):
    """An error stops a run, or is wrong already; a warning is what cannot be told, or goes wrong with some rows."""

    ERROR = "error"
    WARNING = "warning"


class Format(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found.

    Attributes:
        check: which check found it, a word to search for.
        severity: see `Severity`.
        file: path of the file that it is in.
        line: from 1; 0 is the file as a whole.
        subject: the table, column or place that it is about.
        text: what is the matter and what to do, without the subject.
    """

    check: str
    severity: Severity
    file: str
    line: int
    subject: str
    text: str

    @property
    def message(self) -> str:
        """Subject and text."""
        return f"{self.subject} {self.text}".strip()

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "check": self.check,
            "severity": str(self.severity),
            "file": self.file,
            "line": self.line or None,
            "subject": self.subject,
            "message": self.message,
        }


def gathered(findings: Iterable[Finding]) -> list[Finding]:
    """By line, and as one where a family's tables share a line and what is the matter."""
    groups: dict[tuple[str, int, str, Severity, str, str], list[Finding]] = {}
    for finding in findings:
        column = _RELATION.sub("", finding.subject, count=1) if finding.line else finding.subject
        key = (finding.file, finding.line, finding.check, finding.severity, column, finding.text)
        groups.setdefault(key, []).append(finding)
    return sorted((_one_of(group) for group in groups.values()), key=lambda one: (one.file, one.line, one.message))


def _one_of(group: Sequence[Finding]) -> Finding:
    first = group[0]
    others = len({finding.subject for finding in group}) - 1
    if not others:
        return first
    subject = f"{first.subject} (and {others} more of its family)"
    return Finding(first.check, first.severity, first.file, first.line, subject, first.text)


def counts_text(findings: Sequence[Finding]) -> str:
    """`2 errors, 1 warning`."""
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    return f"{count_text(errors, 'error')}, {count_text(len(findings) - errors, 'warning')}"


def finding_lines(findings: Sequence[Finding], how: Format) -> list[str]:
    """The lines to print, those of a summary not among them.

    `github` are workflow commands, which show as annotations:
    https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands#setting-an-error-message
    """
    match how:
        case Format.TEXT:
            return [f"{_place(f)}: {f.severity}: {f.message} [{f.check}]" for f in findings]
        case Format.JSON:
            return [json.dumps(finding.document(), ensure_ascii=False) for finding in findings]
        case Format.GITHUB:
            return [_annotation(finding) for finding in findings]


def _place(finding: Finding) -> str:
    return f"{finding.file}:{finding.line}" if finding.line else finding.file


def _annotation(finding: Finding) -> str:
    line = f",line={finding.line}" if finding.line else ""
    properties = f"file={_escaped(finding.file, ':,')}{line},title={_escaped(f'rules check: {finding.check}', ':,')}"
    return f"::{finding.severity} {properties}::{_escaped(finding.message, '')}"


def _escaped(text: str, more: str) -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
