"""The quota of the pipeline's namespace: what its Jobs and its dispatcher take, and nothing beside."""

from __future__ import annotations

from typing import Any, Final

from etl_infra.documents import dispatcher_pod
from etl_infra.documents.pod import PodSize

FINISHED_JOBS: Final = 50  # ended Jobs stay for a day and count towards the quota
DISPATCHER_PODS: Final = 2  # the one that runs, and its successor while it ends


def quota(max_active_jobs: int, job: PodSize) -> dict[str, Any]:
    """The spec of the ResourceQuota for so many Jobs of this size at a time."""
    total = (job.times(max_active_jobs) + dispatcher_pod.SIZE.times(DISPATCHER_PODS)).amounts()
    return {
        "hard": {
            "count/jobs.batch": str(max_active_jobs + FINISHED_JOBS),
            "pods": str(max_active_jobs + DISPATCHER_PODS),
            **{f"{kind}.{resource}": amount for resource, amount in total.items() for kind in ("requests", "limits")},
            # no disk that outlives its pod, no door
            "persistentvolumeclaims": "0",
            "services": "0",
        }
    }
