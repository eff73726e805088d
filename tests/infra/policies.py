"""Every policy of a stack in one table, as it is compared whole with the one that was agreed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from tests.infra.engine import Deployment

AGREED: Final = Path(__file__).parent / "agreed_policies.yaml"
DOCUMENTS: Final = {
    "aws:iam/role:Role": "assumeRolePolicy",
    "aws:iam/rolePolicy:RolePolicy": "policy",
    "aws:kms/key:Key": "policy",
    "aws:s3/bucketPolicy:BucketPolicy": "policy",
    "aws:secretsmanager/secretPolicy:SecretPolicy": "policy",
    "aws:sns/topicPolicy:TopicPolicy": "policy",
    "aws:sqs/queuePolicy:QueuePolicy": "policy",
}
"""Type → the input that holds a policy."""

OWNERS: Final = ("role", "bucket", "secretArn", "arn", "queueUrl")
"""The inputs that say whose policy one is."""


def policies(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """Logical name → whose policy it is, "" if its own, and its statements."""
    return {
        resource.name: {
            "of": next((resource.inputs[key] for key in OWNERS if key in resource.inputs), ""),
            **resource.document(DOCUMENTS[resource.type]),
        }
        for resource in deployment.resources
        if resource.type in DOCUMENTS
    }


def agreed() -> dict[str, dict[str, Any]]:
    """What `policies` must give for the stack that has all there is."""
    return yaml.safe_load(AGREED.read_text(encoding="utf-8"))
