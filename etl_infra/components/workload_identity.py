"""WorkloadIdentity: a Kubernetes service account and the IAM role that it alone assumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from etl_infra.components.object_meta import object_meta
from etl_infra.documents.iam import (
    Document,
    Statement,
    pod_identity_trust,
    policy_document,
    service_account_trust,
)
from etl_infra.naming import Home
from etl_infra.stack_settings import ClusterSettings


@dataclass(frozen=True, kw_only=True)
class WorkloadIdentityArgs:
    """Which service account of which cluster, what its role may do, and whether its pods speak to the cluster's API."""

    home: Home
    service_account: str
    cluster: ClusterSettings
    namespace_name: pulumi.Input[str]
    statements: Sequence[Statement]
    uses_kubernetes_api: bool


class WorkloadIdentity(pulumi.ComponentResource):
    """A service account and its role, bound to each other by IRSA or by Pod Identity, as the cluster has it.

    Defaults:
        - one role for one service account of one namespace: no other workload assumes it
        - no token of the cluster's API in the pod, unless the program speaks to that API
    """

    def __init__(self, name: str, args: WorkloadIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:WorkloadIdentity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            f"{name}-role",
            name=args.home.name(args.service_account),
            assume_role_policy=pulumi.Output.json_dumps(_trust(args)),
            opts=child,
        )
        if args.cluster.eks_cluster_name:
            aws.eks.PodIdentityAssociation(
                f"{name}-association",
                cluster_name=args.cluster.eks_cluster_name,
                namespace=args.namespace_name,
                service_account=args.service_account,
                role_arn=role.arn,
                opts=child,
            )
        aws.iam.RolePolicy(
            f"{name}-policy",
            name=args.service_account,
            role=role.name,
            policy=pulumi.Output.json_dumps(policy_document(*args.statements)),
            opts=child,
        )
        k8s.core.v1.ServiceAccount(
            f"{name}-account",
            metadata=object_meta(
                args.service_account,
                args.service_account,
                args.namespace_name,
                {
                    "eks.amazonaws.com/role-arn": role.arn,
                    "eks.amazonaws.com/sts-regional-endpoints": "true",
                }
                if args.cluster.oidc_provider_arn
                else None,
            ),
            automount_service_account_token=args.uses_kubernetes_api,
            opts=child,
        )
        self.register_outputs({})


def _trust(args: WorkloadIdentityArgs) -> Document:
    cluster = args.cluster
    if cluster.oidc_provider_arn:
        return service_account_trust(cluster.oidc_provider_arn, cluster.namespace, args.service_account)
    return pod_identity_trust(args.home, cluster.eks_cluster_name or "", cluster.namespace, args.service_account)
