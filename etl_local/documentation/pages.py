"""Every generated page, path → text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from etl_infra.documents.baseline import BASELINE
from etl_infra.documents.exemptions import EXEMPTIONS
from etl_local.documentation.access_page import access_page, dump_buckets, registered_rights
from etl_local.documentation.baseline_page import baseline_page
from etl_local.documentation.configuration_page import configuration_page
from etl_local.documentation.contract_page import contract_page
from etl_local.documentation.default_settings import with_default_settings
from etl_local.rendering.recorded_stack import REPOSITORY, RecordedStack
from etl_local.rendering.stack_document import stack_document

_DOCS: Final = REPOSITORY / "docs"
_WHOLE_PIPELINE: Final = "dev"
"""The stack that has every stage."""


def pages(stacks: Mapping[str, RecordedStack]) -> dict[Path, str]:
    """What the pages should say.

    Args:
        stacks: the recorded stacks by name.
    """
    architecture = _DOCS / "architecture.md"
    return {
        _DOCS / "configuration.md": configuration_page(REPOSITORY / "Pulumi.yaml"),
        _DOCS / "security-baseline.md": baseline_page(BASELINE, EXEMPTIONS),
        _DOCS / "access.md": access_page(registered_rights(stacks), dump_buckets(stacks)),
        _DOCS / "contract.md": contract_page(stack_document(stacks[_WHOLE_PIPELINE])),
        architecture: with_default_settings(architecture.read_text(encoding="utf-8"), REPOSITORY / "etl_infra"),
    }
