"""Every setting of a stack that has all there is, taken away and changed: a sentence is broken, or none is about it."""

import re
from collections import defaultdict

import pytest

from tests.infra.engine import Deployment
from tests.infra.leaves import is_seen, leaves, watchers
from tests.infra.neutral import NEUTRAL
from tests.infra.policies import agreed


@pytest.fixture(scope="module")
def unseen(whole: Deployment) -> dict[str, list[str]]:
    """Place → the mutations there that nothing notices."""
    checks, wanted = watchers(whole), agreed()
    found: defaultdict[str, list[str]] = defaultdict(list)
    for leaf in leaves(whole):
        for mutation in leaf.mutations():
            if not is_seen(mutation, whole, checks[mutation.name], wanted):
                found[leaf.place].append(str(mutation))
    return found


def test_a_setting_that_is_taken_away_or_changed_is_seen_or_is_neutral(unseen: dict[str, list[str]]) -> None:
    assert {
        place: mutations[:3]
        for place, mutations in unseen.items()
        if not any(re.fullmatch(pattern, place) for pattern in NEUTRAL)
    } == {}


def test_what_is_neutral_is_there_and_is_not_seen(unseen: dict[str, list[str]]) -> None:
    assert [p for p in NEUTRAL if not any(re.fullmatch(p, place) for place in unseen)] == []


def test_thousands_of_settings_are_tried(whole: Deployment) -> None:
    assert len(list(leaves(whole))) > 2000
