"""What each program is told, read from its environment: every fault reported at once, by variable."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from etl_runtime.contract import (
    PROOF_SCOPES,
    RESTORE_MODES,
    ContractError,
    DumpPrefix,
    Env,
    ExitCode,
    LoadBucket,
    execution_name,
    load_buckets,
    post_load_scripts,
)
from etl_runtime.faults import Fault

_LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){3}|::1")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class EnvironmentReader:
    """Reads variables one by one, gathers what is wrong, and `finish` raises it all together."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._faults: list[str] = []

    def fault(self, name: Env, problem: str) -> None:
        """Note what is wrong with a variable."""
        self._faults.append(f"{name} {problem}")

    def text(self, name: Env, default: str | None = None) -> str:
        """The variable's text; a missing or empty one is a fault unless there is a default."""
        value = self._environ.get(name, "")
        if value == "":
            if default is None:
                self.fault(name, "is not set")
                return ""
            return default
        if _CONTROL.search(value):
            self.fault(name, "holds a control character")
        return value

    def document(self, name: Env) -> str:
        """The variable's text, of as many lines as it likes; "" where it is not set."""
        return self._environ.get(name, "")

    def integer(self, name: Env, least: int, most: int, default: int | None = None) -> int:
        """A whole number from `least` to `most`."""
        text = self.text(name, None if default is None else str(default))
        if not text:
            return least
        if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
            self.fault(name, f"must be a whole number from {least} to {most}")
            return least
        return int(text)

    def choice(self, name: Env, choices: tuple[str, ...], default: str | None = None) -> str:
        """One of a closed set of words."""
        text = self.text(name, default)
        if text and text not in choices:
            self.fault(name, f"must be one of {', '.join(choices)}")
        return text

    def path(self, name: Env, default: str | None = None) -> Path:
        """An existing directory or file."""
        text = self.text(name, default)
        if text and not Path(text).exists():
            self.fault(name, f"names {text}, which does not exist")
        return Path(text or ".")

    def finish(self) -> None:
        """Raise what was gathered.

        Raises:
            Fault: CONFIG, naming every variable at fault.
        """
        if self._faults:
            raise Fault(ExitCode.CONFIG, "environment: " + "; ".join(self._faults))


@dataclass(frozen=True, kw_only=True, slots=True)
class Database:
    """How to reach one database. The password never appears in `repr`."""

    host: str
    port: int
    name: str
    user: str
    password: str | None = field(repr=False)
    authentication: str
    sslmode: str
    sslrootcert: str

    @classmethod
    def read(cls, env: EnvironmentReader) -> Database:
        """Read the `DB_*` variables; faults go to the reader."""
        host, name = env.text(Env.DB_HOST), env.text(Env.DB_NAME)
        # libpq takes a database name with "=" or "://" for a whole connection string; ours is only ever a name.
        for variable, value in ((Env.DB_HOST, host), (Env.DB_NAME, name)):
            if "://" in value or "=" in value or value.startswith("-") or len(value) > 255:
                env.fault(variable, "is not a plain name")
        authentication = env.choice(Env.DB_AUTHENTICATION, ("secret", "iam"))
        user, password = env.text(Env.DB_USER), None
        if authentication == "secret":
            user, password = _credentials(env, user)
        sslmode = env.choice(Env.DB_SSLMODE, ("verify-full", "require", "disable"))
        if host and sslmode and sslmode != "verify-full" and not _LOOPBACK.fullmatch(host):
            env.fault(Env.DB_SSLMODE, "must be verify-full for a database that is not on this machine")
        return cls(
            host=host,
            port=env.integer(Env.DB_PORT, 1, 65535),
            name=name,
            user=user,
            password=password,
            authentication=authentication,
            sslmode=sslmode,
            sslrootcert=env.text(Env.DB_SSLROOTCERT, "/etc/postgres-etl/rds-ca.pem"),
        )


def _credentials(env: EnvironmentReader, user: str) -> tuple[str, str | None]:
    """User and password of `DB_CREDENTIALS`, in the form that RDS gives its managed secrets."""
    text = env.text(Env.DB_CREDENTIALS)
    try:
        document = cast(dict[str, Any], json.loads(text or "null"))
        found, password = document.get("username") or user, document["password"]
        if not (isinstance(found, str) and isinstance(password, str) and password):
            raise TypeError
        return found, password
    except (ValueError, KeyError, AttributeError, TypeError):
        if text:
            env.fault(Env.DB_CREDENTIALS, 'must be JSON with "username" and "password"')
        return user, None


def _execution(env: EnvironmentReader, name: Env = Env.EXECUTION_ID) -> str:
    text = env.text(name)
    try:
        if text:
            execution_name(text)
    except ContractError as error:
        env.fault(name, f"is no execution id: {error}")
    return text


