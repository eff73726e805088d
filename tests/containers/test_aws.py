from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.awsrequest import AWSResponse
from etl_runtime.aws import s3_client
from etl_runtime.contract import ExitCode
from etl_runtime.program import run

from tests.containers.aws_account import REGION

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CALLS: dict[str, tuple[Callable[[S3Client], Any], str]] = {
    "a read": (lambda s3: s3.get_object(Bucket="extract", Key="k"), "GetObject: AccessDenied (bucket extract)"),
    "a write": (lambda s3: s3.put_object(Bucket="load", Key="k"), "PutObject: AccessDenied (bucket load)"),
    "a copy": (
        lambda s3: s3.copy_object(Bucket="load", Key="k", CopySource={"Bucket": "extract", "Key": "k"}),
        "CopyObject: AccessDenied (bucket load from extract)",
    ),
}


def _denied(request: Any, **_: Any) -> AWSResponse:
    answer = AWSResponse(request.url, 403, {}, None)  # type: ignore[arg-type]
    answer._content = b"<Error><Code>AccessDenied</Code><Message>x</Message></Error>"  # type: ignore[attr-defined]
    return answer


@pytest.mark.parametrize(("call", "told"), CALLS.values(), ids=CALLS.keys())
def test_a_bucket_that_refuses_is_named(
    call: Callable[[S3Client], Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """S3's own answer does not say which one it is, and a transform has two."""
    s3 = s3_client(REGION)
    s3.meta.events.register("before-send.s3", _denied)
    assert run("transform", lambda _: call(s3), {}) == ExitCode.UNAVAILABLE
    assert f"AWS refused {told}; check the role, the bucket's owner and its key" in capsys.readouterr().out
