"""The three stacks as their own files configure them, each recorded once."""

from __future__ import annotations

import pytest

from etl_local.rendering.everything import EVERYTHING
from etl_local.rendering.recorded_stack import RecordedStack, record, stack_names
from etl_local.rendering.stack_document import Document, stack_document


@pytest.fixture(scope="session")
def stacks() -> dict[str, RecordedStack]:
    return {stack: record(stack) for stack in stack_names()}


@pytest.fixture(scope="session")
def documents(stacks: dict[str, RecordedStack]) -> dict[str, Document]:
    return {name: stack_document(stack) for name, stack in {**stacks, EVERYTHING: record(EVERYTHING)}.items()}
