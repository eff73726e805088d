"""IAM policy documents: statements, the documents they make up, and who may assume a role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pulumi

from etl_infra.naming import Home

Text: TypeAlias = str | pulumi.Output[str]
"""A text that may be known only once something exists."""

Statement: TypeAlias = dict[str, Any]
Document: TypeAlias = dict[str, Any]
Conditions: TypeAlias = Mapping[str, Mapping[str, Any]]


def allow(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[Text],
    conditions: Conditions | None = None,
    principals: Mapping[str, Any] | str | None = None,
) -> Statement:
    """A statement that allows.

    Args:
        sid: "Allow" and what it allows, in CamelCase.
        actions: `service:Action` names, sorted in the result.
        resources: ARNs, in the order given.
        conditions: operator → key → value or values.
        principals: who, in a policy that sits on a resource; None in one that sits on a role.
    """
    return _statement("Allow", sid, actions, resources, conditions=conditions, principals=principals)


def deny(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[Text],
    conditions: Conditions | None = None,
    principals: Mapping[str, Any] | str | None = None,
) -> Statement:
    """A statement that denies; arguments as in `allow`."""
    return _statement("Deny", sid, actions, resources, conditions=conditions, principals=principals)


def joined(*parts: Text) -> Text:
    """These texts one after the other."""
    if all(isinstance(part, str) for part in parts):
        return "".join(str(part) for part in parts)
    return pulumi.Output.concat(*parts)


def policy_document(*statements: Statement) -> Document:
    """The document of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def account_root(account_id: str) -> dict[str, str]:
    """An account as principal; its own policies, or a condition beside it, say who in it."""
    return {"AWS": f"arn:aws:iam::{account_id}:root"}


def service_trust(principal: str, home: Home, service: str, resource: str) -> Document:
    """The trust of a role that an AWS service assumes, for this account's own resources and no other's.

    Args:
        principal: the service that assumes, such as `ecs-tasks.amazonaws.com`.
        home: the account for whose resources it may act.
        service: the service part of those resources' ARNs.
        resource: pattern of the rest of their ARNs.
    """
    return policy_document(
        {
            "Sid": "AllowServiceOfThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": principal},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": home.account_id},
                "ArnLike": {"aws:SourceArn": home.arn(service, resource)},
            },
        }
    )


def service_account_trust(oidc_provider_arn: str, namespace: str, service_account: str) -> Document:
    """The trust of a role that one Kubernetes service account assumes by its projected token (IRSA)."""
    issuer = oidc_provider_arn.partition("oidc-provider/")[2]
    return policy_document(
        {
            "Sid": "AllowOneServiceAccount",
            "Effect": "Allow",
            "Principal": {"Federated": oidc_provider_arn},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": {
                    f"{issuer}:aud": "sts.amazonaws.com",
                    f"{issuer}:sub": f"system:serviceaccount:{namespace}:{service_account}",
                }
            },
        }
    )


def pod_identity_trust(home: Home, cluster_name: str, namespace: str, service_account: str) -> Document:
    """The trust of a role that one Kubernetes service account of one cluster assumes by EKS Pod Identity.

    https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html
    """
    return policy_document(
        {
            "Sid": "AllowOneServiceAccount",
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {
                "StringEquals": {
                    "aws:SourceAccount": home.account_id,
                    "aws:RequestTag/kubernetes-namespace": namespace,
                    "aws:RequestTag/kubernetes-service-account": service_account,
                },
                "ArnEquals": {"aws:SourceArn": home.arn("eks", f"cluster/{cluster_name}")},
            },
        }
    )


def role_trust(role_arns: Sequence[str]) -> Document:
    """The trust of a role that other roles assume."""
    return policy_document(
        {
            "Sid": "AllowNamedRoles",
            "Effect": "Allow",
            "Principal": {"AWS": list(role_arns)},
            "Action": "sts:AssumeRole",
        }
    )


def _statement(
    effect: str,
    sid: str,
    actions: Sequence[str],
    resources: Sequence[Text],
    *,
    conditions: Conditions | None,
    principals: Mapping[str, Any] | str | None,
) -> Statement:
    statement: Statement = {"Sid": sid, "Effect": effect}
    if principals is not None:
        statement["Principal"] = principals
    statement |= {"Action": sorted(actions), "Resource": list(resources)}
    if conditions:
        statement["Condition"] = {operator: dict(keys) for operator, keys in conditions.items()}
    return statement
