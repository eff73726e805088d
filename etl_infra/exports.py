"""The stack's outputs: what the command line and Jenkins find the pipeline by, of the stages that are on."""

from __future__ import annotations

from typing import Any

import pulumi

from etl_infra.access import PipelineAccess
from etl_infra.extract import Extract
from etl_infra.load import Load
from etl_infra.stack_settings import StackSettings
from etl_infra.transform import Transform


def export_outputs(
    stack: StackSettings,
    extract: Extract | None,
    transform: Transform | None,
    load: Load | None,
    access: PipelineAccess | None,
) -> None:
    """Export every output that this stack has."""
    outputs: dict[str, Any] = {"environment": stack.home.environment, "region": stack.home.region}
    if extract:
        outputs |= {
            "extract_state_machine_arn": extract.state_machine.arn,
            "extract_bucket": extract.bucket.name,
            "extract_log_group": extract.task.log_group_name,
            "dump_queue_url": extract.queue.url,
            "dead_letter_queue_url": extract.queue.dead_letter_url,
            "load_buckets": {
                environment: {"bucket": bucket.name, "owner": bucket.owner}
                for environment, bucket in extract.load_buckets.items()
            },
        }
    if transform:
        outputs["transform_namespace"] = transform.namespace
    if load:
        outputs |= {
            "load_state_machine_arn": load.state_machine.arn,
            "load_bucket": load.bucket.name,
            "load_log_group": load.task.log_group_name,
        }
    if access:
        outputs["jenkins_role_arn"] = access.role_arn
    for name, value in outputs.items():
        pulumi.export(name, value)
