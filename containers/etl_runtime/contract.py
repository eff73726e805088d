"""Every name that crosses a boundary between what is deployed and what runs.

The only module of `etl_runtime` that infrastructure code may import, so it uses the standard library alone and does
no work at import. Both sides spell a variable, a container or a key by these constants; neither repeats the text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import unquote_plus

MIGRATOR_NAME: Final = "postgres-etl"
DUMP_FILENAME: Final = "etl-dump"
PG_DUMP_CONTAINER: Final = "pg_dump"
TRANSFORM_CONTAINER: Final = "transform"
PG_RESTORE_CONTAINER: Final = "pg_restore"
DISPATCHER_CONTAINER: Final = "dispatcher"
SCRATCH_VOLUME: Final = "scratch"
QUEUE_NAME: Final = f"{MIGRATOR_NAME}-s3"
DEAD_LETTER_QUEUE_NAME: Final = f"{MIGRATOR_NAME}-s3-dlq"
EXTRACT_STATE_MACHINE_NAME: Final = f"{MIGRATOR_NAME}-rds-to-s3"
LOAD_STATE_MACHINE_NAME: Final = f"{MIGRATOR_NAME}-s3-to-rds"
EXECUTION_ID_TAG: Final = "ExecutionID"
MANIFEST_NAME: Final = "manifest.json"
PROTECTED_ENVIRONMENTS: Final = frozenset({"prod"})
"""Environments whose data is personal by definition: never a load target without a named override."""


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


class ExitCode(IntEnum):
    """How a program ended: 64 to 78 as in sysexits(3), permanent by kind; 75 transient; 143 stopped by SIGTERM."""

    DONE = 0
    USAGE = 64
    DATA = 65
    NO_INPUT = 66
    UNAVAILABLE = 69
    SOFTWARE = 70
    NO_SPACE = 73
    TRANSIENT = 75
    REFUSED = 77
    CONFIG = 78
    TERMINATED = 143


_ENVIRONMENT: Final = re.compile(r"[a-z][a-z0-9-]{0,15}")
_EXECUTION_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_VERSION_ID: Final = re.compile(r"[!-~]{0,1024}")
_FILENAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class ContractError(ValueError):
    """A name from outside that does not have the agreed shape; the message never repeats more than a short prefix."""


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 60 else text[:57] + "...")


@dataclass(frozen=True, slots=True)
class DumpPrefix:
    """The place of one dump in a bucket: `<load environment>/<execution name>/<dump filename>`.

    `LOAD_FILENAME` is the text form of such a prefix in the load bucket.
    """

    load_environment: str
    execution_name: str
    dump_filename: str

    def __post_init__(self) -> None:
        """Check each part against its alphabet, so a prefix can be no path, no option and no shell word.

        Raises:
            ContractError: a part is empty, too long or holds another character.
        """
        for label, pattern, value in (
            ("load environment", _ENVIRONMENT, self.load_environment),
            ("execution name", _EXECUTION_NAME, self.execution_name),
            ("dump filename", _FILENAME, self.dump_filename),
        ):
            if not pattern.fullmatch(value):
                raise ContractError(f"{label} {_shown(value)} is not of the form {pattern.pattern}")

    @classmethod
    def parse(cls, text: str) -> DumpPrefix:
        """Read `environment/execution/filename`.

        Raises:
            ContractError: not three parts, or a part of another shape.
        """
        parts = text.split("/")
        if len(parts) != 3:
            raise ContractError(
                f"{_shown(text)} is not a dump prefix: <load environment>/<execution name>/<dump filename>"
            )
        return cls(*parts)

    @classmethod
    def of_manifest(cls, key: str) -> DumpPrefix:
        """The prefix whose manifest has this key.

        Raises:
            ContractError: the key is not that of a manifest.
        """
        head, _, name = key.rpartition("/")
        if name != MANIFEST_NAME:
            raise ContractError(f"{_shown(key)} is not the key of a {MANIFEST_NAME}")
        return cls.parse(head)

    def __str__(self) -> str:
        return f"{self.load_environment}/{self.execution_name}/{self.dump_filename}"

    def key(self, name: str) -> str:
        """The object key of one archive file."""
        return f"{self}/{name}"

    @property
    def manifest_key(self) -> str:
        """The object key whose presence makes the dump exist."""
        return self.key(MANIFEST_NAME)


def execution_name(execution_id: str) -> str:
    """The last part of an execution id (`$$.Execution.Id` is an ARN; a bare name is its own last part).

    Raises:
        ContractError: that part is not an execution name.
    """
    name = execution_id.rpartition(":")[2]
    if not _EXECUTION_NAME.fullmatch(name):
        raise ContractError(
            f"execution id {_shown(execution_id)} does not end in a name of the form {_EXECUTION_NAME.pattern}"
        )
    return name


@dataclass(frozen=True, slots=True)
class LoadBucket:
    """Where the cleaned dumps of one environment go: bucket name, and the account that must own it."""

    name: str
    owner: str


def load_buckets(text: str) -> dict[str, LoadBucket]:
    """Read `LOAD_BUCKETS`: a JSON object, load environment → `{"bucket": name, "owner": account id}`.

    Raises:
        ContractError: not such an object.
    """
    try:
        document = cast(dict[str, dict[str, Any]], json.loads(text))
        parts = {name: (entry["bucket"], entry["owner"]) for name, entry in document.items()}
        # An account id that was taken for a number may have lost its leading zeros.
        if not all(isinstance(part, str) and part for both in parts.values() for part in both):
            raise TypeError
        return {name: LoadBucket(bucket, owner) for name, (bucket, owner) in parts.items()}
    except (ValueError, AttributeError, KeyError, TypeError):
        raise ContractError(
            'LOAD_BUCKETS must be JSON such as {"dev": {"bucket": "a-bucket", "owner": "123456789012"}}'
        ) from None


def load_buckets_text(buckets: Mapping[str, LoadBucket]) -> str:
    """The inverse of `load_buckets`, keys sorted."""
    return json.dumps({name: {"bucket": b.name, "owner": b.owner} for name, b in sorted(buckets.items())})


def load_target(account_id: str, host: str, database: str) -> str:
    """The one database that a load replaces, as `PROTECTED_LOAD_TARGET` spells it: `<account>/<host>/<database>`."""
    return f"{account_id}/{host}/{database}"


_SCRIPT_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\.sql")


def post_load_scripts(text: str) -> dict[str, str]:
    """Read `POST_LOAD_SCRIPTS`: a JSON object, file name → SQL; {} of no text at all.

    Raises:
        ContractError: not such an object.
    """
    if not text:
        return {}
    try:
        document = cast(dict[str, Any], json.loads(text))
        if not all(_SCRIPT_NAME.fullmatch(name) and isinstance(body, str) for name, body in document.items()):
            raise TypeError
        return document
    except (ValueError, AttributeError, TypeError):
        raise ContractError('must be JSON such as {"10-grants.sql": "GRANT …;"}') from None


def post_load_text(directory: Path) -> str:
    """The inverse of `post_load_scripts`, of the `*.sql` files of a directory.

    Raises:
        ContractError: a file's name is of another form, or its content is not UTF-8; it names the file.
    """
    scripts: dict[str, str] = {}
    for path in sorted(directory.glob("*.sql")):
        if not _SCRIPT_NAME.fullmatch(path.name):
            raise ContractError(f"{_shown(path.name)} is not of the form {_SCRIPT_NAME.pattern}")
        try:
            scripts[path.name] = path.read_text("utf-8")
        except UnicodeDecodeError:
            raise ContractError(f"{path.name} is not UTF-8") from None
    return json.dumps(scripts, sort_keys=True)


# --- the queue ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreatedObject:
    """One object that an S3 event says was created. `version_id` is "" when the bucket (or a stand-in) sent none."""

    bucket: str
    key: str
    version_id: str
    region: str


def event_records(body: str) -> list[Any] | None:
    """The records of an S3 notification as they came, each for `created_object`; None for S3's own `s3:TestEvent`.

    S3 sends a TestEvent when a notification is configured:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html

    Raises:
        ContractError: not an S3 notification, or one without records.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ContractError("message body is not JSON") from None
    if not isinstance(document, dict):
        raise ContractError("message body is not a JSON object")
    message = cast(dict[str, Any], document)
    if message.get("Event") == "s3:TestEvent":
        return None
    records = message.get("Records")
    if not isinstance(records, list) or not records:
        raise ContractError("message has no Records")
    return cast(list[Any], records)


