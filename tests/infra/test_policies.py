"""Who may do what, to the letter: every policy of a stack that has all there is."""

from tests.infra.engine import Deployment
from tests.infra.policies import agreed, policies


def test_every_policy_is_the_one_that_was_agreed(whole: Deployment) -> None:
    found, wanted = policies(whole), agreed()
    assert set(found) == set(wanted)
    for name, policy in wanted.items():
        assert found[name] == policy, name
