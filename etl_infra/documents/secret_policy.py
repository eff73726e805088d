"""Secret policies: a secret is read in its own account alone, whatever any role of another is allowed."""

from __future__ import annotations

from etl_infra.documents.iam import Document, Text, deny, policy_document
from etl_infra.naming import Home


def secret_policy(home: Home, secret_arn: Text) -> Document:
    """The policy of a secret of this account. Which role in it reads the secret, that role's own policy says."""
    return policy_document(
        deny(
            "DenyOtherAccounts",
            ("secretsmanager:GetSecretValue",),
            (secret_arn,),
            {"StringNotEquals": {"aws:PrincipalAccount": home.account_id}},
            "*",
        )
    )
