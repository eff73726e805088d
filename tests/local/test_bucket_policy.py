"""Bucket policies in moto: judged with their conditions, as S3 does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from etl_infra.documents.bucket_policy import bucket_policy, deny_reading_dumps
from etl_local.bucket_policy import ConditionError, S3Request, check_conditions, denies
from etl_local.bucket_policy_bridge import judged_policies
from etl_local.cloud import Cloud

BUCKET = "toys"
KEY = "arn:aws:kms:eu-west-2:123456789012:key/toy"
POLICY: dict[str, Any] = json.loads(json.dumps(bucket_policy(f"arn:aws:s3:::{BUCKET}", KEY)))
MANIFEST = "dev/run-1/etl-dump/manifest.json"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud("eu-west-2") as cloud:
        s3 = cloud.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
        s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(POLICY))
        yield cloud


def request(method: str, key: str = "dev/a", query: str = "", **headers: str) -> S3Request:
    parameters = dict.fromkeys(query.split("&"), "") if query else {}
    return S3Request(method, f"arn:aws:s3:::{BUCKET}/{key}", parameters, headers)


def denied(call: Any, **arguments: Any) -> bool:
    try:
        call(Bucket=BUCKET, **arguments)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            raise
        return True
    return False


def test_moto_still_denies_whatever_a_statement_with_a_condition_names(cloud: Cloud):
    assert denied(cloud.client("s3").put_object, Key="dev/a", Body=b"")


def test_what_the_policy_of_a_private_bucket_allows_is_allowed(cloud: Cloud):
    s3 = cloud.client("s3")
    with judged_policies():
        assert not denied(s3.put_object, Key="dev/a", Body=b"toy")
        assert not denied(s3.put_object, Key="dev/b", Body=b"", ServerSideEncryption="aws:kms", SSEKMSKeyId=KEY)
        assert not denied(s3.put_object, Key=MANIFEST, Body=b"{}", IfNoneMatch="*")
        assert not denied(s3.get_object, Key="dev/a")
        assert not denied(s3.delete_objects, Delete={"Objects": [{"Key": "dev/a"}]})
        upload = s3.create_multipart_upload(Bucket=BUCKET, Key=MANIFEST)["UploadId"]
        assert not denied(s3.upload_part, Key=MANIFEST, UploadId=upload, PartNumber=1, Body=b"{}")


def test_what_the_policy_of_a_private_bucket_denies_is_denied(cloud: Cloud):
    s3 = cloud.client("s3")
    with judged_policies():
        assert denied(s3.put_object, Key=MANIFEST, Body=b"{}")
        assert denied(s3.put_object, Key="dev/a", Body=b"", ServerSideEncryption="AES256")
        assert denied(s3.put_object, Key="dev/a", Body=b"", ServerSideEncryption="aws:kms", SSEKMSKeyId=f"{KEY}2")
        upload = s3.create_multipart_upload(Bucket=BUCKET, Key=MANIFEST)["UploadId"]
        part = s3.upload_part(Bucket=BUCKET, Key=MANIFEST, UploadId=upload, PartNumber=1, Body=b"{}")
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        assert denied(s3.complete_multipart_upload, Key=MANIFEST, UploadId=upload, MultipartUpload=parts)
        assert not denied(
            s3.complete_multipart_upload, Key=MANIFEST, UploadId=upload, MultipartUpload=parts, IfNoneMatch="*"
        )


@pytest.mark.parametrize(
    ("operator", "wanted", "met_by", "not_met_by"),
    [
        ("StringEquals", ["a", "b"], "b", "c"),
        ("StringNotEquals", ["a", "b"], "c", "a"),
        ("StringLike", ["a*"], "abc", "ba"),
        ("StringNotLike", ["a*"], "ba", "abc"),
        ("Null", "true", None, "a"),
        ("Null", "false", "a", None),
        ("StringNotEquals", "a", None, "a"),
        ("StringEquals", "a", "a", None),
    ],
)
def test_an_operator_is_met_as_iam_says(operator: str, wanted: Any, met_by: str | None, not_met_by: str | None):
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
        "Condition": {operator: {"s3:if-none-match": wanted}},
    }
    for value, expected in ((met_by, True), (not_met_by, False)):
        headers = {} if value is None else {"if-none-match": value}
        assert denies({"Statement": statement}, request("PUT", **headers)) is expected


@pytest.mark.parametrize(
    ("asked", "action", "creates_object"),
    [
        (request("PUT"), "s3:PutObject", True),
        (request("PUT", query="partNumber&uploadId"), "s3:PutObject", False),
        (request("POST", query="uploads"), "s3:PutObject", False),
        (request("POST", query="uploadId"), "s3:PutObject", True),
        (request("PUT", query="tagging"), "s3:PutObjectTagging", False),
        (request("GET"), "s3:GetObject", False),
        (request("HEAD"), "s3:GetObject", False),
        (request("DELETE"), "s3:DeleteObject", False),
    ],
)
def test_a_request_has_the_action_of_iam(asked: S3Request, action: str, creates_object: bool):
    assert (asked.action, asked.creates_object) == (action, creates_object)


def test_a_condition_that_cannot_be_judged_is_refused():
    statement = {**POLICY["Statement"][0], "Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}}
    with pytest.raises(ConditionError, match="StringEquals of aws:SourceVpce"):
        check_conditions({"Statement": [statement]})
    with pytest.raises(ConditionError, match="NumericLessThan of anything"):
        check_conditions({"Statement": {**statement, "Condition": {"NumericLessThan": {"s3:if-none-match": "1"}}}})


def test_statements_for_named_principals_and_allowances_are_not_judged():
    condition = {"StringEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/toy"}}
    named = {"Effect": "Deny", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "s3:*"}
    policy = {"Statement": [{**named, "Resource": "*", "Condition": condition}]}
    check_conditions(policy)
    assert not denies(policy, request("PUT"))


def test_what_is_denied_to_everybody_but_a_few_roles_is_not_judged():
    policy = {"Statement": [deny_reading_dumps(f"arn:aws:s3:::{BUCKET}", ["arn:aws:iam::123456789012:role/toy"])]}
    check_conditions(policy)
    assert not denies(policy, request("GET"))


def test_what_is_denied_of_all_but_some_objects_is_denied_of_the_others_alone():
    policy = {"Statement": [deny_reading_dumps(f"arn:aws:s3:::{BUCKET}", [])]}
    assert denies(policy, request("GET"))
    assert not denies(policy, request("GET", MANIFEST))
    assert not denies(policy, request("PUT"))
