"""Load: who fills its bucket, what its task may do, and which dumps it may restore."""

from pathlib import Path
from typing import Any

import pytest
from etl_runtime import contract

from tests.infra.conftest import Deploy
from tests.infra.engine import Deployment

ACCOUNT = "665505400356"
PROD = "974531504241"
BUCKET = f"arn:aws:s3:::postgres-etl-load-sbx-{ACCOUNT}"
KEY = f"arn:aws:kms:eu-west-2:{ACCOUNT}:key/load-bucket-data-key"
TRANSFORM = f"arn:aws:iam::{PROD}:role/postgres-etl-transform-prod"
DISPATCHER = f"arn:aws:iam::{PROD}:role/postgres-etl-dispatcher-prod"


def environment(deployment: Deployment) -> dict[str, str]:
    """The variables of the task's container."""
    return {entry["name"]: entry["value"] for entry in deployment.container("load-task-definition")["environment"]}


def test_the_load_bucket_admits_the_named_roles_of_the_other_account_and_no_others(sbx: Deployment) -> None:
    def admit(sid: str, actions: list[str], resource: str, role: str) -> dict[str, Any]:
        return {
            "Sid": sid,
            "Effect": "Allow",
            "Principal": {"AWS": [f"arn:aws:iam::{PROD}:root"]},
            "Action": actions,
            "Resource": [resource],
            "Condition": {"ArnEquals": {"aws:PrincipalArn": [role]}},
        }

    read = ["s3:GetObject", "s3:GetObjectVersion"]
    granted = [s for s in sbx.one("BucketPolicy").document("policy")["Statement"] if s["Effect"] == "Allow"]
    assert granted == [
        admit(
            "AllowWritingObjects",
            ["s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectTagging"],
            f"{BUCKET}/*",
            TRANSFORM,
        ),
        admit("AllowWritersToReadManifests", read, f"{BUCKET}/*/manifest.json", TRANSFORM),
        admit("AllowWritersToList", ["s3:ListBucket"], BUCKET, TRANSFORM),
        admit("AllowReadingManifests", read, f"{BUCKET}/*/manifest.json", DISPATCHER),
        admit("AllowManifestReadersToList", ["s3:ListBucket"], BUCKET, DISPATCHER),
    ]


def test_the_load_bucket_denies_what_the_extract_bucket_denies(sbx: Deployment, prod: Deployment) -> None:
    def denied(deployment: Deployment) -> list[str]:
        return [
            s["Sid"] for s in deployment.one("BucketPolicy").document("policy")["Statement"] if s["Effect"] == "Deny"
        ]

    assert denied(sbx) == denied(prod)
    assert len(denied(sbx)) == 6


def test_the_task_reads_its_own_environments_cleaned_dumps_and_nothing_else(sbx: Deployment) -> None:
    assert sbx.permissions("load-task-task-policy") == {
        "AllowReadingDumps": {
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": [f"{BUCKET}/sbx/*"],
        },
        "AllowDecryptingDumps": {
            "Action": ["kms:Decrypt"],
            "Resource": [KEY],
            "Condition": {"StringEquals": {"kms:ViaService": "s3.eu-west-2.amazonaws.com"}},
        },
        "AllowSigningInToDatabase": {
            "Action": ["rds-db:connect"],
            "Resource": [f"arn:aws:rds-db:eu-west-2:{ACCOUNT}:dbuser:db-ADOPTED/postgres_etl_loader"],
        },
    }


def test_the_tasks_environment_is_this(sbx: Deployment, rules: Any) -> None:
    assert environment(sbx) == {
        "ALLOWED_RULES": contract.rules_digest(rules),
        "AWS_REGION": "eu-west-2",
        "DB_AUTHENTICATION": "iam",
        "DB_HOST": "marketplace-sbx.example.com",
        "DB_NAME": "marketplace",
        "DB_PORT": "5432",
        "DB_SSLMODE": "verify-full",
        "DB_STORAGE_GIB": "200",
        "DB_USER": "postgres_etl_loader",
        "ENVIRONMENT_NAME": "sbx",
        "KEEP_PREVIOUS_HOURS": "24",
        "KEEP_PREVIOUS_MOST": "2",
        "LOAD_BUCKET": f"postgres-etl-load-sbx-{ACCOUNT}",
        "LOAD_BUCKET_OWNER": ACCOUNT,
        "MOUNT_POINT": "/scratch",
        "PROTECTED_ACCOUNTS": PROD,
        "RESTORE_JOBS": "4",
        "RESTORE_MODE": "swap",
        "TMPDIR": "/scratch",
    }


def test_the_task_gets_the_post_load_scripts_of_the_stack(run: Deploy, tmp_path: Path) -> None:
    (tmp_path / "20-rows.sql").write_text("INSERT INTO flags VALUES ('é');\n")
    (tmp_path / "10-grants.sql").write_text("GRANT SELECT ON users TO application;\n")
    (tmp_path / "README.md").write_text("not for the server")
    given = environment(run("sbx", postLoadDirectory=str(tmp_path)))["POST_LOAD_SCRIPTS"]
    assert contract.post_load_scripts(given) == {
        "10-grants.sql": "GRANT SELECT ON users TO application;\n",
        "20-rows.sql": "INSERT INTO flags VALUES ('é');\n",
    }


def test_of_storage_that_grows_by_itself_the_task_is_told_nothing(run: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.infra.engine.ALLOCATED_GIB", 1)
    assert environment(run("sbx"))["DB_STORAGE_GIB"] == "0"


def test_a_protected_environment_is_named_to_the_task_that_may_load_it(run: Deploy, sbx: Deployment) -> None:
    assert "PROTECTED_LOAD_TARGET" not in environment(sbx)
    target = f"{ACCOUNT}/marketplace-sbx.example.com/marketplace"
    allowed = run(
        "sbx",
        environment="prod",
        protectedAccountIds=[ACCOUNT],
        allowProtectedLoad="prod",
        protectedLoadTarget=target,
    )
    assert environment(allowed)["PROTECTED_LOAD_TARGET"] == target
    assert "RefuseTarget" not in allowed.one("StateMachine").document("definition")["States"]


def test_an_environment_is_protected_by_its_account_whatever_it_is_called(run: Deploy) -> None:
    live = run("prod", environment="live")
    assert live.one("s3/bucket:Bucket").inputs["forceDestroy"] is False
    assert live.one("s3/bucket:Bucket").protect


def test_the_family_and_the_container_are_called_pg_restore(sbx: Deployment) -> None:
    assert sbx.one("TaskDefinition").inputs["family"] == "pg_restore"
    restore = sbx.container("load-task-definition")
    assert (restore["name"], restore["command"]) == ("pg_restore", ["python", "-m", "etl_runtime.pg_restore"])


def test_a_load_needs_no_queue_and_announces_nothing(sbx: Deployment) -> None:
    assert not sbx.all("sqs/queue:Queue")
    assert not sbx.all("BucketNotification")
