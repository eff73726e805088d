"""The identities of the transform stage: two that share nothing, and the salt that one of them reads."""

from typing import Any

from tests.infra.engine import SALT, Deployment

ACCOUNT = "974531504241"
RAW = f"arn:aws:s3:::postgres-etl-extract-prod-{ACCOUNT}"
RAW_KEY = f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/extract-bucket-data-key"
DEV = "arn:aws:s3:::postgres-etl-load-dev-473251818902"
SBX = "arn:aws:s3:::postgres-etl-load-sbx-665505400356"
SALT_ARN = f"arn:aws:secretsmanager:eu-west-2:{ACCOUNT}:secret:postgres-etl-scrub-salt-prod-AbCdEf"
THROUGH_S3 = {"kms:ViaService": "s3.eu-west-2.amazonaws.com"}


def labels(component: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "postgres-etl", "app.kubernetes.io/component": component}


def load_bucket_keys(actions: list[str]) -> dict[str, Any]:
    return {
        "Action": actions,
        "Resource": ["arn:aws:kms:eu-west-2:473251818902:key/*", "arn:aws:kms:eu-west-2:665505400356:key/*"],
        "Condition": {"StringEquals": {"kms:EncryptionContext:aws:s3:arn": [DEV, SBX], **THROUGH_S3}},
    }


def test_each_service_account_assumes_its_own_role_and_no_other_does(prod: Deployment) -> None:
    issuer = "oidc.eks.eu-west-2.amazonaws.com/id/" + "F" * 32
    for name, automount in (("transform", False), ("dispatcher", True)):
        account = prod.one("v1:ServiceAccount", f"transform-{name}-identity-account").inputs
        assert account["metadata"] == {
            "name": name,
            "namespace": "postgres-etl",
            "labels": labels(name),
            "annotations": {
                "eks.amazonaws.com/role-arn": f"arn:aws:iam::{ACCOUNT}:role/postgres-etl-{name}-prod",
                "eks.amazonaws.com/sts-regional-endpoints": "true",
            },
        }
        assert account["automountServiceAccountToken"] is automount
        assert prod.one("iam/role:Role", f"transform-{name}-identity-role").document("assumeRolePolicy") == {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "AllowOneServiceAccount",
                    "Effect": "Allow",
                    "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}"},
                    "Action": "sts:AssumeRoleWithWebIdentity",
                    "Condition": {
                        "StringEquals": {
                            f"{issuer}:aud": "sts.amazonaws.com",
                            f"{issuer}:sub": f"system:serviceaccount:postgres-etl:{name}",
                        }
                    },
                }
            ],
        }


def test_the_transform_reads_raw_writes_cleaned_and_reads_the_salt(prod: Deployment) -> None:
    assert prod.permissions("transform-transform-identity-policy") == {
        "AllowReadingDumps": {
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": [f"{RAW}/*"],
        },
        "AllowDecryptingDumps": {
            "Action": ["kms:Decrypt"],
            "Resource": [RAW_KEY],
            "Condition": {"StringEquals": THROUGH_S3},
        },
        "AllowListingDumps": {"Action": ["s3:ListBucket"], "Resource": [RAW]},
        "AllowWritingCleanedDumps": {
            "Action": ["s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectTagging"],
            "Resource": [f"{DEV}/dev/*", f"{SBX}/sbx/*"],
        },
        "AllowReadingCleanedManifests": {
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": [f"{DEV}/dev/*/manifest.json", f"{SBX}/sbx/*/manifest.json"],
        },
        "AllowListingCleanedDumps": {"Action": ["s3:ListBucket"], "Resource": [DEV, SBX]},
        "AllowUsingLoadBucketKeys": load_bucket_keys(["kms:Decrypt", "kms:GenerateDataKey"]),
        "AllowReadingSalt": {"Action": ["secretsmanager:GetSecretValue"], "Resource": [SALT_ARN]},
        "AllowDecryptingSalt": {
            "Action": ["kms:Decrypt"],
            "Resource": [f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/*"],
            "Condition": {
                "StringEquals": {
                    "kms:EncryptionContext:SecretARN": SALT_ARN,
                    "kms:ViaService": "secretsmanager.eu-west-2.amazonaws.com",
                }
            },
        },
    }


def test_the_dispatcher_consumes_messages_and_reads_manifests_and_no_dump(prod: Deployment) -> None:
    read = ["s3:GetObject", "s3:GetObjectVersion"]
    assert prod.permissions("transform-dispatcher-identity-policy") == {
        "AllowConsumingMessages": {
            "Action": [
                "sqs:ChangeMessageVisibility",
                "sqs:DeleteMessage",
                "sqs:GetQueueAttributes",
                "sqs:ReceiveMessage",
            ],
            "Resource": [f"arn:aws:sqs:eu-west-2:{ACCOUNT}:postgres-etl-s3"],
        },
        "AllowBuryingMessages": {
            "Action": [
                "sqs:ChangeMessageVisibility",
                "sqs:GetQueueAttributes",
                "sqs:ReceiveMessage",
                "sqs:SendMessage",
            ],
            "Resource": [f"arn:aws:sqs:eu-west-2:{ACCOUNT}:postgres-etl-s3-dlq"],
        },
        "AllowCryptographyOfMessages": {
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": [f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/operations-data-key"],
            "Condition": {"StringEquals": {"kms:ViaService": "sqs.eu-west-2.amazonaws.com"}},
        },
        "AllowReadingManifests": {"Action": read, "Resource": [f"{RAW}/*/manifest.json"]},
        "AllowDecryptingManifests": {
            "Action": ["kms:Decrypt"],
            "Resource": [RAW_KEY],
            "Condition": {"StringEquals": THROUGH_S3},
        },
        "AllowListingDumps": {"Action": ["s3:ListBucket"], "Resource": [RAW]},
        "AllowReadingCleanedManifests": {
            "Action": read,
            "Resource": [f"{DEV}/*/manifest.json", f"{SBX}/*/manifest.json"],
        },
        "AllowListingCleanedDumps": {"Action": ["s3:ListBucket"], "Resource": [DEV, SBX]},
        "AllowUsingLoadBucketKeys": load_bucket_keys(["kms:Decrypt"]),
    }


def test_the_dispatcher_may_create_and_see_jobs_and_do_nothing_else_in_the_cluster(prod: Deployment) -> None:
    assert prod.one("v1:Role").inputs["rules"] == [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list"]}
    ]
    binding = prod.one("v1:RoleBinding").inputs
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "dispatcher"}
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "dispatcher", "namespace": "postgres-etl"}]
    assert not [r for r in prod.resources if r.type.endswith((":ClusterRole", ":ClusterRoleBinding"))]


def test_the_salt_is_kept_in_a_secret_under_a_key_of_its_own(prod: Deployment) -> None:
    assert (
        prod.one("secret:Secret").inputs["kmsKeyId"] == f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/transform-salt-data-key"
    )
    value = prod.one("SecretVersion")
    assert value.inputs["secretString"] == SALT
    assert value.secrets == {"secretString"}
    assert SALT not in repr([resource for resource in prod.resources if resource.name != value.name])
