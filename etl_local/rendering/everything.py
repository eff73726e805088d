"""A stack that has all there is: what no environment's own file switches on is rendered, and tested, by this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

EVERYTHING: Final = "everything"
"""What it is called where stacks are named."""

BASE: Final = "dev"
"""The stack whose file it begins with: it has every stage."""

_ACCOUNT: Final = "473251818902"
CHANGES: Final[Mapping[str, Any]] = {
    "environment": "prod",
    "protectedAccountIds": [_ACCOUNT],
    "allowProtectedLoad": "prod",
    "protectedLoadTarget": f"{_ACCOUNT}/postgres-etl-target-prod.example.com/marketplace",
    "loadBuckets": {"prod": {"bucket": f"postgres-etl-load-prod-{_ACCOUNT}", "owner": _ACCOUNT}},
    "ecsExecEnabled": False,
    "logRetentionDays": None,
    "accessLogBucket": "access-logs",
    "organisationId": "o-a1b2c3d4e5",
    "s3VpcEndpointIds": ["vpce-0a000000000000000"],
    "sourceInstanceIdentifier": None,
    "sourceCreate": True,
    "targetInstanceIdentifier": None,
    "targetCreate": True,
    "targetAuthentication": "secret",
    "nightlySchedule": "cron(0 2 * * ? *)",
    "nightlyLoadEnvironment": "prod",
}
"""Key → value in place of the base's, None for the default."""
