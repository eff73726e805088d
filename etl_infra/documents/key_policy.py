"""KMS key policies: an account that administers a key but cannot read with it, and the few that use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from etl_infra.documents.iam import Document, Statement, account_root, allow, policy_document
from etl_infra.documents.key_conditions import SESSION, KeyConditions, for_log_delivery, for_topic, through
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


@dataclass(frozen=True, kw_only=True)
class KeyUse:
    """Roles that use a key in one way, which `only_when` tells from every other; named by ARN, they need not exist yet.

    `more` are conditions under other operators than equality.
    """

    sid: str
    role_arns: Sequence[str]
    only_when: KeyConditions
    actions: Sequence[str] = USE
    more: Mapping[str, Mapping[str, Any]] | None = None


def key_policy(home: Home, uses: Sequence[KeyUse], *extra: Statement) -> Document:
    """The policy of a key.

    Args:
        home: the account that owns and administers the key.
        uses: roles, of whatever account, and how each uses the key.
        extra: what AWS services themselves need.
    """
    administration = allow(
        "AllowAccountToAdministerWithoutReading",
        ADMINISTRATION,
        EVERYTHING_IN_THE_KEY,
        principals=account_root(home.account_id),
    )
    return policy_document(administration, *(_use(use) for use in uses if use.role_arns), *extra)


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


def rds_uses(home: Home, deployer_role_arns: Sequence[str]) -> list[KeyUse]:
    """How whoever creates an instance lets RDS use its key: by grants, which RDS asks for in the caller's name.

    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Overview.Encryption.Keys.html
    """
    services = through(home, "rds", "secretsmanager")
    return [
        KeyUse(sid="AllowDeployersThroughRds", role_arns=deployer_role_arns, only_when=services),
        KeyUse(
            sid="AllowGrantsForRds",
            role_arns=deployer_role_arns,
            only_when=services,
            actions=("kms:CreateGrant",),
            more={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]


def shell_uses(task_role_arns: Sequence[str]) -> KeyUse:
    """Tasks decrypt the key of an ECS Exec session, which carries its id in the encryption context."""
    return KeyUse(
        sid="AllowTasksToTakeShells",
        role_arns=task_role_arns,
        only_when={},
        actions=("kms:Decrypt",),
        more={"Null": {SESSION: "false"}},
    )


def allow_opening_shells(home: Home) -> Statement:
    """Whoever of the account may open a shell makes the key of its session, and decrypts none.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
    """
    return allow(
        "AllowOpeningShells",
        ("kms:GenerateDataKey",),
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


def allow_events(topic_arn: str) -> Statement:
    """EventBridge may encrypt the messages of one topic. What it does not support is a condition on the rule.

    https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
    """
    return allow(
        "AllowKeyEvents",
        USE,
        EVERYTHING_IN_THE_KEY,
        {"StringEquals": for_topic(topic_arn)},
        {"Service": "events.amazonaws.com"},
    )


def allow_log_delivery(home: Home) -> Statement:
    """What state machines hand to CloudWatch may be decrypted where it is delivered.

    https://docs.aws.amazon.com/step-functions/latest/dg/encryption-at-rest.html
    """
    return allow(
        "AllowLogDelivery",
        ("kms:Decrypt",),
        EVERYTHING_IN_THE_KEY,
        {"StringEquals": for_log_delivery(home)},
        {"Service": "delivery.logs.amazonaws.com"},
    )


def _use(use: KeyUse) -> Statement:
    # The roles stand in a condition beside their accounts, not as principals: KMS refuses a principal that does not
    # exist yet, and the roles' own policies name this key.
    accounts = sorted({arn.split(":")[4] for arn in use.role_arns})
    conditions: dict[str, Mapping[str, Any]] = {"ArnEquals": {"aws:PrincipalArn": list(use.role_arns)}}
    if use.only_when:
        conditions["StringEquals"] = use.only_when
    return allow(
        use.sid,
        use.actions,
        EVERYTHING_IN_THE_KEY,
        {**conditions, **(use.more or {})},
        {"AWS": [account_root(account)["AWS"] for account in accounts]},
    )
