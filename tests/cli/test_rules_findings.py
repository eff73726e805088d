"""Findings as people, programs and pull requests read them."""

from __future__ import annotations

import json

from etl_cli.rules.findings import Finding, Format, Severity, counts_text, finding_lines, gathered

UNKNOWN = Finding("unknown", Severity.ERROR, "scrub/columns.yaml", 7, "public.a.b", "is no column of the schema")
UNSURE = Finding("unique", Severity.WARNING, "scrub/columns.yaml", 0, "public.c", "is 100%\nunsure: a, b")


def test_findings_are_written_for_whoever_reads_them() -> None:
    assert finding_lines([UNKNOWN, UNSURE], Format.TEXT) == [
        "scrub/columns.yaml:7: error: public.a.b is no column of the schema [unknown]",
        "scrub/columns.yaml: warning: public.c is 100%\nunsure: a, b [unique]",
    ]
    assert finding_lines([UNKNOWN, UNSURE], Format.GITHUB) == [
        "::error file=scrub/columns.yaml,line=7,title=rules check%3A unknown::public.a.b is no column of the schema",
        "::warning file=scrub/columns.yaml,title=rules check%3A unique::public.c is 100%25%0Aunsure: a, b",
    ]
    assert [json.loads(line) for line in finding_lines([UNKNOWN, UNSURE], Format.JSON)] == [
        {
            "check": "unknown",
            "severity": "error",
            "file": "scrub/columns.yaml",
            "line": 7,
            "subject": "public.a.b",
            "message": "public.a.b is no column of the schema",
        },
        {
            "check": "unique",
            "severity": "warning",
            "file": "scrub/columns.yaml",
            "line": None,
            "subject": "public.c",
            "message": "public.c is 100%\nunsure: a, b",
        },
    ]
    assert counts_text([UNKNOWN, UNSURE, UNSURE]) == "1 error, 2 warnings"


def test_what_is_the_matter_with_a_whole_family_is_told_once_and_in_order() -> None:
    def finding(line: int, subject: str, text: str = "is wrong") -> Finding:
        return Finding("x", Severity.ERROR, "f", line, subject, text)

    assert gathered(
        [finding(9, "public.e_1.a"), finding(9, "public.e_2.a"), finding(9, "public.e_1.a", "is odd"), finding(3, "z")]
    ) == [finding(3, "z"), finding(9, "public.e_1.a (and 1 more of its family)"), finding(9, "public.e_1.a", "is odd")]
    without_lines = [finding(0, "public.a"), finding(0, "public.b")]
    assert gathered(without_lines) == without_lines
