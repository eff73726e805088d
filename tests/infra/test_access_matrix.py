"""Who reads what: the matrix of the three stacks together, derived from the policies that they register."""

import copy
import dataclasses
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from etl_infra.documents.access_matrix import Right, access_matrix, may
from tests.infra.engine import Deployment

DEV, SBX, PROD = "473251818902", "665505400356", "974531504241"
RAW = f"arn:aws:s3:::postgres-etl-extract-prod-{PROD}"
RAW_KEY = f"arn:aws:kms:eu-west-2:{PROD}:key/extract-bucket-data-key"
CLEAN = {
    "dev": f"arn:aws:s3:::postgres-etl-load-dev-{DEV}",
    "sbx": f"arn:aws:s3:::postgres-etl-load-sbx-{SBX}",
}
DUMP = "nightly-1/etl-dump"
READING = ("s3:GetObject", "s3:GetObjectVersion")
SOURCE_SIDE = ("extract-task", "extract-execution", "extract-states", "dispatcher", "transform", "jenkins")


@pytest.fixture(scope="module")
def rights(dev: Deployment, sbx: Deployment, prod: Deployment) -> list[Right]:
    """Every right in the three accounts."""
    return access_matrix({"dev": dev.resources, "sbx": sbx.resources, "prod": prod.resources})


def who(rights: list[Right], action: str, resource: str) -> set[str]:
    """Everybody who may do this."""
    return {right.principal for right in rights if may([right], right.principal, action, resource)}


def test_only_the_transform_reads_and_decrypts_a_raw_dump(rights: list[Right]) -> None:
    for action in READING:
        assert who(rights, action, f"{RAW}/dev/{DUMP}/toc.dat") == {"postgres-etl-transform-prod"}
    assert "postgres-etl-transform-prod" in who(rights, "kms:Decrypt", RAW_KEY)


def test_whoever_else_holds_the_raw_key_reads_manifests_alone(rights: list[Right]) -> None:
    holders = who(rights, "kms:Decrypt", RAW_KEY)
    assert holders == {f"postgres-etl-{noun}-prod" for noun in ("transform", "extract-task", "dispatcher", "jenkins")}
    read = {(r.principal, r.resource) for r in rights if r.action in READING and r.resource.startswith(RAW)}
    assert read == {
        ("postgres-etl-transform-prod", f"{RAW}/*"),
        ("postgres-etl-extract-states-prod", f"{RAW}/*/manifest.json"),
        *((f"postgres-etl-{noun}-prod", f"{RAW}/*/manifest.json") for noun in ("dispatcher", "jenkins")),
        *(("postgres-etl-extract-task-prod", f"{RAW}/{place}/*/manifest.json") for place in ("dev", "sbx")),
    }


def test_nobody_outside_of_the_source_account_has_a_right_in_raw_dumps(rights: list[Right]) -> None:
    for right in rights:
        if right.resource.startswith(RAW) or right.resource == RAW_KEY:
            assert right.principal.endswith(("-prod", ".amazonaws.com")), right


def test_the_load_role_has_no_right_in_an_extract_bucket_its_key_or_its_queue(rights: list[Right]) -> None:
    for right in rights:
        if right.principal.startswith("postgres-etl-load-"):
            assert "extract" not in right.resource, right
            assert ":sqs:" not in right.resource, right


@pytest.mark.parametrize("environment", ["dev", "sbx"])
def test_the_source_side_writes_cleaned_dumps_and_reads_their_manifests_alone(
    environment: str, rights: list[Right]
) -> None:
    bucket = CLEAN[environment]
    found = {
        (right.principal, right.action, right.resource.removeprefix(bucket))
        for right in rights
        if right.resource.startswith(bucket)
        and right.principal in {f"postgres-etl-{noun}-prod" for noun in SOURCE_SIDE}
    }
    writing = ("s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectTagging")
    assert found == {
        *(("postgres-etl-transform-prod", action, f"/{environment}/*") for action in writing),
        *(("postgres-etl-transform-prod", action, f"/{environment}/*/manifest.json") for action in READING),
        *(("postgres-etl-dispatcher-prod", action, "/*/manifest.json") for action in READING),
        *((f"postgres-etl-{noun}-prod", "s3:ListBucket", "") for noun in ("transform", "dispatcher")),
    }


@pytest.mark.parametrize(("environment", "other"), [("dev", "sbx"), ("sbx", "dev")])
def test_a_cleaned_dump_is_read_by_the_load_of_its_own_environment_alone(
    environment: str, other: str, rights: list[Right]
) -> None:
    reader = f"postgres-etl-load-task-{environment}"
    assert who(rights, "s3:GetObject", f"{CLEAN[environment]}/{environment}/{DUMP}/toc.dat") == {reader}
    assert not {r.resource for r in rights if r.principal == reader and r.resource.startswith(CLEAN[other])}


