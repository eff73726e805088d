"""What `dispatcher` is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from etl_runtime.contract import Env, LoadBucket
from etl_runtime.settings.environment_reader import EnvironmentReader


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
            load_buckets=env.buckets(),
            namespace=env.text(Env.JOB_NAMESPACE),
            job_template=env.path(Env.JOB_TEMPLATE),
            max_active=env.integer(Env.MAX_ACTIVE_JOBS, 1, 100),
            metrics_port=env.integer(Env.METRICS_PORT, 1, 65535),
            # A kubelet probes a pod's address, not its loopback.
            metrics_address=env.text(Env.METRICS_ADDRESS, "0.0.0.0"),  # noqa: S104 - of the pod alone
        )
        env.finish()
        return settings