def created_object(record: Any) -> CreatedObject:
    """The object that one record says was created, its form-encoded key decoded once.

    Raises:
        ContractError: a record of another form, or not of an `ObjectCreated` event.
    """
    try:
        if record["eventSource"] != "aws:s3" or not str(record["eventName"]).startswith("ObjectCreated:"):
            raise ContractError("record is not an ObjectCreated event of aws:s3")
        s3 = record["s3"]
        return CreatedObject(
            bucket=str(s3["bucket"]["name"]),
            key=unquote_plus(str(s3["object"]["key"]), errors="strict"),
            version_id=_version_id(s3["object"].get("versionId") or ""),
            region=str(record.get("awsRegion", "")),
        )
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError):
        raise ContractError("record has not the form of an S3 event record") from None


def _version_id(text: Any) -> str:
    """Version ids are opaque and URL-ready, of 1,024 bytes at most.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html
    """
    if not _VERSION_ID.fullmatch(text):
        raise ContractError("record's versionId is none of S3's")
    return text


# The dispatcher tells with a dead letter why it is one; SQS itself tells nothing with those that came too often.
REASON_ATTRIBUTE: Final = "Reason"
RECEIVES_ATTRIBUTE: Final = "Receives"
SENT_ATTRIBUTE: Final = "SentAt"


# --- the Kubernetes Job ------------------------------------------------------------------------------------------

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


# --- scrub rules -------------------------------------------------------------------------------------------------

RULES_FILE: Final = "columns.yaml"


def scrub_files(directory: Path) -> list[Path]:
    """The files that make up a set of rules: `columns.yaml` and every `*.sql`, in name order."""
    return sorted(p for p in directory.iterdir() if p.name == RULES_FILE or p.suffix == ".sql")


def rules_digest(directory: Path) -> str:
    """SHA-256 (hex) of a set of rules: names, lengths and bytes of its files, in name order."""
    digest = hashlib.sha256()
    for path in scrub_files(directory):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
