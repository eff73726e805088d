"""The servers, buckets and databases that the ways are measured with."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import transform_ways as ways
from botocore.exceptions import BotoCoreError, ClientError
from etl_runtime.faults import Fault
from etl_runtime.scratch_files import make_scratch_files
from servers import Workplace, client, create_bucket, login, moto, program_environment
from transform_database import Filled, Size, fill
from transform_process import Deadline, FailedError, OverdueError, Usage, measured

from etl_local.clusters import PostgresCluster


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What is measured."""

    megabytes: float
    rounds: int
    slow_rounds: int
    growth_megabytes: float
    growth_rounds: int
    timeout: float
    with_tools: bool


@dataclass
class Runs:
    """All runs of one way, and why there are no more of them."""

    usages: list[Usage] = field(default_factory=list)
    stopped: str = ""


@dataclass
class Bench:
    """What is running."""

    directory: Path
    launchers: Path
    version: str
    options: Options
    source: PostgresCluster
    password: str
    endpoint: str
    s3: Any
    began: float = field(default_factory=time.monotonic)
    runs: dict[str, Runs] = field(default_factory=dict)
    _number: int = 0

    @classmethod
    @contextmanager
    def started(cls, place: Workplace, options: Options) -> Iterator[Bench]:
        """Start the source server and the stand-in for S3."""
        wanted, free = options.megabytes * 8, shutil.disk_usage(place.directory).free / 1e6
        if free < wanted:
            sys.exit(f"{place.directory.parent} has {free:.0f} MB free, and this wants {wanted:.0f}: set TMPDIR")
        with moto(place.directory) as endpoint, place.cluster("source") as source:
            client("secretsmanager", endpoint).create_secret(Name="salt", SecretString=ways.SALT)
            password = source.create_role("etl_dump", "BYPASSRLS", ("pg_read_all_data",))
            s3 = client("s3", endpoint)
            create_bucket(s3, "raw")
            # The image has one; the other ways get it, too.
            bench = cls(place.directory, place.launchers, place.version, options, source, password, endpoint, s3)
            make_scratch_files(bench.scratch_template)
            yield bench

    @property
    def scratch_template(self) -> Path:
        """The files of an empty scratch server."""
        return self.directory / "template-scratch"

    def say(self, what: str) -> None:
        """Print how far it is."""
        print(f"[{time.monotonic() - self.began:7.1f} s] {what}", flush=True)

    def remove_bucket(self, name: str) -> None:
        """Delete one with all that is in it."""
        # Page after page skips some in the stand-in while they are deleted; the first page does not.
        while versions := self.s3.list_object_versions(Bucket=name).get("Versions"):
            for version in versions:
                self.s3.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
        self.s3.delete_bucket(Bucket=name)

    def environment(self, bucket: str, **more: str) -> dict[str, str]:
        """What a container would be told."""
        return program_environment(self.directory, self.launchers, self.endpoint, bucket, **more)

    def extract(self, database: str) -> None:
        """Dump a database of the source into the raw bucket."""
        environment = self.environment(
            "none",
            EXECUTION_ID=database,
            LOAD_ENVIRONMENT="dev",
            DUMP_FILENAME="etl-dump",
            DUMP_JOBS=str(ways.JOBS),
            **login(self.source, "etl_dump", self.password, database),
        )
        argv = [sys.executable, "-m", "etl_runtime.pg_dump"]
        measured(argv, environment, self.directory / "extract.log", Deadline(self.options.timeout))

    def made(self, database: str, size: Size) -> Filled:
        """Make a database, put its dump in the raw bucket, and drop it."""
        self.say(f"making database {database}")
        self.source.create_database(database, "postgres")
        filled = fill(self.source.dsn(database=database), size, self.options.timeout)
        self.say(f"extracting {database}: {filled.bytes / 1e6:.0f} MB in {filled.tables} tables")
        self.extract(database)
        self.source.execute(f"DROP DATABASE {database}")  # pyright: ignore[reportArgumentType]
        return filled

    def ours(self, database: str, rules: Path, argv: list[str], keep: Path | None = None, **more: str) -> Usage:
        """Run the transform, or a launcher of it, into a bucket of its own; with `keep`, fetch what came out."""
        self._number += 1
        bucket = f"clean-{self._number}"
        create_bucket(self.s3, bucket)
        environment = self.environment(
            bucket,
            EXECUTION_ID=database,
            DUMP_PREFIX=f"dev/{database}/etl-dump",
            SCRUB_DIRECTORY=str(rules),
            SCRUB_SALT_SECRET_ID="salt",  # noqa: S106 - its name
            TRANSFORM_JOBS=str(ways.JOBS),
            IMAGE="bench",
            SCRATCH_TEMPLATE=str(self.scratch_template),
            **more,
        )
        try:
            deadline = Deadline(self.options.timeout)
            usage = measured([sys.executable, *argv], environment, self.directory / "transform.log", deadline)
            if keep is not None:
                self.download(bucket, database, keep)
            return usage
        finally:
            self.remove_bucket(bucket)

    def download(self, bucket: str, database: str, directory: Path) -> None:
        """Fetch a dump."""
        ways.emptied(directory)
        prefix = f"dev/{database}/etl-dump/"
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page["Contents"]:
                self.s3.download_file(bucket, item["Key"], str(directory / item["Key"].removeprefix(prefix)))

    def run(self, name: str, work: Callable[[], Usage]) -> None:
        """Run a way and keep what it took; one that failed or took too long once is not run again."""
        runs = self.runs.setdefault(name, Runs())
        if runs.stopped:
            return
        self.say(f"running: {name}")
        try:
            usage = work()
        except OverdueError:
            runs.stopped = f"ended after {self.options.timeout:.0f} s"
        except (FailedError, Fault, psycopg.Error, BotoCoreError, ClientError, OSError) as error:
            runs.stopped = f"failed: {error}"
        else:
            runs.usages.append(usage)
            steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in usage.steps.items())
            self.say(f"         {usage.seconds:.1f} s" + (f" ({steps})" if steps else ""))
        if runs.stopped:
            self.say(f"         {runs.stopped}")
