"""The environment variables of the programs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from etl_runtime.contract.names import (
    DISPATCHER_CONTAINER,
    PG_DUMP_CONTAINER,
    PG_RESTORE_CONTAINER,
    TRANSFORM_CONTAINER,
)


class Env(StrEnum):
    """Environment variables that a program reads. Each program's required set is in `REQUIRED_ENV`."""

    # every program
    ENVIRONMENT_NAME = "ENVIRONMENT_NAME"
    AWS_REGION = "AWS_REGION"
    MOUNT_POINT = "MOUNT_POINT"
    LOG_LEVEL = "LOG_LEVEL"

    # an execution
    EXECUTION_ID = "EXECUTION_ID"
    LOAD_ENVIRONMENT = "LOAD_ENVIRONMENT"
    DUMP_FILENAME = "DUMP_FILENAME"
    LOAD_FILENAME = "LOAD_FILENAME"
    ROLLBACK = "ROLLBACK"

    # buckets
    EXTRACT_BUCKET = "EXTRACT_BUCKET"
    EXTRACT_BUCKET_OWNER = "EXTRACT_BUCKET_OWNER"
    LOAD_BUCKET = "LOAD_BUCKET"
    LOAD_BUCKET_OWNER = "LOAD_BUCKET_OWNER"
    LOAD_BUCKETS = "LOAD_BUCKETS"

    # a database
    DB_HOST = "DB_HOST"
    DB_PORT = "DB_PORT"
    DB_NAME = "DB_NAME"
    DB_USER = "DB_USER"
    DB_CREDENTIALS = "DB_CREDENTIALS"
    DB_AUTHENTICATION = "DB_AUTHENTICATION"
    DB_SSLMODE = "DB_SSLMODE"
    DB_SSLROOTCERT = "DB_SSLROOTCERT"
    DB_STORAGE_GIB = "DB_STORAGE_GIB"

    # pg_dump
    DUMP_JOBS = "DUMP_JOBS"
    DUMP_COMPRESSION = "DUMP_COMPRESSION"
    LOCK_WAIT_SECONDS = "LOCK_WAIT_SECONDS"

    # dispatcher
    QUEUE_URL = "QUEUE_URL"
    DEAD_LETTER_QUEUE_URL = "DEAD_LETTER_QUEUE_URL"
    JOB_NAMESPACE = "JOB_NAMESPACE"
    JOB_TEMPLATE = "JOB_TEMPLATE"
    MAX_ACTIVE_JOBS = "MAX_ACTIVE_JOBS"
    METRICS_PORT = "METRICS_PORT"
    METRICS_ADDRESS = "METRICS_ADDRESS"

    # transform
    DUMP_PREFIX = "DUMP_PREFIX"
    MANIFEST_VERSION_ID = "MANIFEST_VERSION_ID"
    SCRUB_DIRECTORY = "SCRUB_DIRECTORY"
    SCRUB_SALT_SECRET_ID = "SCRUB_SALT_SECRET_ID"  # noqa: S105 - a variable's name
    TRANSFORM_JOBS = "TRANSFORM_JOBS"
    PROOF_SCOPE = "PROOF_SCOPE"
    SCRUB_VARIABLES = "SCRUB_VARIABLES"
    SCRUB_SECRET_IDS = "SCRUB_SECRET_IDS"  # noqa: S105 - a variable's name
    IMAGE = "IMAGE"
    SCRATCH_TEMPLATE = "SCRATCH_TEMPLATE"

    # pg_restore
    RESTORE_JOBS = "RESTORE_JOBS"
    RESTORE_MODE = "RESTORE_MODE"
    ALLOWED_RULES = "ALLOWED_RULES"
    PROTECTED_ACCOUNTS = "PROTECTED_ACCOUNTS"
    PROTECTED_LOAD_TARGET = "PROTECTED_LOAD_TARGET"
    POST_LOAD_SCRIPTS = "POST_LOAD_SCRIPTS"
    KEEP_PREVIOUS_HOURS = "KEEP_PREVIOUS_HOURS"
    KEEP_PREVIOUS_MOST = "KEEP_PREVIOUS_MOST"


PROOF_SCOPES: Final = ("changed", "everything")
"""Where a transform looks for originals: in what is written anew and in all definitions, or in whatever is released."""
RESTORE_MODES: Final = ("swap", "in-place")
"""How a target is replaced: by another database under its name, or in its own place in one transaction."""

_DATABASE_ENV: Final = frozenset(
    {Env.DB_HOST, Env.DB_PORT, Env.DB_NAME, Env.DB_USER, Env.DB_AUTHENTICATION, Env.DB_SSLMODE}
)

REQUIRED_ENV: Final[Mapping[str, frozenset[Env]]] = {
    PG_DUMP_CONTAINER: _DATABASE_ENV
    | {
        Env.ENVIRONMENT_NAME,
        Env.AWS_REGION,
        Env.MOUNT_POINT,
        Env.EXECUTION_ID,
        Env.LOAD_ENVIRONMENT,
        Env.DUMP_FILENAME,
        Env.EXTRACT_BUCKET,
        Env.EXTRACT_BUCKET_OWNER,
        Env.LOAD_BUCKETS,
        Env.DUMP_JOBS,
    },
    DISPATCHER_CONTAINER: frozenset(
        {
            Env.ENVIRONMENT_NAME,
            Env.AWS_REGION,
            Env.QUEUE_URL,
            Env.DEAD_LETTER_QUEUE_URL,
            Env.EXTRACT_BUCKET,
            Env.EXTRACT_BUCKET_OWNER,
            Env.LOAD_BUCKETS,
            Env.JOB_NAMESPACE,
            Env.JOB_TEMPLATE,
            Env.MAX_ACTIVE_JOBS,
            Env.METRICS_PORT,
        }
    ),
    TRANSFORM_CONTAINER: frozenset(
        {
            Env.ENVIRONMENT_NAME,
            Env.AWS_REGION,
            Env.MOUNT_POINT,
            Env.EXECUTION_ID,
            Env.EXTRACT_BUCKET,
            Env.EXTRACT_BUCKET_OWNER,
            Env.LOAD_BUCKETS,
            Env.DUMP_PREFIX,
            Env.MANIFEST_VERSION_ID,
            Env.SCRUB_DIRECTORY,
            Env.SCRUB_SALT_SECRET_ID,
            Env.TRANSFORM_JOBS,
            Env.IMAGE,
        }
    ),
    PG_RESTORE_CONTAINER: _DATABASE_ENV
    | {
        Env.ENVIRONMENT_NAME,
        Env.AWS_REGION,
        Env.MOUNT_POINT,
        Env.EXECUTION_ID,
        Env.LOAD_FILENAME,
        Env.LOAD_BUCKET,
        Env.LOAD_BUCKET_OWNER,
        Env.RESTORE_JOBS,
        Env.ALLOWED_RULES,
        Env.PROTECTED_ACCOUNTS,
    },
}
"""Container name → the variables its program refuses to start without; `pg_restore` takes ROLLBACK, the name of the
load to undo, in LOAD_FILENAME's stead."""

DISPATCHED_ENV: Final = frozenset({Env.EXECUTION_ID, Env.DUMP_PREFIX, Env.MANIFEST_VERSION_ID})
"""What the dispatcher stamps on a transform Job; the Job template supplies the rest of its required variables."""
