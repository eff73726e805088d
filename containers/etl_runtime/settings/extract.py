"""What `pg_dump` is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from etl_runtime.contract import ContractError, DumpPrefix, Env, ExitCode, execution_name
from etl_runtime.faults import Fault
from etl_runtime.settings.database import Database
from etl_runtime.settings.environment_reader import NO_PREFIX, EnvironmentReader


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
        execution, buckets = env.execution(), env.buckets()
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


def _new_prefix(env: EnvironmentReader, execution_id: str) -> DumpPrefix:
    load_environment, filename = env.text(Env.LOAD_ENVIRONMENT), env.text(Env.DUMP_FILENAME)
    try:
        name = execution_name(execution_id)
    except ContractError:
        # Told by the reader.
        return NO_PREFIX
    try:
        return DumpPrefix(load_environment, name, filename)
    except ContractError as error:
        if load_environment and filename:
            env.fault(Env.LOAD_ENVIRONMENT, f"and DUMP_FILENAME make no dump prefix: {error}")
        return NO_PREFIX
