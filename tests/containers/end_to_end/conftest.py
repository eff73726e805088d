"""What the end-to-end tests share: one Postgres server, one moto server, and dumps that no test changes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from etl_local.clusters import ClusterTemplate, PostgresCluster, free_port
from etl_local.postgres_installation import PostgresInstallation
from tests.containers.aws_account import REGION
from tests.containers.end_to_end.clean_dump import CleanDump
from tests.containers.end_to_end.live_database import databases
from tests.containers.end_to_end.programs import LOAD_ROLE, Programs, Run
from tests.containers.end_to_end.source_database import CANARIES, ROWS, RULES, SCHEMA, SCRIPTED_RULES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="session")
def servers_directory() -> Iterator[Path]:
    """A short path that any user may pass through: a server's socket has its name in it."""
    with tempfile.TemporaryDirectory(prefix="rt-") as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


@pytest.fixture(scope="session")
def launchers(servers_directory: Path) -> Path:
    """Postgres's programs."""
    return PostgresInstallation.bundled().launchers(servers_directory)


@pytest.fixture(scope="session")
def cluster(servers_directory: Path, launchers: Path) -> Iterator[PostgresCluster]:
    """One Postgres server for source and target: what keeps them apart are databases and roles."""
    template = ClusterTemplate(servers_directory / "template", launchers)
    with PostgresCluster(servers_directory, launchers, "server", template) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def moto_log(servers_directory: Path) -> Path:
    """The requests that the moto server got, a line each."""
    return servers_directory / "moto.log"


@pytest.fixture(scope="session")
def moto_endpoint(moto_log: Path) -> Iterator[str]:
    """A moto server of its own process: this one's memory belongs to the tests that play AWS in it."""
    port = free_port()
    with moto_log.open("w") as log:
        argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            endpoint = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 30
            while True:
                try:
                    urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=1).close()  # noqa: S310 - our own
                    break
                except OSError:
                    assert time.monotonic() < deadline, moto_log.read_text()
                    time.sleep(0.05)
            yield endpoint
        finally:
            server.kill()
            server.wait()


@pytest.fixture(scope="session")
def passwords(cluster: PostgresCluster) -> dict[str, str]:
    """Role → password: one that may read all and no more, one that may make databases and no more."""
    return {
        "etl_dump": cluster.create_role("etl_dump", "BYPASSRLS", ("pg_read_all_data",)),
        "etl_load": cluster.create_role("etl_load", "CREATEDB"),
    }


@pytest.fixture(scope="session")
def programs_of_session(
    servers_directory: Path, launchers: Path, cluster: PostgresCluster, passwords: dict[str, str], moto_endpoint: str
) -> Programs:
    """Programs to make what tests share; a test itself takes `programs`."""
    session = boto3.Session("testing", "testing", region_name=REGION)
    session.client("secretsmanager", endpoint_url=moto_endpoint).create_secret(
        Name="salt", SecretString="a long and synthetic salt"
    )
    mount_point = servers_directory / "m"
    mount_point.mkdir()
    mount_point.chmod(0o711)
    s3: S3Client = session.client("s3", endpoint_url=moto_endpoint)
    return Programs(cluster, passwords, launchers, moto_endpoint, s3, mount_point)


@pytest.fixture
def programs(programs_of_session: Programs) -> Iterator[Programs]:
    """The programs; none runs after the test."""
    yield programs_of_session
    programs_of_session.end_all()


@pytest.fixture(scope="session")
def source(programs_of_session: Programs) -> str:
    """A database with rows in it, that no test changes."""
    cluster = programs_of_session.cluster
    cluster.create_database("source", "postgres")
    programs_of_session.query("source", SCHEMA + ROWS)
    cluster.execute("ALTER DATABASE source SET search_path = ''", "ALTER DATABASE source SET app.secret = 'hush'")
    return "source"


