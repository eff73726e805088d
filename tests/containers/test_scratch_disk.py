from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from etl_runtime.jobs import stamp
from etl_runtime.manifest import ArchiveFile
from etl_runtime.scratch_disk import needed_gib

from tests.containers.dispatch_bench import manifest_of
from tests.containers.dispatch_cluster import template_of
from tests.containers.test_jobs import DUMP

GIB = 1 << 30


def disk_of(job: dict[str, Any]) -> tuple[str, str, str]:
    """Size of the scratch volume, request and limit of the container."""
    pod = job["spec"]["template"]["spec"]
    (volume,) = [each["emptyDir"] for each in pod["volumes"] if each["name"] == "scratch"]
    sizes = pod["containers"][0]["resources"]
    return volume["sizeLimit"], sizes["requests"]["ephemeral-storage"], sizes["limits"]["ephemeral-storage"]


def of_size(database_bytes: int, archive_bytes: int = 0) -> Any:
    file = ArchiveFile("1.dat", archive_bytes, "a" * 64, "v")
    return replace(manifest_of("nightly-1"), database_bytes=database_bytes, files=(file,))


@pytest.mark.parametrize(
    ("database", "archive", "gib"), [(0, 0, 6), (1, 0, 7), (GIB, 0, 8), (10 * GIB, 2 * GIB, 32), (GIB // 2, 0, 7)]
)
def test_a_dump_needs_its_database_twice_and_its_archive_three_times(database: int, archive: int, gib: int) -> None:
    assert needed_gib(of_size(database, archive)) == gib


@pytest.mark.parametrize(
    ("database", "disk"),
    [
        (0, ("6Gi", "7Gi", "7Gi")),
        (10 * GIB, ("26Gi", "27Gi", "27Gi")),
        (47 * GIB, ("100Gi", "101Gi", "101Gi")),
        (47 * GIB + 1, ("100Gi", "101Gi", "101Gi")),
        (9000 * GIB, ("100Gi", "101Gi", "101Gi")),
    ],
)
def test_a_job_gets_the_disk_that_its_dump_needs_and_never_more_than_the_template_has(
    database: int, disk: tuple[str, str, str]
) -> None:
    assert disk_of(stamp(template_of("etl"), replace(DUMP, manifest=of_size(database)))) == disk


@pytest.mark.parametrize("size", ["102400Mi", "100G", "", None])
def test_a_template_in_another_unit_is_left_as_it_is(size: str | None) -> None:
    template = template_of("etl")
    pod = template["spec"]["template"]["spec"]
    pod["volumes"][0]["emptyDir"]["sizeLimit"] = size
    job = stamp(template, replace(DUMP, manifest=of_size(0)))
    assert disk_of(job) == (size, "101Gi", "101Gi")


def test_a_template_without_a_scratch_volume_is_left_as_it_is() -> None:
    template = template_of("etl")
    pod = template["spec"]["template"]["spec"]
    pod["volumes"] = []
    assert (
        stamp(template, DUMP)["spec"]["template"]["spec"]["containers"][0]["resources"]
        == pod["containers"][0]["resources"]
    )
