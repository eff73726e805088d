"""The alarm topic's policy: alarms and key events of this account may publish, and nobody in plaintext."""

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
        allow(
            # No condition: EventBridge gives none to judge, and a role on the target is advised against where the topic
            # is encrypted. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
            "AllowKeyEvents",
            ("sns:Publish",),
            (topic_arn,),
            principals={"Service": "events.amazonaws.com"},
        ),
        deny("DenyPlaintextTransport", ("sns:Publish",), (topic_arn,), {"Bool": {"aws:SecureTransport": "false"}}, "*"),
    )