def _buckets(env: EnvironmentReader) -> dict[str, LoadBucket]:
    text = env.text(Env.LOAD_BUCKETS)
    try:
        return load_buckets(text) if text else {}
    except ContractError as error:
        env.fault(Env.LOAD_BUCKETS, str(error).removeprefix("LOAD_BUCKETS "))
        return {}


def _post_load(env: EnvironmentReader) -> dict[str, str]:
    """Name → text of the scripts in POST_LOAD_SCRIPTS; their text holds line ends, as no other variable does."""
    try:
        return post_load_scripts(env.document(Env.POST_LOAD_SCRIPTS))
    except ContractError as error:
        env.fault(Env.POST_LOAD_SCRIPTS, str(error))
        return {}


def _words(env: EnvironmentReader, name: Env) -> frozenset[str]:
    return frozenset(filter(None, map(str.strip, env.text(name).split(","))))


_NO_PREFIX = DumpPrefix("none", "none", "none")


def _prefix(env: EnvironmentReader, name: Env) -> DumpPrefix:
    text = env.text(name)
    try:
        return DumpPrefix.parse(text) if text else _NO_PREFIX
    except ContractError as error:
        env.fault(name, str(error))
        return _NO_PREFIX


def _new_prefix(env: EnvironmentReader, execution_id: str) -> DumpPrefix:
    load_environment, filename = env.text(Env.LOAD_ENVIRONMENT), env.text(Env.DUMP_FILENAME)
    try:
        name = execution_name(execution_id)
    except ContractError:
        # Told by `_execution`.
        return _NO_PREFIX
    try:
        return DumpPrefix(load_environment, name, filename)
    except ContractError as error:
        if load_environment and filename:
            env.fault(Env.LOAD_ENVIRONMENT, f"and DUMP_FILENAME make no dump prefix: {error}")
        return _NO_PREFIX


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractSettings:
    """What `pg_dump` is told."""

    environment: str
    region: str
    mount_point: Path
    execution_id: str
    prefix: DumpPrefix
    bucket: str
    bucket_owner: str
    database: Database
    jobs: int
    compression: str
    lock_wait_seconds: int

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> ExtractSettings:
        """Read and check the environment.

        Raises:
            Fault: CONFIG with every variable at fault; REFUSED for a LOAD_ENVIRONMENT that nothing may be loaded into.
        """
        env = EnvironmentReader(environ)
        execution, buckets = _execution(env), _buckets(env)
        settings = cls(
            environment=env.text(Env.ENVIRONMENT_NAME),
            region=env.text(Env.AWS_REGION),
            mount_point=env.path(Env.MOUNT_POINT),
            execution_id=execution,
            prefix=_new_prefix(env, execution),
            bucket=env.text(Env.EXTRACT_BUCKET),
            bucket_owner=env.text(Env.EXTRACT_BUCKET_OWNER),
            database=Database.read(env),
            jobs=env.integer(Env.DUMP_JOBS, 1, 64),
            compression=env.choice(Env.DUMP_COMPRESSION, ("auto", "zstd", "lz4", "gzip", "none"), "auto"),
            lock_wait_seconds=env.integer(Env.LOCK_WAIT_SECONDS, 1, 3600, 60),
        )
        env.finish()
        if settings.prefix.load_environment not in buckets:
            raise Fault(
                ExitCode.REFUSED,
                f"LOAD_ENVIRONMENT {settings.prefix.load_environment!a} is unknown: "
                f"it is one of {', '.join(sorted(buckets))}",
            )
        return settings


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformSettings:
    """What `transform` is told."""

    environment: str
    region: str
    mount_point: Path
    execution_id: str
    prefix: DumpPrefix
    manifest_version_id: str
    extract_bucket: str
    extract_bucket_owner: str
    load_bucket: LoadBucket
    scrub_directory: Path
    salt_secret_id: str
    jobs: int
    image: str
    proof_scope: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> TransformSettings:
        """Read and check the environment.

        Raises:
            Fault: CONFIG with every variable at fault; REFUSED for a load environment without a load bucket.
        """
        env = EnvironmentReader(environ)
        prefix, buckets = _prefix(env, Env.DUMP_PREFIX), _buckets(env)
        settings = cls(
            environment=env.text(Env.ENVIRONMENT_NAME),
            region=env.text(Env.AWS_REGION),
            mount_point=env.path(Env.MOUNT_POINT),
            execution_id=_execution(env),
            prefix=prefix,
            manifest_version_id=env.text(Env.MANIFEST_VERSION_ID, ""),
            extract_bucket=env.text(Env.EXTRACT_BUCKET),
            extract_bucket_owner=env.text(Env.EXTRACT_BUCKET_OWNER),
            load_bucket=buckets.get(prefix.load_environment, LoadBucket("", "")),
            scrub_directory=env.path(Env.SCRUB_DIRECTORY),
            salt_secret_id=env.text(Env.SCRUB_SALT_SECRET_ID),
            jobs=env.integer(Env.TRANSFORM_JOBS, 1, 64),
            image=env.text(Env.IMAGE),
            proof_scope=env.choice(Env.PROOF_SCOPE, PROOF_SCOPES, PROOF_SCOPES[0]),
        )
        env.finish()
        if not settings.load_bucket.name:
            raise Fault(
                ExitCode.REFUSED,
                f"dump is for {prefix.load_environment!a}, and LOAD_BUCKETS has no bucket of that name",
            )
        return settings


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetSettings:
    """What `pg_restore` is told of its target, whatever it does there."""

    environment: str
    region: str
    execution_id: str
    bucket_owner: str
    database: Database
    protected_accounts: frozenset[str]
    protected_load_target: str