def test_nobody_deletes_a_dump(rights: list[Right]) -> None:
    assert not [right for right in rights if right.action.startswith("s3:Delete")]


def test_the_salt_is_read_by_the_transform_alone(rights: list[Right]) -> None:
    salt = f"arn:aws:secretsmanager:eu-west-2:{PROD}:secret:postgres-etl-scrub-salt-prod-AbCdEf"
    assert who(rights, "secretsmanager:GetSecretValue", salt) == {"postgres-etl-transform-prod"}
    key = f"arn:aws:kms:eu-west-2:{PROD}:key/transform-salt-data-key"
    assert who(rights, "kms:Decrypt", key) == {"postgres-etl-transform-prod"}


def test_messages_are_sent_by_s3_and_consumed_by_the_dispatcher_alone(rights: list[Right]) -> None:
    queue = f"arn:aws:sqs:eu-west-2:{PROD}:postgres-etl-s3"
    assert who(rights, "sqs:SendMessage", queue) == {"s3.amazonaws.com"}
    for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage"):
        assert who(rights, action, queue) == {"postgres-etl-dispatcher-prod"}


def without(deployment: Deployment, name: str, sid: str) -> list[Any]:
    """The resources, one statement of one policy removed."""
    return [replaced(r, sid) if r.name == name else r for r in deployment.resources]


def replaced(resource: Any, sid: str) -> Any:
    inputs = copy.deepcopy(resource.inputs)
    document = json.loads(inputs["policy"])
    kept = [statement for statement in document["Statement"] if statement["Sid"] != sid]
    assert len(kept) == len(document["Statement"]) - 1
    return dataclasses.replace(resource, inputs={**inputs, "policy": json.dumps({**document, "Statement": kept})})


def stacks(dev: Deployment, sbx: Deployment, prod: Deployment) -> dict[str, list[Any]]:
    return {"dev": dev.resources, "sbx": sbx.resources, "prod": prod.resources}


@pytest.mark.parametrize(
    ("environment", "policy", "sid"),
    [
        ("sbx", "load-bucket-policy", "AllowWritingObjects"),
        ("prod", "transform-transform-identity-policy", "AllowWritingCleanedDumps"),
    ],
)
def test_a_right_across_accounts_takes_the_word_of_both(
    environment: str, policy: str, sid: str, dev: Deployment, sbx: Deployment, prod: Deployment
) -> None:
    both = stacks(dev, sbx, prod)
    place = f"{CLEAN['sbx']}/sbx/{DUMP}/toc.dat"
    assert may(access_matrix(both), "postgres-etl-transform-prod", "s3:PutObject", place)
    of = {"dev": dev, "sbx": sbx, "prod": prod}[environment]
    one_sided = access_matrix({**both, environment: without(of, policy, sid)})
    assert not may(one_sided, "postgres-etl-transform-prod", "s3:PutObject", place)


@pytest.mark.parametrize(
    ("policy", "sid"),
    [
        ("extract-bucket-data-key", "AllowReadersThroughS3"),
        ("transform-transform-identity-policy", "AllowDecryptingDumps"),
    ],
)
def test_a_right_in_a_key_takes_the_word_of_key_and_role(policy: str, sid: str, prod: Deployment) -> None:
    assert may(access_matrix({"prod": prod.resources}), "postgres-etl-transform-prod", "kms:Decrypt", RAW_KEY)
    one_sided = access_matrix({"prod": without(prod, policy, sid)})
    assert not may(one_sided, "postgres-etl-transform-prod", "kms:Decrypt", RAW_KEY)


def granted(deployment: Deployment) -> Iterator[tuple[str, str, str]]:
    """What each role's policy allows, other than with keys: role, action, pattern."""
    for policy in deployment.all("RolePolicy"):
        for statement in policy.document("policy")["Statement"]:
            for action in statement["Action"]:
                if not action.startswith("kms:"):
                    yield from ((policy.inputs["role"], action, pattern) for pattern in statement["Resource"])


def test_no_right_of_a_role_is_missing_from_the_matrix(
    rights: list[Right], dev: Deployment, sbx: Deployment, prod: Deployment
) -> None:
    for deployment in (dev, sbx, prod):
        for role, action, pattern in granted(deployment):
            assert any(
                r.principal == role and r.action == action and fnmatchcase(r.resource, pattern) for r in rights
            ), (role, action, pattern)
