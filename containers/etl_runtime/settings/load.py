"""What `pg_restore` is told, to load or to undo a load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etl_runtime.contract import RESTORE_MODES, ContractError, DumpPrefix, Env, post_load_scripts
from etl_runtime.settings.database import Database
from etl_runtime.settings.environment_reader import EnvironmentReader


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
        "execution_id": env.execution(),
        "bucket_owner": env.text(Env.LOAD_BUCKET_OWNER),
        "database": Database.read(env),
        "protected_accounts": env.words(Env.PROTECTED_ACCOUNTS),
        "protected_load_target": env.text(Env.PROTECTED_LOAD_TARGET, ""),
    }


def _post_load(env: EnvironmentReader) -> dict[str, str]:
    """Name → text of the scripts in POST_LOAD_SCRIPTS; their text holds line ends, as no other variable does."""
    try:
        return post_load_scripts(env.document(Env.POST_LOAD_SCRIPTS))
    except ContractError as error:
        env.fault(Env.POST_LOAD_SCRIPTS, str(error))
        return {}


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
            prefix=env.prefix(Env.LOAD_FILENAME),
            bucket=env.text(Env.LOAD_BUCKET),
            jobs=env.integer(Env.RESTORE_JOBS, 1, 64),
            mode=env.choice(Env.RESTORE_MODE, RESTORE_MODES, RESTORE_MODES[0]),
            allowed_rules=env.words(Env.ALLOWED_RULES),
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
        settings = cls(**_target(env), load=env.execution(Env.ROLLBACK))
        env.finish()
        return settings