def _target(env: EnvironmentReader) -> dict[str, Any]:
    return {
        "environment": env.text(Env.ENVIRONMENT_NAME),
        "region": env.text(Env.AWS_REGION),
        "execution_id": _execution(env),
        "bucket_owner": env.text(Env.LOAD_BUCKET_OWNER),
        "database": Database.read(env),
        "protected_accounts": _words(env, Env.PROTECTED_ACCOUNTS),
        "protected_load_target": env.text(Env.PROTECTED_LOAD_TARGET, ""),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadSettings(TargetSettings):
    """What `pg_restore` is told to load."""

    mount_point: Path
    prefix: DumpPrefix
    bucket: str
    jobs: int
    mode: str
    allowed_rules: frozenset[str]
    post_load: Mapping[str, str]
    keep_previous_hours: int
    keep_previous_most: int
    storage_gib: int

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> LoadSettings:
        """Read and check the environment.

        Raises:
            Fault: CONFIG with every variable at fault.
        """
        env = EnvironmentReader(environ)
        settings = cls(
            **_target(env),
            mount_point=env.path(Env.MOUNT_POINT),
            prefix=_prefix(env, Env.LOAD_FILENAME),
            bucket=env.text(Env.LOAD_BUCKET),
            jobs=env.integer(Env.RESTORE_JOBS, 1, 64),
            mode=env.choice(Env.RESTORE_MODE, RESTORE_MODES, RESTORE_MODES[0]),
            allowed_rules=_words(env, Env.ALLOWED_RULES),
            post_load=_post_load(env),
            keep_previous_hours=env.integer(Env.KEEP_PREVIOUS_HOURS, 0, 24 * 90, 24),
            keep_previous_most=env.integer(Env.KEEP_PREVIOUS_MOST, 1, 10, 2),
            storage_gib=env.integer(Env.DB_STORAGE_GIB, 0, 1 << 20, 0),
        )
        env.finish()
        return settings


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackSettings(TargetSettings):
    """What `pg_restore` is told to undo: the load of this execution name."""

    load: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> RollbackSettings:
        """Read and check the environment.

        Raises:
            Fault: CONFIG with every variable at fault.
        """
        env = EnvironmentReader(environ)
        if environ.get(Env.LOAD_FILENAME):
            env.fault(Env.LOAD_FILENAME, f"and {Env.ROLLBACK}: a task loads a dump or undoes a load, not both")
        settings = cls(**_target(env), load=_execution(env, Env.ROLLBACK))
        env.finish()
        return settings


@dataclass(frozen=True, kw_only=True, slots=True)
class DispatcherSettings:
    """What `dispatcher` is told."""

    environment: str
    region: str
    queue_url: str
    dead_letter_queue_url: str
    extract_bucket: str
    extract_bucket_owner: str
    load_buckets: Mapping[str, LoadBucket]
    namespace: str
    job_template: Path
    max_active: int
    metrics_port: int
    metrics_address: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> DispatcherSettings:
        """Read and check the environment.

        Raises:
            Fault: CONFIG with every variable at fault.
        """
        env = EnvironmentReader(environ)
        settings = cls(
            environment=env.text(Env.ENVIRONMENT_NAME),
            region=env.text(Env.AWS_REGION),
            queue_url=env.text(Env.QUEUE_URL),
            dead_letter_queue_url=env.text(Env.DEAD_LETTER_QUEUE_URL),
            extract_bucket=env.text(Env.EXTRACT_BUCKET),
            extract_bucket_owner=env.text(Env.EXTRACT_BUCKET_OWNER),
            load_buckets=_buckets(env),
            namespace=env.text(Env.JOB_NAMESPACE),
            job_template=env.path(Env.JOB_TEMPLATE),
            max_active=env.integer(Env.MAX_ACTIVE_JOBS, 1, 100),
            metrics_port=env.integer(Env.METRICS_PORT, 1, 65535),
            # A kubelet probes a pod's address, not its loopback.
            metrics_address=env.text(Env.METRICS_ADDRESS, "0.0.0.0"),  # noqa: S104 - of the pod alone
        )
        env.finish()
        return settings
