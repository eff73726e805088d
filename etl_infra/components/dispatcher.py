"""Dispatcher: the program that turns messages into Jobs, the template it stamps, and the one right that it has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import pulumi
import pulumi_kubernetes as k8s
import yaml
from etl_runtime import contract
from etl_runtime.contract import Env

from etl_infra.components.object_meta import object_meta
from etl_infra.documents.dispatcher_pod import (
    JOB_FILE,
    JOB_PATH,
    METRICS_PORT,
    SERVICE_ACCOUNT,
    DispatcherPod,
    deployment_spec,
)
from etl_infra.documents.iam import Text

JOB_CONFIG_MAP: Final = "transform-job"


@dataclass(frozen=True, kw_only=True)
class DispatcherArgs:
    """The image, the Job template that the program stamps, and its environment but for what the template decides."""

    namespace: str
    namespace_name: pulumi.Input[str]
    image: str
    job_template: Mapping[str, Any]
    environment: Mapping[Env, Text]


class Dispatcher(pulumi.ComponentResource):
    """A Deployment of one replica.

    Defaults:
        - may create, get and list Jobs of its namespace, and nothing else: no delete, no secrets, no pods
        - recreated rather than rolled, so that two never run side by side for long
    """

    def __init__(self, name: str, args: DispatcherArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("etl:index:Dispatcher", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        metadata = object_meta(contract.DISPATCHER_CONTAINER, contract.DISPATCHER_CONTAINER, args.namespace_name)
        # the one document that people read with kubectl: YAML instead of JSON
        template = pulumi.Output.from_input(dict(args.job_template)).apply(
            lambda job: yaml.safe_dump(job, sort_keys=False)
        )
        config = k8s.core.v1.ConfigMap(
            f"{name}-job-template",
            metadata=object_meta(contract.DISPATCHER_CONTAINER, JOB_CONFIG_MAP, args.namespace_name),
            data={JOB_FILE: template},
            opts=child,
        )
        role = k8s.rbac.v1.Role(
            f"{name}-role",
            metadata=metadata,
            rules=[{"api_groups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list"]}],
            opts=child,
        )
        binding = k8s.rbac.v1.RoleBinding(
            f"{name}-role-binding",
            metadata=metadata,
            role_ref={
                "api_group": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": role.metadata.apply(lambda role_metadata: str(role_metadata.name)),
            },
            subjects=[{"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": args.namespace_name}],
            opts=child,
        )
        environment: dict[Env, Text] = {
            **args.environment,
            Env.JOB_NAMESPACE: args.namespace,
            Env.JOB_TEMPLATE: f"{JOB_PATH}/{JOB_FILE}",
            Env.METRICS_PORT: str(METRICS_PORT),
        }
        spec = deployment_spec(
            DispatcherPod(
                image=args.image,
                job_config_map=JOB_CONFIG_MAP,
                template_digest=template.apply(lambda text: hashlib.sha256(text.encode()).hexdigest()),
                environment=environment,
            )
        )
        k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=cast(Any, spec),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[binding, config]),
        )
        self.register_outputs({})
