"""Admission policies: which images the pipeline's namespace runs, as which service accounts, whoever asks.

The right to create Jobs is the right to run any image as any service account of the namespace. These rules take that
back: a Job is the transform's, of this very image; any other pod is of the pipeline's repository.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from etl_infra.documents import dispatcher_pod, transform_job


def admission_policies(namespace: str, job_image: str, images: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Name → spec of each ValidatingAdmissionPolicy.

    Args:
        namespace: whose name begins theirs, since they stand beside all namespaces.
        job_image: the one image, by digest, of a new Job.
        images: every image that the namespace runs, by digest.
    """
    accounts = [transform_job.SERVICE_ACCOUNT, dispatcher_pod.SERVICE_ACCOUNT]
    # A pod may be the second attempt of a Job that is older than the last deployment: its digest is not the newest.
    repositories = sorted({f"{image.partition('@')[0]}@sha256:" for image in images})
    ours = f"{json.dumps(repositories)}.exists(repository, container.image.startsWith(repository))"
    return {
        f"{namespace}-jobs": _policy(
            {"apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"], "operations": ["CREATE"]},
            "object.spec.template.spec",
            {
                f"a Job runs as {accounts[0]}": f"variables.pod.serviceAccountName == {json.dumps(accounts[0])}",
                "a Job runs the deployed image": _every_container(f"container.image == {json.dumps(job_image)}"),
                "a Job has no init container": "!has(variables.pod.initContainers)",
            },
        ),
        f"{namespace}-pods": _policy(
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "resources": ["pods", "pods/ephemeralcontainers"],
                "operations": ["CREATE", "UPDATE"],
            },
            "object.spec",
            {
                f"a pod runs as {' or '.join(accounts)}": f"variables.pod.serviceAccountName in {json.dumps(accounts)}",
                "a pod runs an image of the pipeline by its digest": _every_container(ours),
                "a pod has no init container": "!has(variables.pod.initContainers)",
                "nobody attaches a container to a pod": "!has(variables.pod.ephemeralContainers)",
            },
        ),
    }


def binding(policy: str, namespace: str) -> dict[str, Any]:
    """The spec of the binding that puts a policy in force in one namespace."""
    return {
        "policyName": policy,
        "validationActions": ["Deny", "Audit"],
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
    }


def _policy(rule: dict[str, Any], pod: str, rules: dict[str, str]) -> dict[str, Any]:
    return {
        # a rule that cannot be judged is a rule that is broken
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "variables": [{"name": "pod", "expression": pod}],
        "validations": [{"expression": expression, "message": message} for message, expression in rules.items()],
    }


def _every_container(condition: str) -> str:
    return f"variables.pod.containers.all(container, {condition})"
