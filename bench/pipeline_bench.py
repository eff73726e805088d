"""Two servers, a stand-in for AWS, a sample database, and the programs that carry it from one to the other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from servers import ACCOUNT, ROOT, Workplace, client, create_bucket, login, moto, program_environment, workplace

from etl_local.clusters import PostgresCluster
from etl_local.sample.marketplace import generate

JOBS = "2"


@dataclass
class Bench:
    """Servers, buckets and a sample database; every measured way gets its seconds by name."""

    place: Workplace
    source: PostgresCluster
    target: PostgresCluster
    endpoint: str
    passwords: Mapping[str, str]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)

    @classmethod
    @contextmanager
    def started(cls, scale: float) -> Iterator[Bench]:
        """Start two servers and the stand-in for AWS, and fill the source."""
        with (
            workplace() as place,
            moto(place.directory) as endpoint,
            place.cluster("source") as source,
            place.cluster("target") as target,
        ):
            passwords = {
                "etl_dump": source.create_role("etl_dump", "BYPASSRLS", ("pg_read_all_data",)),
                "etl_load": target.create_role("etl_load", "CREATEDB", ("pg_signal_backend",)),
            }
            bench = cls(place, source, target, endpoint, passwords)
            bench._fill(scale)
            yield bench

    def _fill(self, scale: float) -> None:
        self.source.create_database("marketplace", "postgres")
        dsn = self.source.dsn(database="marketplace")
        generate(dsn, scale)
        for bucket in ("raw", "clean"):
            create_bucket(client("s3", self.endpoint), bucket)
        secret = client("secretsmanager", self.endpoint)
        secret.create_secret(Name="salt", SecretString="a synthetic salt for measuring")
        with psycopg.connect(dsn) as connection:
            row = connection.execute("SELECT pg_size_pretty(pg_database_size(current_database()))").fetchone()
            print(f"database: {row[0] if row else '?'}")

    def timed(self, name: str, work: Callable[[], None]) -> None:
        """Run and keep the time."""
        started = time.perf_counter()
        work()
        self.seconds.setdefault(name, []).append(time.perf_counter() - started)

    def tool(self, cluster: PostgresCluster, *argv: str) -> None:
        """Run a Postgres tool as the superuser."""
        parts = psycopg.conninfo.conninfo_to_dict(cluster.dsn())
        environment = {
            "PATH": os.environ["PATH"],
            "PGHOST": str(parts["host"]),
            "PGPORT": str(parts["port"]),
            "PGUSER": str(parts["user"]),
            "PGPASSWORD": str(parts["password"]),
        }
        subprocess.run([str(self.place.launchers / argv[0]), *argv[1:]], env=environment, check=True)

    def environment(self, **more: str) -> dict[str, str]:
        """What a container of one of the four programs is given."""
        owner = {"LOAD_BUCKET": "clean", "LOAD_BUCKET_OWNER": ACCOUNT}
        return program_environment(self.place.directory, self.place.launchers, self.endpoint, "clean", **owner, **more)

    def program(self, name: str, **more: str) -> None:
        """Run one of the four programs as a container would be run."""
        argv = [sys.executable, "-m", f"etl_runtime.{name}"]
        subprocess.run(argv, env=self.environment(**more), check=True, stdout=subprocess.DEVNULL)

    def credentials(self, role: str, cluster: PostgresCluster) -> dict[str, str]:
        """The variables of one database login."""
        return login(cluster, role, self.passwords[role], "marketplace")

    def make_clean(self, execution: str) -> None:
        """Extract and transform, on an execution of its own."""
        prefix = f"dev/{execution}/etl-dump"
        run = {"EXECUTION_ID": execution}
        extract = {"LOAD_ENVIRONMENT": "dev", "DUMP_FILENAME": "etl-dump", "DUMP_JOBS": JOBS}
        self.timed(
            "extract", lambda: self.program("pg_dump", **run, **extract, **self.credentials("etl_dump", self.source))
        )
        rules = {
            "DUMP_PREFIX": prefix,
            "SCRUB_DIRECTORY": str(ROOT / "scrub"),
            "SCRUB_SALT_SECRET_ID": "salt",
            "TRANSFORM_JOBS": JOBS,
            "IMAGE": "bench",
        }
        self.timed("transform", lambda: self.program("transform", **run, **rules))
