"""WorkloadIdentity: a Kubernetes service account and the IAM role that it alone assumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from etl_infra.components.object_meta import object_meta
from etl_infra.documents.iam import Statement, policy_document, service_account_trust
from etl_infra.naming import Home


@dataclass(frozen=True, kw_only=True)
class WorkloadIdentityArgs:
    """Which service account of which cluster, what its role may do, and whether its pods speak to the cluster's API."""

    home: Home
    service_account: str
    namespace: str
    namespace_name: pulumi.Input[str]
    oidc_provider_arn: str
    statements: Sequence[Statement]
    uses_kubernetes_api: bool


class WorkloadIdentity(pulumi.ComponentResource):
    """One service account, one role, bound by exact subject and audience."""

    def __init__(self, name: str, args: WorkloadIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:WorkloadIdentity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            f"{name}-role",
            name=args.home.name(args.service_account),
            assume_role_policy=pulumi.Output.json_dumps(
                service_account_trust(args.oidc_provider_arn, args.namespace, args.service_account)
            ),
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
                },
            ),
            automount_service_account_token=args.uses_kubernetes_api,
            opts=child,
        )
        self.register_outputs({})
