"""Secret policies: a secret is read by the roles that it names, whatever any other role is allowed."""

from __future__ import annotations

from collections.abc import Sequence

from etl_infra.documents.iam import Document, Text, deny, policy_document


def secret_policy(secret_arn: Text, reader_role_arns: Sequence[str]) -> Document:
    """The policy of a secret, which gives nobody a right: its readers have theirs from their own policies."""
    return policy_document(
        deny(
            "DenyReadingByOthers",
            ("secretsmanager:GetSecretValue",),
            (secret_arn,),
            {"ArnNotEquals": {"aws:PrincipalArn": list(reader_role_arns)}},
            "*",
        )
    )
