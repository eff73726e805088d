"""The Kubernetes manifests of a stack, the transform's Job as the dispatcher would make it among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from etl_runtime.contract import DumpPrefix
from etl_runtime.dump_source import DumpSource
from etl_runtime.jobs import read_template, stamp

from tests.containers.dispatch_bench import manifest_of
from tests.infra.engine import Deployment

DUMP = DumpPrefix("dev", "nightly-1", "etl-dump")


def manifests(deployment: Deployment, directory: Path) -> list[dict[str, Any]]:
    """Every object that is registered, and a Job made of the template.

    Args:
        deployment: what a stack registered.
        directory: where the template is put for the dispatcher's own reader.
    """
    template = directory / "job.yaml"
    config = deployment.one("v1:ConfigMap", "transform-dispatcher-job-template").inputs
    template.write_text(config["data"]["job.yaml"])
    job = stamp(read_template(template), DumpSource("a-bucket", DUMP.manifest_key, "1", DUMP, manifest_of("nightly-1")))
    return [*(r.inputs for r in deployment.resources if r.type.startswith("kubernetes:")), job]


def as_yaml(objects: list[dict[str, Any]]) -> str:
    """The objects as one file."""
    return "---\n".join(yaml.safe_dump(item) for item in objects)
