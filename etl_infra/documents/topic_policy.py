"""The alarm topic's policy: alarms of this account may publish, and nobody in plaintext."""

from __future__ import annotations

from etl_infra.documents.iam import Document, Text, allow, deny, policy_document
from etl_infra.naming import Home


def alarm_topic_policy(home: Home, topic_arn: Text) -> Document:
    """State machines publish by their own role's policy, which in one account is enough."""
    return policy_document(
        allow(
            "AllowAlarmsOfThisAccount",
            ("sns:Publish",),
            (topic_arn,),
            {
                "ArnLike": {"aws:SourceArn": home.arn("cloudwatch", "alarm:*")},
                "StringEquals": {"aws:SourceAccount": home.account_id},
            },
            {"Service": "cloudwatch.amazonaws.com"},
        ),
        deny("DenyPlaintextTransport", ("sns:Publish",), (topic_arn,), {"Bool": {"aws:SecureTransport": "false"}}, "*"),
    )
