"""Errors of S3 in the state machines of moto 5.2, which calls them `s3.…`: what catches `S3.…` would not catch them.

The patch has a test that fails once moto names them itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_aws_sdk

from etl_local.patching import replaced


@contextlib.contextmanager
def named_errors() -> Iterator[None]:
    """Patch moto, in this process, until the context is left.

    The prefix: https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
    """
    names = {**state_task_service_aws_sdk._SERVICE_ERROR_NAMES, "s3": "S3"}
    with replaced(state_task_service_aws_sdk, "_SERVICE_ERROR_NAMES", names):
        yield