@pytest.fixture(scope="session")
def raw_bucket(programs_of_session: Programs, source: str) -> str:
    """A bucket with the raw dump `dev/nightly/etl-dump`, that no test changes."""
    bucket = programs_of_session.bucket("raw-shared")
    run = programs_of_session.run("pg_dump", programs_of_session.extract_environment("nightly", source, bucket))
    assert run.code == 0, run.text
    return bucket


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A scrub directory with the rules for `source`, that a test may add to."""
    directory = tmp_path / "scrub"
    directory.mkdir()
    (directory / "columns.yaml").write_text(RULES)
    return directory


@pytest.fixture(scope="session")
def released(programs_of_session: Programs, raw_bucket: str, servers_directory: Path) -> tuple[str, Path]:
    """A bucket with the clean dump of `raw_bucket`, and the rules by which it was made; no test changes them."""
    bucket, rules = programs_of_session.bucket("clean-shared"), servers_directory / "scrub"
    rules.mkdir()
    (rules / "columns.yaml").write_text(RULES)
    environment = programs_of_session.transform_environment("nightly", raw_bucket, bucket, rules)
    run = programs_of_session.run("transform", environment)
    assert run.code == 0, run.text
    return bucket, rules


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of this very test, for its buckets and databases."""
    return "t" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


@pytest.fixture
def transform(programs: Programs, raw_bucket: str, rules: Path, name: str) -> Callable[..., tuple[Run, CleanDump]]:
    """Transforms the shared raw dump by `rules` into a bucket of the test's own."""
    bucket = programs.bucket(name)

    def run(**changes: str) -> tuple[Run, CleanDump]:
        environment = programs.transform_environment("nightly", raw_bucket, bucket, rules) | changes
        ended = programs.run("transform", environment)
        assert [canary for canary in CANARIES if canary in ended.text] == []
        return ended, CleanDump.read(programs, bucket)

    return run


@pytest.fixture
def target(programs: Programs, name: str) -> Iterator[str]:
    """The name of a live database of the test's own; what is left of it is dropped."""
    yield name
    for database in databases(programs, name):
        programs.query("postgres", f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true')
        programs.query("postgres", f'DROP DATABASE "{database}" WITH (FORCE)')


@pytest.fixture
def live(programs: Programs, target: str) -> str:
    """That database, there already, with a table of its own."""
    programs.cluster.create_database(target, LOAD_ROLE)
    programs.query(target, "CREATE TABLE before (id integer)")
    return target


@pytest.fixture
def load(programs: Programs, released: tuple[str, Path], target: str) -> Callable[..., Run]:
    """Loads the shared clean dump into the test's own database."""
    bucket, rules = released

    def run(execution: str = "load-1", **changes: str) -> Run:
        environment = programs.load_environment(execution, "nightly", bucket, target, rules) | changes
        ended = programs.run("pg_restore", environment)
        assert [canary for canary in CANARIES if canary in ended.text] == []
        assert programs.passwords[LOAD_ROLE] not in ended.text
        return ended

    return run


@pytest.fixture
def scripts(rules: Path) -> Callable[..., None]:
    """Writes the scripts of a test, beside rules that leave `users.note` to them."""

    def write(*texts: str) -> None:
        (rules / "columns.yaml").write_text(SCRIPTED_RULES)
        for number, text in enumerate(texts, 1):
            (rules / f"{number}0.sql").write_text(text)

    return write


@pytest.fixture
def bucket(programs: Programs, name: str) -> str:
    """An empty bucket of the test's own."""
    return programs.bucket(name)


@pytest.fixture
def database(programs: Programs, name: str) -> Iterator[str]:
    """A database of the test's own, with one table."""
    programs.cluster.create_database(name, "postgres")
    programs.query(name, "CREATE TABLE users (id integer, email text); INSERT INTO users VALUES (1, 'ada.canary@x')")
    yield name
    programs.cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def older_launchers(servers_directory: Path) -> Path:
    """The programs of an older major version."""
    directory = servers_directory / "older"
    directory.mkdir()
    return PostgresInstallation.bundled(16).launchers(directory)


@pytest.fixture
def raw_of(programs: Programs, name: str) -> Callable[..., str]:
    """Makes a database of the test's own, extracts it and gives the bucket with its raw dump."""

    def make(statements: str, options: str = "") -> str:
        programs.cluster.execute(f"CREATE DATABASE {name} TEMPLATE template0 {options}")  # type: ignore[arg-type]
        programs.query(name, statements)
        bucket = programs.bucket(f"{name}-raw")
        run = programs.run("pg_dump", programs.extract_environment("nightly", name, bucket))
        programs.cluster.execute(f"DROP DATABASE {name}")  # type: ignore[arg-type]
        assert run.code == 0, run.text
        return bucket

    return make
