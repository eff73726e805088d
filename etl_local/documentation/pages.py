"""Every generated page, path → text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from etl_local.documentation.configuration_page import configuration_page
from etl_local.documentation.contract_page import contract_page
from etl_local.documentation.default_settings import with_default_settings
from etl_local.rendering.recorded_stack import REPOSITORY
from etl_local.rendering.stack_document import Document

_DOCS: Final = REPOSITORY / "docs"
_WHOLE_PIPELINE: Final = "dev"
"""The stack that has every stage."""


def pages(documents: Mapping[str, Document]) -> dict[Path, str]:
    """What the pages should say.

    Args:
        documents: the renderings of the stacks by name.
    """
    architecture = _DOCS / "architecture.md"
    return {
        _DOCS / "configuration.md": configuration_page(REPOSITORY / "Pulumi.yaml"),
        _DOCS / "contract.md": contract_page(documents[_WHOLE_PIPELINE]),
        architecture: with_default_settings(architecture.read_text(encoding="utf-8"), REPOSITORY / "etl_infra"),
    }
