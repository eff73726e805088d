"""AWS resources of a Pulumi program, made in moto: each input is used, and nothing unknown is let pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from etl_local.aws_resources import Account, UnknownResourceError, answer, make
from etl_local.clients import ACCOUNT_ID
from etl_local.cloud import Cloud

REGION = "eu-west-2"
TAGS = {"Migrator": "toy"}


@pytest.fixture
def account() -> Iterator[Account]:
    with Cloud(REGION) as cloud:
        yield Account(cloud.client, ACCOUNT_ID, REGION)


def make_bucket(account: Account) -> None:
    make(account, "aws:s3/bucket:Bucket", {"bucket": "toys", "forceDestroy": False, "tags": TAGS})


def test_a_type_that_nothing_makes_is_refused(account: Account):
    with pytest.raises(UnknownResourceError, match=r"^the stand-in cannot make aws:toy/toy:Toy$"):
        make(account, "aws:toy/toy:Toy", {})


def test_an_input_that_its_maker_does_not_know_is_refused(account: Account):
    with pytest.raises(UnknownResourceError, match=r"does not know what toyMode of aws:kms/key:Key does$"):
        make(account, "aws:kms/key:Key", {"policy": "{}", "toyMode": True})


def test_a_function_that_nothing_answers_is_refused(account: Account):
    with pytest.raises(UnknownResourceError, match=r"^the stand-in cannot answer aws:toy/getToy:getToy$"):
        answer(account, "aws:toy/getToy:getToy", {})
    with pytest.raises(UnknownResourceError, match="does not know what toyMode"):
        answer(account, "aws:index/getCallerIdentity:getCallerIdentity", {"toyMode": True})


def test_outputs_hold_the_inputs_too(account: Account):
    identifier, outputs = make(account, "aws:s3/bucket:Bucket", {"bucket": "toys", "tags": TAGS, "region": None})
    assert identifier == "toys"
    assert {key: outputs[key] for key in ("bucket", "tags", "arn")} == {
        "bucket": "toys",
        "tags": TAGS,
        "arn": "arn:aws:s3:::toys",
    }


def test_the_tags_of_the_provider_are_on_every_resource_and_its_own_win(account: Account):
    defaults = json.dumps({"tags": {"Migrator": "default", "Environment": "dev"}})
    make(account, "pulumi:providers:aws", {"region": REGION, "defaultTags": defaults})
    make_bucket(account)
    tags = account.client("s3").get_bucket_tagging(Bucket="toys")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"Migrator": "toy", "Environment": "dev"}


@pytest.mark.parametrize("inputs", [{"allowedAccountIds": '["999999999999"]'}, {"region": "eu-west-1"}])
def test_a_provider_of_another_account_or_region_is_refused(account: Account, inputs: dict[str, Any]):
    with pytest.raises(UnknownResourceError, match=f"the stand-in is account {ACCOUNT_ID} in {REGION}"):
        make(account, "pulumi:providers:aws", inputs)


def test_a_bucket_is_configured_as_its_resources_say(account: Account):
    s3 = account.client("s3")
    make_bucket(account)
    encryption = {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": "arn:aws:kms:eu-west-2:123456789012:key/toy"}
    for kind, inputs in {
        "Versioning": {"versioningConfiguration": {"status": "Enabled"}},
        "OwnershipControls": {"rule": {"objectOwnership": "BucketOwnerEnforced"}},
        "PublicAccessBlock": {"blockPublicAcls": True, "restrictPublicBuckets": True},
        "ServerSideEncryptionConfiguration": {
            "rules": [
                {
                    "applyServerSideEncryptionByDefault": encryption,
                    "bucketKeyEnabled": True,
                    "blockedEncryptionTypes": ["SSE-C"],
                }
            ]
        },
        "LifecycleConfiguration": {
            "rules": [
                {
                    "id": "toys",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"days": 3},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 1},
                }
            ]
        },
    }.items():
        make(account, f"aws:s3/bucket{kind}:Bucket{kind}", {"bucket": "toys", **inputs})
    assert s3.get_bucket_versioning(Bucket="toys")["Status"] == "Enabled"
    assert s3.get_bucket_ownership_controls(Bucket="toys")["OwnershipControls"]["Rules"] == [
        {"ObjectOwnership": "BucketOwnerEnforced"}
    ]
    assert s3.get_public_access_block(Bucket="toys")["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": False,
        "BlockPublicPolicy": False,
        "RestrictPublicBuckets": True,
    }
    rule = s3.get_bucket_encryption(Bucket="toys")["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": encryption["kmsMasterKeyId"],
    }
    lifecycle = s3.get_bucket_lifecycle_configuration(Bucket="toys")["Rules"][0]
    assert (lifecycle["ID"], lifecycle["Expiration"]) == ("toys", {"Days": 3})


def test_a_new_object_of_the_right_name_reaches_the_queue_and_another_does_not(account: Account):
    make_bucket(account)
    url, queue = make(account, "aws:sqs/queue:Queue", {"name": "toys", "visibilityTimeoutSeconds": 120, "tags": TAGS})
    notified = {"id": "toys", "queueArn": queue["arn"], "events": ["s3:ObjectCreated:*"], "filterSuffix": "/toy.json"}
    make(account, "aws:s3/bucketNotification:BucketNotification", {"bucket": "toys", "queues": [notified]})
    for key in ("other.json", "a+toy.json", "toy/toy.json"):
        account.client("s3").put_object(Bucket="toys", Key=key, Body=b"{}")
    bodies = [
        json.loads(message["Body"])
        for message in account.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    ]
    assert bodies[0]["Event"] == "s3:TestEvent"
    assert [record["s3"]["object"]["key"] for body in bodies[1:] for record in body["Records"]] == ["toy%2Ftoy.json"]


def test_a_task_definition_is_registered_from_its_text(account: Account):
    container = {"name": "toy", "image": "toy", "command": ["python", "-m", "toy"], "stopTimeout": 120}
    identifier, outputs = make(
        account,
        "aws:ecs/taskDefinition:TaskDefinition",
        {
            "family": "toy",
            "containerDefinitions": json.dumps([container]),
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": "512",
            "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
            "taskRoleArn": "arn:aws:iam::123456789012:role/task",
            "volumes": [{"name": "scratch"}],
            "ephemeralStorage": {"sizeInGib": 21},
            "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
            "skipDestroy": True,
        },
    )
    assert (identifier, outputs["arn"]) == ("toy", f"arn:aws:ecs:{REGION}:{ACCOUNT_ID}:task-definition/toy:1")
    found = account.client("ecs").describe_task_definition(taskDefinition="toy")["taskDefinition"]
    assert {key: found["containerDefinitions"][0][key] for key in container} == container
    assert (found["ephemeralStorage"], found["volumes"][0]["name"]) == ({"sizeInGiB": 21}, "scratch")


def test_a_security_group_lets_nothing_out_but_what_its_rules_say(account: Account):
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    group, _ = make(
        account, "aws:ec2/securityGroup:SecurityGroup", {"name": "toy", "description": "toys", "vpcId": vpc}
    )
    rule = {"securityGroupId": group, "ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "cidrIpv4": "10.0.8.0/24"}
    make(account, "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", {**rule, "description": "endpoints"})
    found = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    assert found["IpPermissions"] == []
    assert [
        (permission["IpProtocol"], permission["FromPort"], permission["IpRanges"])
        for permission in found["IpPermissionsEgress"]
    ] == [("tcp", 443, [{"CidrIp": "10.0.8.0/24", "Description": "endpoints"}])]


def test_the_prefix_list_of_s3_has_an_identifier_and_entries(account: Account):
    found = answer(account, "aws:ec2/getManagedPrefixList:getManagedPrefixList", {"name": f"com.amazonaws.{REGION}.s3"})
    assert found["id"].startswith("pl-")
    assert all("/" in entry["cidr"] for entry in found["entries"])
    assert found["entries"]


def test_an_existing_database_answers_with_its_address(account: Account):
    account.databases = {"toys": {"address": "127.0.0.1", "port": 5499}}
    found = answer(account, "aws:rds/getInstance:getInstance", {"dbInstanceIdentifier": "toys"})
    assert (found["address"], found["port"]) == ("127.0.0.1", 5499)
    with pytest.raises(UnknownResourceError, match="there is no database instance none"):
        answer(account, "aws:rds/getInstance:getInstance", {"dbInstanceIdentifier": "none"})
