"""Findings of scanners, measured by what the baseline leaves out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from etl_infra.documents.baseline import Exemption
from etl_infra.documents.exemptions import EXEMPTIONS


@dataclass(frozen=True, order=True)
class Finding:
    """One rule that a scanner sees broken by one resource, which goes by its logical name."""

    rule: str
    resource: str
    detail: str = ""


def explains(exemption: Exemption, finding: Finding) -> bool:
    """Whether the exemption is about this."""
    return finding.rule in exemption.rules and fnmatchcase(finding.resource, exemption.resources)


def unexplained(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that no exemption explains."""
    return sorted({f for f in findings if not any(explains(exemption, f) for exemption in EXEMPTIONS)})


def idle(findings: Iterable[Finding], scanner: str) -> set[str]:
    """The rules of a scanner that are left out although it finds nothing."""
    seen = {(rule, e.resources) for f in findings for e in EXEMPTIONS if explains(e, f) for rule in e.rules}
    return {
        f"{rule} {e.resources}"
        for e in EXEMPTIONS
        for rule in e.rules
        if rule.startswith(scanner) and (rule, e.resources) not in seen
    }
