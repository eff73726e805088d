"""WorkloadAdmission: the cluster's own refusal of images and service accounts that are not the pipeline's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s

from etl_infra.documents.admission_policy import admission_policies, binding
from etl_infra.naming import labels


@dataclass(frozen=True, kw_only=True)
class WorkloadAdmissionArgs:
    """The namespace, the image of its Jobs, and all images that run there, each by digest."""

    namespace: str
    job_image: str
    images: Sequence[str]


class WorkloadAdmission(pulumi.ComponentResource):
    """Validating admission policies, each bound to the one namespace.

    Defaults:
        - a Job runs the deployed image alone, as the transform's service account; nobody attaches a container to a pod
        - every other pod is of the pipeline's repository, by digest; what cannot be judged is refused
    """

    def __init__(self, name: str, args: WorkloadAdmissionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:WorkloadAdmission", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        for policy_name, spec in admission_policies(args.namespace, args.job_image, args.images).items():
            metadata = k8s.meta.v1.ObjectMetaArgs(name=policy_name, labels=labels("admission"))
            policy = k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
                f"{name}-{policy_name}", metadata=metadata, spec=cast(Any, spec), opts=child
            )
            k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
                f"{name}-{policy_name}-binding",
                metadata=metadata,
                spec=cast(Any, binding(policy_name, args.namespace)),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
            )
        self.register_outputs({})
