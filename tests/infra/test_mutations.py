"""Each setting of the baseline is seen: without it exactly the sentence that names it no longer holds."""

import pytest

from tests.infra.checks import CHECKS, failing
from tests.infra.engine import Deployment
from tests.infra.mutation import Mutation
from tests.infra.mutations_of_aws import MESSAGES, NETWORK, STORAGE
from tests.infra.mutations_of_work import CLUSTER, ROLES, TASKS

MUTATIONS = [*STORAGE, *MESSAGES, *NETWORK, *TASKS, *ROLES, *CLUSTER]
OF_A_SHELL = {"a container's root is read-only"}
"""What cannot hold where a shell may be opened: ECS Exec writes its agent into the root."""


@pytest.fixture(scope="module")
def stacks(whole: Deployment, opened: Deployment) -> dict[str, tuple[Deployment, set[str]]]:
    """The stacks that are mutated, and what does not hold in them anyway."""
    return {"whole": (whole, failing(whole)), "opened": (opened, failing(opened))}


def test_every_sentence_holds_of_a_stack_that_has_all_there_is(stacks: dict[str, tuple[Deployment, set[str]]]) -> None:
    assert {name: broken for name, (_, broken) in stacks.items()} == {"whole": set(), "opened": OF_A_SHELL}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_setting_that_is_taken_away_breaks_the_one_sentence_about_it(
    mutation: Mutation, stacks: dict[str, tuple[Deployment, set[str]]]
) -> None:
    deployment, broken = stacks[mutation.stack]
    assert failing(mutation.applied(deployment)) - broken == {mutation.breaks}


def test_every_sentence_is_broken_by_some_mutation() -> None:
    assert {mutation.breaks for mutation in MUTATIONS} == set(CHECKS)
