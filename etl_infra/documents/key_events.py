"""What CloudTrail tells when a key is about to be lost, as EventBridge hears it."""

from __future__ import annotations

from typing import Any, Final

from etl_runtime import contract

from etl_infra.documents.iam import Text
from etl_infra.naming import Home

CALLS_THAT_LOSE_A_KEY: Final = ("DisableKey", "DisableKeyRotation", "PutKeyPolicy", "ScheduleKeyDeletion")
"""After any of these, what the key encrypts may be unreadable, or readable to others."""

NOTICE_PATHS: Final = {"call": "$.detail.eventName", "caller": "$.detail.userIdentity.arn"}
NOTICE: Final = f'"{contract.MIGRATOR_NAME}: <caller> called <call> on the key of %s"'


def key_event_pattern(key_arn: Text) -> dict[str, Any]:
    """The events about one key. A call may name it by id or alias; what CloudTrail adds is its ARN.

    EventBridge hears of them where the account has a trail of management events, as every account should.

    https://docs.aws.amazon.com/kms/latest/developerguide/logging-using-cloudtrail.html
    """
    return {
        "source": ["aws.kms"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {"eventName": list(CALLS_THAT_LOSE_A_KEY), "resources": {"ARN": [key_arn]}},
    }


def key_event_rule(noun: str, home: Home) -> str:
    """The name of the rule that hears of one key."""
    return home.name(f"{noun}-key")
