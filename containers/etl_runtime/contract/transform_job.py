"""How a transform Job is named, labelled and found."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from etl_runtime.contract.names import MIGRATOR_NAME, TRANSFORM_CONTAINER

COMPONENT_LABEL: Final = "app.kubernetes.io/component"
NAME_LABEL: Final = "app.kubernetes.io/name"
EXECUTION_LABEL: Final = "postgres-etl/execution"
EXECUTION_ANNOTATION: Final = "postgres-etl/execution-id"
SOURCE_ANNOTATION: Final = "postgres-etl/source"
TRANSFORM_LABELS: Final[Mapping[str, str]] = {NAME_LABEL: MIGRATOR_NAME, COMPONENT_LABEL: TRANSFORM_CONTAINER}


def transform_job_name(bucket: str, key: str, version_id: str, load_environment: str) -> str:
    """A DNS label of at most 63 characters that depends on nothing but the dump's identity.

    A redelivered message therefore meets 409 AlreadyExists, which is success once the source annotation agrees.
    """
    digest = hashlib.sha256("\0".join((bucket, key, version_id)).encode()).hexdigest()
    return f"etl-{load_environment}-{digest[:40]}"


def execution_label(execution_id: str) -> str:
    """A label value (at most 63 characters of [a-z0-9]) that selects the Job of an EXECUTION_ID, whatever is in it.

    The id may be an execution's ARN or its name: both give the same label, as does a redriven execution.
    """
    return hashlib.sha256(execution_id.rpartition(":")[2].encode()).hexdigest()[:40]


def source_annotation(bucket: str, key: str, version_id: str) -> str:
    """What a Job was made from; compared whole when its name is already taken."""
    return f"s3://{bucket}/{key}?versionId={version_id}"
