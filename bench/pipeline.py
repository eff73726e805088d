"""The pipeline against an unmasked `pg_dump | pg_restore` of the same database, stage by stage.

    python bench/pipeline.py [--scale 5] [--rounds 3]

Both ways use the same tools, codec, jobs and servers (one machine, an S3 stand-in on loopback). Rounds are interleaved;
printed are medians, in seconds, and the ratio of the pipeline to the plain copy.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psycopg
from etl_runtime.contract import LoadBucket, load_buckets_text, rules_digest
from moto.server import ThreadedMotoServer

from etl_local.clusters import ClusterTemplate, PostgresCluster
from etl_local.postgres_installation import PostgresInstallation
from etl_local.sample.marketplace import generate

ROOT = Path(__file__).resolve().parent.parent
REGION, ACCOUNT, JOBS = "eu-west-2", "123456789012", "2"


@dataclass
class Bench:
    """Servers, buckets and a sample database; every measured way gets its seconds by name."""

    directory: Path
    source: PostgresCluster
    target: PostgresCluster
    launchers: Path
    endpoint: str
    passwords: Mapping[str, str]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)

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
        subprocess.run([str(self.launchers / argv[0]), *argv[1:]], env=environment, check=True)

    def environment(self, **more: str) -> dict[str, str]:
        """What a container of one of the four programs is given."""
        return {
            "PATH": f"{self.launchers}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "containers"),
            "HOME": str(self.directory),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "ENVIRONMENT_NAME": "dev",
            "MOUNT_POINT": str(self.directory),
            "EXTRACT_BUCKET": "raw",
            "EXTRACT_BUCKET_OWNER": ACCOUNT,
            "LOAD_BUCKET": "clean",
            "LOAD_BUCKET_OWNER": ACCOUNT,
            "LOAD_BUCKETS": load_buckets_text({"dev": LoadBucket("clean", ACCOUNT)}),
            "DB_HOST": "127.0.0.1",
            "DB_NAME": "marketplace",
            "DB_AUTHENTICATION": "secret",
            "DB_SSLMODE": "disable",
            **more,
        }

    def program(self, name: str, **more: str) -> None:
        """Run one of the four programs as a container would be run."""
        argv = [sys.executable, "-m", f"etl_runtime.{name}"]
        subprocess.run(argv, env=self.environment(**more), check=True, stdout=subprocess.DEVNULL)

    def credentials(self, role: str, cluster: PostgresCluster) -> dict[str, str]:
        """The variables of one database login."""
        login = {"username": role, "password": self.passwords[role]}
        return {"DB_USER": role, "DB_CREDENTIALS": json.dumps(login), "DB_PORT": str(cluster.port)}

    def plain(self) -> None:
        """The unmasked copy."""
        dump = self.directory / "plain"
        options = ("--format=directory", f"--jobs={JOBS}", "--compress=gzip:1", f"--file={dump}")
        self.timed("plain: pg_dump", lambda: self.tool(self.source, "pg_dump", *options, "marketplace"))
        self.target.create_database("plain", "postgres")
        restore = ("--exit-on-error", "--no-owner", f"--jobs={JOBS}", "--dbname=plain", str(dump))
        self.timed("plain: pg_restore", lambda: self.tool(self.target, "pg_restore", *restore))
        shutil.rmtree(dump)
        self.target.execute("DROP DATABASE plain")

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

    def pipeline(self, number: int) -> None:
        """Ours, on an execution of its own."""
        execution = f"round-{number}"
        self.make_clean(execution)
        run = {"EXECUTION_ID": execution, "PROTECTED_ACCOUNTS": "974531504241"}
        load = {
            "LOAD_FILENAME": f"dev/{execution}/etl-dump",
            "RESTORE_JOBS": JOBS,
            "ALLOWED_RULES": rules_digest(ROOT / "scrub"),
        }
        self.timed(
            "load", lambda: self.program("pg_restore", **run, **load, **self.credentials("etl_load", self.target))
        )


def report(seconds: Mapping[str, list[float]]) -> dict[str, Any]:
    """Medians, and ratios to the plain copy."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    plain = medians["plain: pg_dump"] + medians["plain: pg_restore"]
    ours = medians["extract"] + medians["transform"] + medians["load"]
    ratios = {
        "extract / pg_dump": medians["extract"] / medians["plain: pg_dump"],
        "load / pg_restore": medians["load"] / medians["plain: pg_restore"],
        "pipeline / plain copy": ours / plain,
    }
    return {"medians": medians, "ratios": ratios, "seconds": dict(seconds)}


def main() -> None:
    """Measure, print, and write `bench/results/pipeline.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=5.0, help="size of the sample database; 1 is about 75 MB")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        launchers = PostgresInstallation.bundled().launchers(directory)
        template = ClusterTemplate(directory / "template", launchers)
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        with (
            PostgresCluster(directory, launchers, "source", template) as source,
            PostgresCluster(directory, launchers, "target", template) as target,
        ):
            server.start()
            try:
                host, port = server.get_host_and_port()
                passwords = {
                    "etl_dump": source.create_role("etl_dump", "BYPASSRLS", ("pg_read_all_data",)),
                    "etl_load": target.create_role("etl_load", "CREATEDB"),
                }
                bench = Bench(directory, source, target, launchers, f"http://{host}:{port}", passwords)
                fill(bench, options.scale)
                for number in range(options.rounds):
                    bench.plain()
                    bench.pipeline(number)
            finally:
                server.stop()
    result = {"scale": options.scale, **report(bench.seconds)}
    for name, value in result["medians"].items():
        print(f"{name:<24}{value:8.2f} s")
    for name, value in result["ratios"].items():
        print(f"{name:<24}{value:8.2f}")
    results = ROOT / "bench" / "results"
    results.mkdir(exist_ok=True)
    (results / "pipeline.json").write_text(json.dumps(result, indent=1) + "\n")


def fill(bench: Bench, scale: float) -> None:
    """Make the sample database, the two buckets and the salt."""
    bench.source.create_database("marketplace", "postgres")
    generate(bench.source.dsn(database="marketplace"), scale)
    session: Any = boto3.Session("testing", "testing", region_name=REGION)
    s3 = session.client("s3", endpoint_url=bench.endpoint)
    for bucket in ("raw", "clean"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    secret = session.client("secretsmanager", endpoint_url=bench.endpoint)
    secret.create_secret(Name="salt", SecretString="a synthetic salt for measuring")
    with psycopg.connect(bench.source.dsn(database="marketplace")) as connection:
        row = connection.execute("SELECT pg_size_pretty(pg_database_size(current_database()))").fetchone()
        print(f"database: {row[0] if row else '?'}")


if __name__ == "__main__":
    main()
