"""A finished run of the pipeline, and the command as a person would run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from etl_local.comparison import Comparison
from etl_local.standin import StandIn

ROOT = Path(__file__).resolve().parents[2]
EXECUTION_NAME = "end-to-end-1"


@dataclass(frozen=True)
class Outcome:
    """A finished run of the pipeline, while everything is still up."""

    standin: StandIn
    events: list[dict[str, Any]]
    report: dict[str, Any]
    comparison: Comparison

    def client(self, service: Any) -> Any:
        """A client of the stand-in's AWS."""
        environment = self.standin.environment()
        return boto3.client(
            service,
            region_name=self.standin.outputs["region"],
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )

    def manifest(self, bucket: str) -> dict[str, Any]:
        key = f"dev/{EXECUTION_NAME}/etl-dump/manifest.json"
        return json.loads(self.client("s3").get_object(Bucket=self.standin.outputs[bucket], Key=key)["Body"].read())


def command(standin: StandIn | None, *arguments: str, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    """Run `postgres-etl` as a person would, in the stand-in's environment where there is one."""
    environment = {**os.environ, **(standin.environment() if standin else {})}
    return subprocess.run(
        [sys.executable, "-m", "etl_cli", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
