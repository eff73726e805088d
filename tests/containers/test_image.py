"""The images: what they are built from, what is refused, and what their bill of materials says."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from etl_infra.documents.container_definition import RUNTIME_UID
from tests.containers.dispatch_cluster import template_of
from tests.containers.image_files import CONTAINERS, DOCKERFILE, copied, in_context

REPOSITORY = CONTAINERS.parent
IMAGE = CONTAINERS / "image"
TARGETS = ("dispatcher", "migrator", "transform")


def script(name: str) -> ModuleType:
    """One of the build's scripts, which are no part of any package."""
    specification = importlib.util.spec_from_file_location(f"image_{name}", IMAGE / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


check = script("check")


def test_hadolint_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([linter, CONTAINERS / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_linter_bites() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    bad = DOCKERFILE.replace("--no-install-recommends", "", 1)
    found = subprocess.run([linter, "-"], input=bad, capture_output=True, text=True, check=False)
    assert "DL3015" in found.stdout


def test_every_image_comes_from_one_base_by_its_digest_and_runs_as_the_user_of_the_tasks_and_pods() -> None:
    stages = dict(re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE))
    assert [base for base in stages if "$" in base] == ["${BASE}@${BASE_DIGEST}"]
    for target in TARGETS:
        text = DOCKERFILE.partition(f" AS {target}\n")[2].partition("\nFROM ")[0]
        text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE).strip()
        assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == [f"{RUNTIME_UID}:{RUNTIME_UID}"], target
        assert f"python /image/check.py {target}" in text
        assert f"python /image/bill_of_materials.py {target} " in text


def test_the_context_is_the_programs_and_what_builds_them() -> None:
    wanted = {"requirements.txt", "build-requirements.txt", "etl_runtime/transform.py", "image/check.py", "rds-ca.pem"}
    unwanted = {"Dockerfile", "build.env", "etl_runtime/__pycache__/x.pyc", "etl_runtime/proof/_kernel.so", "x.pem"}
    assert {name for name in wanted | unwanted if in_context(CONTAINERS / name)} == wanted
    for target in TARGETS:
        for source, _ in copied(target):
            assert in_context(CONTAINERS / source), source


def test_the_kernel_is_compiled_as_the_makefile_compiles_it() -> None:
    made = re.search(r"-m ziglang cc (.*?)-o ", (REPOSITORY / "Makefile").read_text(), re.DOTALL)
    built = re.search(r"-m ziglang cc (.*?)-o ", DOCKERFILE, re.DOTALL)
    assert made is not None
    assert built is not None
    assert made[1].replace("\\", "").split() == built[1].replace("\\", "").split()


@pytest.mark.parametrize("name", ["requirements", "build-requirements"])
def test_what_an_image_installs_is_pinned_as_the_project_s_own(name: str) -> None:
    whole = (REPOSITORY / "requirements.txt").read_text()
    pins = re.findall(r"^(\S+==\S+)", (CONTAINERS / f"{name}.txt").read_text(), re.MULTILINE)
    assert pins
    assert [pin for pin in pins if pin not in whole] == []


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("pg_dump (PostgreSQL) 17.11 (Debian 17.11-1.pgdg13+1)", ""),
        ("pg_dump (PostgreSQL) 17.12", ""),
        ("pg_dump (PostgreSQL) 17.10", "pg_dump 17.10 is below 17.11 (CVE-2026-18408)"),
        ("pg_dump (PostgreSQL) 16.15", "pg_dump is of major 16, and the image is built for 17"),
        ("pg_dump", "pg_dump does not say its version"),
    ],
)
def test_a_tool_below_the_floor_or_of_another_major_ends_the_build(said: str, fault: str) -> None:
    assert check.version_fault("pg_dump", said, 17) == fault


def test_a_major_without_a_floor_ends_the_build() -> None:
    assert check.version_fault("psql", "psql (PostgreSQL) 19.1", 19).startswith("no floor is known for major 19")


def test_the_floor_of_the_images_is_no_lower_than_that_of_the_programs() -> None:
    from etl_runtime.postgres import CLIENT_FLOOR  # noqa: PLC0415 - of the program, beside that of the image

    assert check.FLOORS.keys() == CLIENT_FLOOR.keys()
    assert all(check.FLOORS[major] >= minor for major, minor in CLIENT_FLOOR.items())


