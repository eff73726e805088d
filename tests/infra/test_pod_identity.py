"""Pod Identity, the other way in which a service account gets its role."""

import pytest

from tests.infra.engine import Deployment

ACCOUNT = "473251818902"


@pytest.mark.parametrize("name", ["transform", "dispatcher"])
def test_a_service_account_gets_its_role_by_an_association_of_the_cluster(name: str, opened: Deployment) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/postgres-etl-{name}-prod"
    assert opened.one("PodIdentityAssociation", f"transform-{name}-identity-association").inputs == {
        "clusterName": "platform",
        "namespace": "postgres-etl",
        "serviceAccount": name,
        "roleArn": role,
    }
    metadata = opened.one("v1:ServiceAccount", f"transform-{name}-identity-account").inputs["metadata"]
    assert "annotations" not in metadata
    assert opened.one("iam/role:Role", f"transform-{name}-identity-role").document("assumeRolePolicy") == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "AllowOneServiceAccount",
                "Effect": "Allow",
                "Principal": {"Service": "pods.eks.amazonaws.com"},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Condition": {
                    "StringEquals": {
                        "aws:SourceAccount": ACCOUNT,
                        "aws:RequestTag/kubernetes-namespace": "postgres-etl",
                        "aws:RequestTag/kubernetes-service-account": name,
                    },
                    "ArnEquals": {"aws:SourceArn": f"arn:aws:eks:eu-west-2:{ACCOUNT}:cluster/platform"},
                },
            }
        ],
    }


def test_a_stack_has_one_way_or_the_other(whole: Deployment, opened: Deployment) -> None:
    assert not whole.all("PodIdentityAssociation")
    assert "oidc" not in repr(opened.resources)
