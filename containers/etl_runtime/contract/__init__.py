"""Every name that crosses a boundary between what is deployed and what runs.

The only part of `etl_runtime` that infrastructure code may import, so it uses the standard library alone and does no
work at import. Both sides spell a variable, a container or a key by these names; neither repeats the text.
"""

from __future__ import annotations

from etl_runtime.contract.contract_error import ContractError
from etl_runtime.contract.dump_messages import (
    REASON_ATTRIBUTE,
    RECEIVES_ATTRIBUTE,
    SENT_ATTRIBUTE,
    CreatedObject,
    created_object,
    event_records,
)
from etl_runtime.contract.dump_prefix import DumpPrefix, execution_name
from etl_runtime.contract.environment import DISPATCHED_ENV, PROOF_SCOPES, REQUIRED_ENV, RESTORE_MODES, Env
from etl_runtime.contract.exit_code import ExitCode
from etl_runtime.contract.load_target import LoadBucket, load_buckets, load_buckets_text, load_target
from etl_runtime.contract.names import (
    DEAD_LETTER_QUEUE_NAME,
    DISPATCHER_CONTAINER,
    DUMP_FILENAME,
    EXECUTION_ID_TAG,
    EXTRACT_STATE_MACHINE_NAME,
    LOAD_STATE_MACHINE_NAME,
    MANIFEST_NAME,
    MIGRATOR_NAME,
    PG_DUMP_CONTAINER,
    PG_RESTORE_CONTAINER,
    PROTECTED_ENVIRONMENTS,
    QUEUE_NAME,
    SCRATCH_VOLUME,
    TRANSFORM_CONTAINER,
)
from etl_runtime.contract.post_load import post_load_scripts, post_load_text
from etl_runtime.contract.scrub_files import RULES_FILE, rules_digest, scrub_files
from etl_runtime.contract.transform_job import (
    COMPONENT_LABEL,
    EXECUTION_ANNOTATION,
    EXECUTION_LABEL,
    NAME_LABEL,
    SOURCE_ANNOTATION,
    TRANSFORM_LABELS,
    execution_label,
    source_annotation,
    transform_job_name,
)

__all__ = [
    "COMPONENT_LABEL",
    "DEAD_LETTER_QUEUE_NAME",
    "DISPATCHED_ENV",
    "DISPATCHER_CONTAINER",
    "DUMP_FILENAME",
    "EXECUTION_ANNOTATION",
    "EXECUTION_ID_TAG",
    "EXECUTION_LABEL",
    "EXTRACT_STATE_MACHINE_NAME",
    "LOAD_STATE_MACHINE_NAME",
    "MANIFEST_NAME",
    "MIGRATOR_NAME",
    "NAME_LABEL",
    "PG_DUMP_CONTAINER",
    "PG_RESTORE_CONTAINER",
    "PROOF_SCOPES",
    "PROTECTED_ENVIRONMENTS",
    "QUEUE_NAME",
    "REASON_ATTRIBUTE",
    "RECEIVES_ATTRIBUTE",
    "REQUIRED_ENV",
    "RESTORE_MODES",
    "RULES_FILE",
    "SCRATCH_VOLUME",
    "SENT_ATTRIBUTE",
    "SOURCE_ANNOTATION",
    "TRANSFORM_CONTAINER",
    "TRANSFORM_LABELS",
    "ContractError",
    "CreatedObject",
    "DumpPrefix",
    "Env",
    "ExitCode",
    "LoadBucket",
    "created_object",
    "event_records",
    "execution_label",
    "execution_name",
    "load_buckets",
    "load_buckets_text",
    "load_target",
    "post_load_scripts",
    "post_load_text",
    "rules_digest",
    "scrub_files",
    "source_annotation",
    "transform_job_name",
]
