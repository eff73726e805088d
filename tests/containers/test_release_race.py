"""A manifest that could not be written: another's is there, which is as good, or none is, which is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from etl_runtime import transform as transform_module
from etl_runtime.contract import DumpPrefix, ExitCode, LoadBucket
from etl_runtime.faults import Fault
from etl_runtime.manifest import Cleaning, Manifest
from etl_runtime.objects import Bucket
from etl_runtime.raw_dump import RawDump
from etl_runtime.settings.transform import TransformSettings
from etl_runtime.toc import read_toc
from etl_runtime.transform import Transform

from tests.containers.archive_bytes import ENCODING, toc_bytes
from tests.containers.aws_account import ACCOUNT, REGION
from tests.containers.manifests import RAW

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = DumpPrefix("dev", "nightly-1", "etl-dump")
MANIFEST = replace(RAW, stage="clean")


@pytest.fixture
def pod(
    s3: S3Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[Transform, RawDump, Manifest]]:
    """A transform that has done all but write its manifest."""
    monkeypatch.setattr(transform_module, "s3_client", lambda _region: s3)
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "columns.yaml").write_text("version: 1\n")

    def make() -> tuple[Transform, RawDump, Manifest]:
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        directory.mkdir()
        settings = TransformSettings(
            environment="prod",
            region=REGION,
            mount_point=tmp_path,
            execution_id="nightly-1",
            prefix=PREFIX,
            manifest_version_id="",
            extract_bucket="raw",
            extract_bucket_owner=ACCOUNT,
            load_bucket=LoadBucket("clean", ACCOUNT),
            scrub_directory=rules,
            salt_secret_id="salt",
            jobs=1,
            image="transform@sha256:00",
            proof_scope="changed",
            scrub_variables={},
            scrub_secret_ids={},
            scratch_template=None,
        )
        transform = Transform(settings, directory)
        content = toc_bytes([ENCODING])
        dump = RawDump(
            transform.raw_bucket, PREFIX, replace(MANIFEST, stage="raw"), "cd" * 32, read_toc(content), content
        )
        cleaning = Cleaning(
            raw_manifest_sha256="cd" * 32,
            rules_sha256=transform.rules_sha256,
            image="transform@sha256:00",
            plan=[],
            proof={"result": "passed", "columns": []},
            started_at="2026-01-01T03:00:00.000+00:00",
            finished_at="2026-01-01T03:01:00.000+00:00",
        )
        return transform, dump, replace(MANIFEST, cleaning=cleaning)

    return make


def test_the_second_of_two_pods_finds_the_first_one_s_release(
    pod: Callable[[], tuple[Transform, RawDump, Manifest]],
) -> None:
    first, second = pod(), pod()
    first[0]._write_manifest(first[1], first[2])
    before = first[0].clean_bucket.read(PREFIX.manifest_key)
    second[0]._write_manifest(second[1], replace(second[2], database="another"))
    assert second[0].clean_bucket.read(PREFIX.manifest_key) == before


def test_a_pod_whose_manifest_was_refused_though_there_is_none_has_not_released_anything(
    pod: Callable[[], tuple[Transform, RawDump, Manifest]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 answers 409 where two write at once, and then the other one may fail."""
    transform, dump, manifest = pod()

    def conflict(_self: Bucket, _key: str, _content: bytes) -> Any:
        return None

    monkeypatch.setattr(Bucket, "write_manifest", conflict)
    with pytest.raises(Fault) as stopped:
        transform._write_manifest(dump, manifest)
    assert (stopped.value.code, stopped.value.message) == (
        ExitCode.TRANSIENT,
        "the manifest of dev/nightly-1/etl-dump was not taken, and there is none; run it again",
    )
