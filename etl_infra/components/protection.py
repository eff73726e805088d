"""Protection: what holds data outlives a mistake in production, and goes with its stack everywhere else.

Each resource says it for itself: what a component hands down would reach alarms and policies too, and on older engines
not everything. https://www.pulumi.com/docs/iac/concepts/resources/options/protect/
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi


def holding_data(
    parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource] = (), *, protected: bool
) -> pulumi.ResourceOptions:
    """Options of what holds data: where it is protected, an update that would delete or replace it stops.

    Once somebody has unprotected it, the engine forgets it rather than deletes it.
    """
    return pulumi.ResourceOptions(
        parent=parent, depends_on=list(depends_on), protect=protected or None, retain_on_delete=protected or None
    )


def guarding_data(
    parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource] = (), *, protected: bool
) -> pulumi.ResourceOptions:
    """Options of what guards data: it may change like anything else, and stays with the data that is kept."""
    return pulumi.ResourceOptions(parent=parent, depends_on=list(depends_on), retain_on_delete=protected or None)
