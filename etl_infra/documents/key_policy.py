"""KMS key policies: an account that administers a key but cannot read with it, and the few that use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from etl_infra.documents.iam import Document, Statement, account_root, allow, policy_document
from etl_infra.naming import Home

ADMINISTRATION: Final = (
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListAliases",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
)
"""What the deploying role needs, neither Decrypt nor GenerateDataKey among it."""

USE: Final = ("kms:Decrypt", "kms:GenerateDataKey")
EVERYTHING_IN_THE_KEY: Final = ("*",)
"""In a key policy "*" is the key itself: https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html"""


SESSION: Final = "kms:EncryptionContext:aws:ssm:SessionId"


@dataclass(frozen=True, kw_only=True)
class KeyUse:
    """Roles that use a key through one AWS service, named by ARN so that they need not exist yet."""

    sid: str
    via_service: str
    role_arns: Sequence[str]
    actions: Sequence[str] = USE


def key_policy(home: Home, uses: Sequence[KeyUse], *extra: Statement) -> Document:
    """The policy of a key.

    Args:
        home: the account that owns and administers the key.
        uses: roles, of whatever account, and the service through which each uses the key.
        extra: what AWS services themselves need.
    """
    administration = allow(
        "AllowAccountToAdministerWithoutReading",
        ADMINISTRATION,
        EVERYTHING_IN_THE_KEY,
        principals=account_root(home.account_id),
    )
    return policy_document(administration, *(_use(use, home) for use in uses if use.role_arns), *extra)


def allow_log_groups(home: Home, log_groups: Sequence[str]) -> Statement:
    """CloudWatch Logs may encrypt these log groups.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    return allow(
        "AllowLogGroups",
        (
            "kms:Decrypt",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ),
        EVERYTHING_IN_THE_KEY,
        {
            "StringEquals": {
                "kms:EncryptionContext:aws:logs:arn": [
                    home.arn("logs", f"log-group:{log_group}") for log_group in log_groups
                ]
            }
        },
        {"Service": f"logs.{home.region}.amazonaws.com"},
    )


def allow_rds(home: Home) -> list[Statement]:
    """RDS may use the key for instances and their master secrets, in the name of whoever creates them here.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.Encryption.Keys.html
    """
    services = [f"{service}.{home.region}.amazonaws.com" for service in ("rds", "secretsmanager")]
    through = {"StringEquals": {"kms:CallerAccount": home.account_id, "kms:ViaService": services}}
    root = account_root(home.account_id)
    return [
        allow("AllowUseThroughRds", (*USE, "kms:DescribeKey"), EVERYTHING_IN_THE_KEY, through, root),
        allow(
            "AllowGrantsForRds",
            ("kms:CreateGrant",),
            EVERYTHING_IN_THE_KEY,
            {**through, "Bool": {"kms:GrantIsForAWSResource": "true"}},
            root,
        ),
    ]


def allow_account(sid: str, via_service: str, home: Home) -> Statement:
    """Roles of the account may use the key through one service, for what their own policies let them reach there."""
    return allow(
        sid,
        (*USE, "kms:DescribeKey"),
        EVERYTHING_IN_THE_KEY,
        {
            "StringEquals": {
                "kms:CallerAccount": home.account_id,
                "kms:ViaService": f"{via_service}.{home.region}.amazonaws.com",
            }
        },
        account_root(home.account_id),
    )


def allow_shells(home: Home) -> Statement:
    """Roles of the account may use the key for ECS Exec sessions, which carry their id in the encryption context.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
    """
    return allow(
        "AllowShellSessions",
        USE,
        EVERYTHING_IN_THE_KEY,
        {"StringEquals": {"kms:CallerAccount": home.account_id}, "Null": {SESSION: "false"}},
        account_root(home.account_id),
    )


def allow_service(sid: str, service: str, home: Home, source_arn: str) -> Statement:
    """A service may use the key for one resource of this account."""
    return allow(
        sid,
        USE,
        EVERYTHING_IN_THE_KEY,
        {"StringEquals": {"aws:SourceAccount": home.account_id}, "ArnLike": {"aws:SourceArn": source_arn}},
        {"Service": service},
    )


def _use(use: KeyUse, home: Home) -> Statement:
    # The roles stand in a condition beside their accounts, not as principals: KMS refuses a principal that does not
    # exist yet, and the roles' own policies name this key.
    accounts = sorted({arn.split(":")[4] for arn in use.role_arns})
    return allow(
        use.sid,
        use.actions,
        EVERYTHING_IN_THE_KEY,
        {
            "ArnEquals": {"aws:PrincipalArn": list(use.role_arns)},
            "StringEquals": {"kms:ViaService": f"{use.via_service}.{home.region}.amazonaws.com"},
        },
        {"AWS": [account_root(account)["AWS"] for account in accounts]},
    )
