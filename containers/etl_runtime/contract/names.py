"""The names that what is deployed is known by, to its programs and to others."""

from __future__ import annotations

from typing import Final

MIGRATOR_NAME: Final = "postgres-etl"
DUMP_FILENAME: Final = "etl-dump"
PG_DUMP_CONTAINER: Final = "pg_dump"
TRANSFORM_CONTAINER: Final = "transform"
PG_RESTORE_CONTAINER: Final = "pg_restore"
DISPATCHER_CONTAINER: Final = "dispatcher"
SCRATCH_VOLUME: Final = "scratch"
QUEUE_NAME: Final = f"{MIGRATOR_NAME}-s3"
DEAD_LETTER_QUEUE_NAME: Final = f"{MIGRATOR_NAME}-s3-dlq"
EXTRACT_STATE_MACHINE_NAME: Final = f"{MIGRATOR_NAME}-rds-to-s3"
LOAD_STATE_MACHINE_NAME: Final = f"{MIGRATOR_NAME}-s3-to-rds"
EXECUTION_ID_TAG: Final = "ExecutionID"
MANIFEST_NAME: Final = "manifest.json"
PROTECTED_ENVIRONMENTS: Final = frozenset({"prod"})
"""Environments whose data is personal by definition: never a load target without a named override."""
