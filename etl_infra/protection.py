"""Protection: what holds data outlives a mistake in production, and goes with its stack everywhere else."""

from __future__ import annotations

import pulumi

from etl_infra.stack_settings import StackSettings


def guarding_data(stack: StackSettings, parent: pulumi.Resource) -> pulumi.ResourceOptions:
    """Options of what holds data: a protected environment does not delete it, nor lose it once it is unprotected."""
    return pulumi.ResourceOptions(
        parent=parent, protect=stack.is_protected, retain_on_delete=stack.is_protected or None
    )