def test_a_tool_that_an_image_has_no_use_for_ends_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pg_dump", "postgres"):
        (tmp_path / name).write_text("#!/bin/sh\necho '17.11'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = [fault for fault in check.faults("migrator", 17) if "/" not in fault]
    assert found == ["pg_restore is missing", "postgres is in an image that has no use for it", "psql is missing"]


def test_the_images_have_the_entry_points_that_tasks_and_pods_start() -> None:
    started = set(re.findall(r'"(etl_runtime\.\w+)"', json.dumps(template_of("etl"))))
    for stack in ("dev", "prod"):
        rendered = (REPOSITORY / "docs" / "rendered" / f"{stack}.yaml").read_text()
        started |= set(re.findall(r"\betl_runtime\.\w+", rendered))
    assert started == {module for modules in check.ENTRY_POINTS.values() for module in modules}


def test_a_bill_of_materials_names_each_distribution_once_and_is_the_same_each_time(tmp_path: Path) -> None:
    texts: list[str] = []
    for number in range(2):
        path = tmp_path / str(number) / "sbom.cdx.json"
        subprocess.run([sys.executable, IMAGE / "bill_of_materials.py", "transform", path], check=True)
        texts.append(path.read_text())
    document: dict[str, Any] = json.loads(texts[0])
    assert texts[0] == texts[1]
    assert (document["bomFormat"], document["specVersion"], document["metadata"]["component"]["name"]) == (
        "CycloneDX",
        "1.6",
        "postgres-etl/transform",
    )
    urls = [component["purl"] for component in document["components"]]
    assert len(urls) == len(set(urls))
    named = {c["name"] for c in document["components"] if c["purl"].startswith("pkg:pypi/")}
    assert named == {str(distribution.metadata["Name"]) for distribution in distributions()}
    if shutil.which("dpkg-query"):
        assert any(url.startswith("pkg:deb/debian/libc6@") for url in urls)


# --- make images


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A copy of what the build script reads, with arguments that are complete."""
    (tmp_path / "image").mkdir()
    shutil.copy(IMAGE / "build.sh", tmp_path / "image" / "build.sh")
    (tmp_path / "rds-ca.pem").write_text("certificates\n")
    digest = hashlib.sha256((tmp_path / "rds-ca.pem").read_bytes()).hexdigest()
    (tmp_path / "build.env").write_text(
        f"BASE=base\nBASE_DIGEST=sha256:{'0' * 64}\nRDS_CA_SHA256={digest}\nPG_MAJOR=17\n"
    )
    (tmp_path / "bin").mkdir()
    return tmp_path


def engine(build: Path, name: str, *, answers: bool = True) -> None:
    program = build / "bin" / name
    program.write_text(
        f'#!/bin/sh\n[ "$1" = info ] && exit {0 if answers else 1}\necho {name} "$@" >> {build}/called\n'
    )
    program.chmod(0o755)


def images(build: Path, **variables: str) -> tuple[int, str]:
    path = f"{build / 'bin'}:/usr/bin:/bin"
    done = subprocess.run(
        ["/bin/sh", build / "image" / "build.sh"],
        env={"PATH": path, "TAG": "t", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("present", [{"docker": True}, {"podman": True}, {"docker": False, "podman": True}])
def test_the_images_are_built_by_whichever_engine_answers(build: Path, present: dict[str, bool]) -> None:
    for name in ("docker", "podman"):
        engine(build, name, answers=present.get(name, False))
    (name,) = [name for name, answers in present.items() if answers]
    assert images(build) == (0, "")
    calls = (build / "called").read_text().splitlines()
    digest = re.search(r"RDS_CA_SHA256=(\S+)", (build / "build.env").read_text())
    assert digest is not None
    assert calls == [
        f"{name} build --target {target} --tag postgres-etl:{target}-t --build-arg BASE=base "
        f"--build-arg BASE_DIGEST=sha256:{'0' * 64} --build-arg PG_MAJOR=17 --build-arg RDS_CA_SHA256={digest[1]} ."
        for target in TARGETS
    ]


def test_without_an_engine_one_line_says_so(build: Path) -> None:
    for name in ("docker", "podman"):
        engine(build, name, answers=False)
    assert images(build) == (78, "images: neither docker nor podman answers here: install one, or start its service\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("BASE_DIGEST=.*", "BASE_DIGEST="),
            "containers/build.env has no BASE_DIGEST; what it is for stands beside it",
        ),
        (
            ("BASE_DIGEST=.*", "BASE_DIGEST=latest"),
            "BASE_DIGEST in containers/build.env is no digest: sha256: and 64 hex",
        ),
        (("RDS_CA_SHA256=.", "RDS_CA_SHA256=x"), "containers/rds-ca.pem is not the bundle that RDS_CA_SHA256"),
    ],
)
def test_what_is_not_pinned_is_not_built(build: Path, change: tuple[str, str], said: str) -> None:
    engine(build, "docker")
    settings = build / "build.env"
    settings.write_text(re.sub(*change, settings.read_text()))
    code, error = images(build)
    assert code == 78
    assert error.startswith(f"images: {said}")
    assert not (build / "called").exists()


def test_without_the_certificates_nothing_is_built(build: Path) -> None:
    engine(build, "docker")
    (build / "rds-ca.pem").unlink()
    assert images(build)[1].startswith("images: containers/rds-ca.pem is missing")


def test_the_arguments_of_the_build_are_those_of_the_dockerfile() -> None:
    given = set(re.findall(r"--build-arg \"(\w+)=", (IMAGE / "build.sh").read_text()))
    assert given == set(re.findall(r"^ARG (\w+)$", DOCKERFILE, re.MULTILINE))
    assert given == set(re.findall(r"^(\w+)=", (CONTAINERS / "build.env").read_text(), re.MULTILINE))
    assert os.access(IMAGE / "build.sh", os.X_OK)
