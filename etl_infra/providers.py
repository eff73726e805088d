"""The providers: one account, one region, one cluster, and tags on everything."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from etl_infra.stack_settings import StackSettings


def providers(settings: StackSettings) -> pulumi.ResourceOptions:
    """Options that hand the stack's providers to a stage and all its children.

    The AWS one refuses credentials of another account; the Kubernetes one exists only where a cluster is used.
    """
    home = settings.home
    chosen: list[pulumi.ProviderResource] = [
        aws.Provider(
            "aws",
            region=home.region,
            allowed_account_ids=[home.account_id],
            default_tags={"tags": home.tags()},
        )
    ]
    if settings.transform:
        chosen.append(k8s.Provider("kubernetes", context=settings.transform.cluster.context))
    return pulumi.ResourceOptions(providers=chosen)
