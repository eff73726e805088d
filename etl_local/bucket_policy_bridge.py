"""Bucket policies with conditions in moto 5.2, which takes any condition of a statement that matches as met.

The patch has a test that fails once moto judges conditions itself.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from flask import has_request_context, request
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket

from etl_local.bucket_policy import S3Request, denies
from etl_local.patching import replaced


@contextlib.contextmanager
def judged_policies() -> Iterator[None]:
    """Patch moto, in this process, until the context is left."""
    with replaced(FakeBucket, "get_permission", _permission):
        yield


def _permission(self: FakeBucket, action: str, resource: str) -> PermissionResult:
    if self.policy is None or not has_request_context():
        return PermissionResult.NEUTRAL
    # moto asks for each object of a DeleteObjects by itself
    method = "DELETE" if action == "s3:DeleteObject" else request.method
    headers = {name.lower(): value for name, value in request.headers.items()}
    asked = S3Request(method, resource, request.args, headers)
    return PermissionResult.DENIED if denies(json.loads(self.policy), asked) else PermissionResult.NEUTRAL
