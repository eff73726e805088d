"""What `transform` is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from etl_runtime.contract import PROOF_SCOPES, DumpPrefix, Env, ExitCode, LoadBucket
from etl_runtime.faults import Fault
from etl_runtime.settings.environment_reader import EnvironmentReader


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
    scrub_variables: Mapping[str, str]
    scrub_secret_ids: Mapping[str, str]
    scratch_template: Path | None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> TransformSettings:
        """Read and check the environment.

        Raises:
            Fault: CONFIG with every variable at fault; REFUSED for a load environment without a load bucket.
        """
        env = EnvironmentReader(environ)
        prefix, buckets = env.prefix(Env.DUMP_PREFIX), env.buckets()
        settings = cls(
            environment=env.text(Env.ENVIRONMENT_NAME),
            region=env.text(Env.AWS_REGION),
            mount_point=env.path(Env.MOUNT_POINT),
            execution_id=env.execution(),
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
            scrub_variables=env.named_texts(Env.SCRUB_VARIABLES),
            scrub_secret_ids=env.named_texts(Env.SCRUB_SECRET_IDS),
            scratch_template=env.path(Env.SCRATCH_TEMPLATE) if Env.SCRATCH_TEMPLATE in environ else None,
        )
        env.finish()
        if not settings.load_bucket.name:
            raise Fault(
                ExitCode.REFUSED,
                f"dump is for {prefix.load_environment!a}, and LOAD_BUCKETS has no bucket of that name",
            )
        return settings
