"""Every entry point in a read-only root without network, laid out from the Dockerfile: no engine is needed for that."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from etl_runtime.contract import REQUIRED_ENV, Env, ExitCode

from etl_local.postgres_installation import PostgresInstallation
from tests.containers.dispatch_cluster import template_of
from tests.containers.image_files import lay_out

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv"))),
        reason="a root of its own takes root, unshare and setpriv",
    ),
]

SANDBOX = Path(__file__).with_name("image_sandbox.sh")
ENTRY_POINTS = {
    "etl_runtime.dispatcher": ("dispatcher", "dispatcher"),
    "etl_runtime.pg_dump": ("migrator", "pg_dump"),
    "etl_runtime.pg_restore": ("migrator", "pg_restore"),
    "etl_runtime.transform": ("transform", "transform"),
}
"""Module → stage of the Dockerfile, name of its container."""

SETTINGS: Mapping[Env, str] = {
    Env.ENVIRONMENT_NAME: "dev",
    Env.AWS_REGION: "eu-west-2",
    Env.MOUNT_POINT: "/scratch",
    Env.EXECUTION_ID: "nightly-1",
    Env.LOAD_ENVIRONMENT: "dev",
    Env.DUMP_FILENAME: "etl-dump",
    Env.LOAD_FILENAME: "dev/nightly-1/etl-dump",
    Env.DUMP_PREFIX: "dev/nightly-1/etl-dump",
    Env.MANIFEST_VERSION_ID: "v1",
    Env.EXTRACT_BUCKET: "raw",
    Env.EXTRACT_BUCKET_OWNER: "123456789012",
    Env.LOAD_BUCKET: "clean",
    Env.LOAD_BUCKET_OWNER: "123456789012",
    Env.LOAD_BUCKETS: '{"dev": {"bucket": "clean", "owner": "123456789012"}}',
    Env.DB_HOST: "127.0.0.1",
    Env.DB_PORT: "5432",
    Env.DB_NAME: "marketplace",
    Env.DB_USER: "reader",
    Env.DB_AUTHENTICATION: "secret",
    Env.DB_CREDENTIALS: '{"username": "reader", "password": "x"}',
    Env.DB_SSLMODE: "disable",
    Env.DUMP_JOBS: "1",
    Env.RESTORE_JOBS: "1",
    Env.TRANSFORM_JOBS: "1",
    Env.ALLOWED_RULES: "aa",
    Env.PROTECTED_ACCOUNTS: "974531504241",
    Env.SCRUB_DIRECTORY: "/etc/postgres-etl/scrub",
    Env.SCRUB_SALT_SECRET_ID: "salt",
    Env.IMAGE: "transform@sha256:00",
}


class Sandbox:
    """The layout of one stage, and what runs in it."""

    def __init__(self, stage: str, directory: Path) -> None:
        self._directory = directory
        self._files, self._root = directory / "files", directory / "root"
        self._root.mkdir()
        lay_out(stage, self._files)
        rules = self._files / "etc" / "postgres-etl" / "scrub"
        rules.mkdir(parents=True)
        (rules / "columns.yaml").write_text("tables: {}\n")
        job = self._files / "etc" / "postgres-etl" / "job"
        job.mkdir(parents=True)
        (job / "job.yaml").write_text(yaml.safe_dump(template_of("etl")))
        self.postgres = PostgresInstallation.bundled().prefix
        shared = ["/usr", *(d for d in ("/bin", "/sbin", "/lib", "/lib64") if not Path(d).is_symlink())]
        shared += [sys.base_prefix, sysconfig.get_path("purelib")]
        # nested ones are there already
        self._shared = [d for d in shared if not any(d.startswith(f"{o}/") for o in shared) and Path(d).is_dir()]

    def run(self, *argv: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        own = {
            "PATH": f"{self.postgres / 'bin'}:/usr/bin:/bin",
            "PYTHONPATH": f"/opt:{sysconfig.get_path('purelib')}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": "/scratch",
            "HOME": "/nonexistent",
            **(environment or {}),
        }
        return subprocess.run(
            [
                *("/usr/bin/unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "/bin/sh", str(SANDBOX)),
                *(str(self._root), str(self._files), ":".join(self._shared)),
                *("-i", *(f"{name}={value}" for name, value in own.items())),
                *argv,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def program(self, module: str, environment: Mapping[str, str]) -> tuple[int, list[dict[str, Any]], str]:
        """Exit status, events and standard error of an entry point."""
        python = str(Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}"))
        done = self.run(python, "-m", module, environment=environment)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        python = str(Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}"))
        return self.run(python, "-c", code)


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Sandbox:
    return Sandbox(request.param, tmp_path)


@pytest.mark.parametrize("sandbox", ["transform"], indirect=True)
def test_the_sandbox_is_what_it_claims_to_be(sandbox: Sandbox) -> None:
    code = (
        "import os, pathlib, socket\n"
        "def tried(call):\n"
        "    try: call()\n"
        "    except OSError as error: return error.strerror\n"
        "    return 'done'\n"
        "print(os.getuid(), os.getgid(), os.getgroups())\n"
        "places = ('/', '/opt/etl_runtime', '/etc', '/tmp', '/scratch')\n"
        "print(*[tried(pathlib.Path(place, 'x').touch) for place in places], sep=', ')\n"
        "print(tried(lambda: socket.create_connection(('192.0.2.1', 443), 1)))\n"
        "bounds = open('/proc/self/status').read().split('CapBnd:')[1].split()[0]\n"
        "print(bounds, os.path.exists('/opt/etl_runtime/transform.py'))"
    )
    done = sandbox.python(code)
    refused = "Read-only file system"
    assert done.stdout.splitlines() == [
        "10001 10001 []",
        f"{refused}, {refused}, {refused}, {refused}, done",
        "Network is unreachable",
        "0000000000000000 True",
    ], done.stderr


@pytest.mark.parametrize(("module", "sandbox"), [(m, s) for m, (s, _) in ENTRY_POINTS.items()], indirect=["sandbox"])
def test_an_entry_point_starts_and_says_what_it_lacks(module: str, sandbox: Sandbox) -> None:
    code, events, errors = sandbox.program(module, {})
    assert (code, errors) == (ExitCode.CONFIG, "")
    (failed,) = events
    assert (failed["event"], failed["exit_code"]) == ("failed", ExitCode.CONFIG)
    for name in REQUIRED_ENV[ENTRY_POINTS[module][1]] - {Env.MANIFEST_VERSION_ID}:
        assert f"{name} is not set" in failed["error"]


@pytest.mark.parametrize(
    ("module", "sandbox"), [(m, s) for m, (s, _) in ENTRY_POINTS.items() if s != "dispatcher"], indirect=["sandbox"]
)
def test_an_entry_point_gets_as_far_as_the_network_and_says_that_it_may_pass(module: str, sandbox: Sandbox) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_MAX_ATTEMPTS": "1"}
    given = {str(name): SETTINGS[name] for name in REQUIRED_ENV[ENTRY_POINTS[module][1]]}
    given |= {str(name): SETTINGS[name] for name in (Env.DB_CREDENTIALS,)}
    endpoint = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", **keys}
    code, events, errors = sandbox.program(module, given | endpoint)
    assert (code, errors) == (ExitCode.TRANSIENT, ""), events
    assert events[-1]["event"] == "failed"


@pytest.mark.parametrize("sandbox", ["transform"], indirect=True)
def test_the_scratch_server_runs_in_the_transform_s_image(sandbox: Sandbox) -> None:
    """The one program of an image that writes much: its data, its socket and its shared memory."""
    code = (
        "from pathlib import Path\n"
        "from etl_runtime.scratch import Scratch\n"
        "directory = Path('/scratch/t'); directory.mkdir()\n"
        "with Scratch(directory, 'UTF8') as scratch, scratch.connect() as connection:\n"
        "    print(connection.execute('SELECT sum(n) FROM generate_series(1, 1000) n').fetchone()[0])\n"
        "print(sorted(path.name for path in directory.iterdir()))"
    )
    done = sandbox.python(code)
    assert done.stdout.splitlines() == ["500500", "[]"], done.stderr
