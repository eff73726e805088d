"""PipelineNamespace: the namespace of the dispatcher and its Jobs, closed and bounded before anything runs in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

import pulumi
import pulumi_kubernetes as k8s
from etl_runtime import contract

from etl_infra.components.object_meta import object_meta
from etl_infra.documents.network_policy import Ways, network_policies
from etl_infra.documents.pod import PodSize
from etl_infra.documents.quota import quota

RESTRICTED: Final = "restricted"


@dataclass(frozen=True, kw_only=True)
class PipelineNamespaceArgs:
    """Name of the namespace, how many Jobs of which size may run in it at a time, and where its pods may go."""

    namespace: str
    max_active_jobs: int
    job_size: PodSize
    ways: Ways


class PipelineNamespace(pulumi.ComponentResource):
    """A namespace that holds the pipeline and nothing else.

    Defaults:
        - pods must meet the restricted pod security standard
        - pods, kept Jobs, and the CPU, memory and disk of all of them are bounded by quota; volumes that last and
          services are not to be had
        - no traffic in or out but by a named way
    """

    name: pulumi.Output[str]

    def __init__(self, name: str, args: PipelineNamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:PipelineNamespace", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        modes = ("enforce", "audit", "warn")
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={
                "name": args.namespace,
                "labels": {
                    contract.NAME_LABEL: contract.MIGRATOR_NAME,
                    **{f"pod-security.kubernetes.io/{mode}": RESTRICTED for mode in modes},
                },
            },
            opts=child,
        )
        self.name = pulumi.Output.from_input(namespace.metadata.name)
        k8s.core.v1.ResourceQuota(
            f"{name}-quota",
            metadata=object_meta("quota", contract.MIGRATOR_NAME, self.name),
            spec=cast(Any, quota(args.max_active_jobs, args.job_size)),
            opts=child,
        )
        for way, spec in network_policies(args.ways).items():
            k8s.networking.v1.NetworkPolicy(
                f"{name}-{way}",
                metadata=object_meta("network", way, self.name),
                spec=cast(Any, spec),
                opts=child,
            )
        self.register_outputs({"name": self.name})
