"""A preview of a stack that is not there yet: nothing that a provider computes is known, and the program still ends."""

import pytest

from etl_local.rendering.everything import CHANGES
from tests.infra.conftest import Deploy
from tests.infra.engine import Deployment


@pytest.mark.parametrize("stack", ["dev", "sbx", "prod"])
def test_a_preview_registers_what_an_update_registers(stack: str, run: Deploy, request: pytest.FixtureRequest) -> None:
    updated: Deployment = request.getfixturevalue(stack)
    previewed = run(stack, preview=True)
    assert {(r.type, r.name, r.parent) for r in previewed.resources} == {
        (r.type, r.name, r.parent) for r in updated.resources
    }


def test_a_preview_of_all_there_is_registers_all_there_is(run: Deploy, whole: Deployment) -> None:
    previewed = run("dev", preview=True, **CHANGES)
    assert {(r.type, r.name) for r in previewed.resources} == {(r.type, r.name) for r in whole.resources}
