"""The page of the security baseline: what holds, row by row, and what is left out on purpose, with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from etl_infra.documents.baseline import Exemption
from etl_local.documentation.markdown import code, page, table

_PREFACE: Final = """\
<!-- `make docs` writes this page from etl_infra/documents/baseline.py and exemptions.py. -->
# Security baseline

What holds of everything that the stacks register. Each sentence is a check, and a test that breaks the setting sees
that check fail. What some authority demands and is left out stands below with its reason; a finding that none explains
fails the tests."""


def baseline_page(baseline: Mapping[str, Sequence[str]], exemptions: Sequence[Exemption]) -> str:
    """The page.

    Args:
        baseline: row → the sentences that hold.
        exemptions: what is left out, each naming its row.
    """
    lines = [_PREFACE]
    for row, sentences in baseline.items():
        lines += ["", f"## {row}", "", *(f"- {sentence}" for sentence in sentences)]
        left_out = list(_left_out(row, exemptions))
        if left_out:
            blank = [""] if sentences else []
            lines += [*blank, *table(("Left out", "Why", "Demanded by", "Of"), left_out)]
    return page(*lines)


def _left_out(row: str, exemptions: Sequence[Exemption]) -> Iterator[tuple[str, str, str, str]]:
    for exemption in exemptions:
        if exemption.row == row:
            of = "" if exemption.resources == "*" else code(exemption.resources)
            yield exemption.setting, exemption.reason, ", ".join(map(code, exemption.rules)), of
