"""AWS clients, each with the SDK's standard retries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sts import STSClient

_CONFIG = Config(retries={"mode": "standard", "max_attempts": 6}, max_pool_connections=32)
# A loop that must turn cannot wait six minutes for a service that swallows what it is asked.
_IMPATIENT = Config(retries={"mode": "standard", "max_attempts": 3}, connect_timeout=5, read_timeout=30)

_BUCKET = "postgres_etl_bucket"


def _client(service: str, region: str, *, patient: bool = True) -> Any:
    # boto3-stubs overload `client` for every service there is, most of them untyped here.
    return cast(Any, boto3).client(service, region_name=region, config=_CONFIG if patient else _IMPATIENT)


def s3_client(region: str, *, patient: bool = True) -> S3Client:
    """S3. An impatient client gives up after a minute and a half rather than after six.

    A `ClientError` has the bucket's name in `response["Error"]["BucketName"]`; of a copy, "<to> from <from>".
    """
    client = _client("s3", region, patient=patient)
    client.meta.events.register("before-parameter-build.s3", _note_bucket)
    client.meta.events.register("after-call.s3", _name_bucket)
    return cast("S3Client", client)


def _note_bucket(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
    # The SDK has made text of a copy's source by now.
    origin = str(params.get("CopySource", "")).partition("/")[0]
    context[_BUCKET] = " from ".join(filter(None, (str(params.get("Bucket", "")), origin)))


def _name_bucket(parsed: dict[str, Any], context: Mapping[str, Any], **_: Any) -> None:
    """S3 says that access is denied, and not to what."""
    if "Error" in parsed:
        parsed["Error"]["BucketName"] = context.get(_BUCKET, "")


def sqs_client(region: str, *, patient: bool = True) -> SQSClient:
    """SQS. An impatient client gives up after a minute and a half rather than after six."""
    return cast("SQSClient", _client("sqs", region, patient=patient))


def secrets_client(region: str) -> SecretsManagerClient:
    """Secrets Manager."""
    return cast("SecretsManagerClient", _client("secretsmanager", region))


def caller_account(region: str) -> str:
    """The account whose credentials the program runs with, by AWS's own word."""
    return cast("STSClient", _client("sts", region)).get_caller_identity()["Account"]


def database_token(region: str, host: str, port: int, user: str) -> str:
    """An IAM authentication token for RDS, good for 15 minutes, signed without a call to AWS."""
    token = _client("rds", region).generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user, Region=region)
    return cast(str, token)
