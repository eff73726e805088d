"""Queue policies: who may send to the dump queue, and that nobody speaks to it in plaintext."""

from __future__ import annotations

from etl_infra.documents.iam import Document, Statement, Text, allow, deny, policy_document


def dump_queue_policy(queue_arn: Text, bucket_arn: Text, account_id: str) -> Document:
    """S3 may send the events of one bucket of this account; nothing else comes in."""
    return policy_document(
        allow(
            "AllowEventsOfOneBucket",
            ("sqs:SendMessage",),
            (queue_arn,),
            {"ArnEquals": {"aws:SourceArn": bucket_arn}, "StringEquals": {"aws:SourceAccount": account_id}},
            {"Service": "s3.amazonaws.com"},
        ),
        _tls_only(queue_arn),
    )


def dead_letter_queue_policy(queue_arn: Text) -> Document:
    """Messages arrive by redrive, which needs no statement, and from the dispatcher, whose own role allows it."""
    return policy_document(_tls_only(queue_arn))


def _tls_only(queue_arn: Text) -> Statement:
    return deny("DenyPlaintextTransport", ("sqs:*",), (queue_arn,), {"Bool": {"aws:SecureTransport": "false"}}, "*")
