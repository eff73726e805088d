"""The settings of a stack as values: what the components are built from, whatever their source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
from etl_runtime import contract

from etl_infra.naming import Home


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Where tasks and pods run, and what they may reach besides a database."""

    vpc_id: str
    private_subnet_ids: tuple[str, ...]
    aws_endpoint_cidrs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BoundarySettings:
    """From where dumps may be reached at all: this organisation, these VPC endpoints; None and () set no limit."""

    organisation_id: str | None
    vpc_endpoint_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ProtectionSettings:
    """Where data is personal by definition: environments by their names, and accounts whatever is deployed there.

    `allowed_environment` is the one into which cleaned dumps may be loaded all the same, "" if there is none.
    """

    account_ids: tuple[str, ...]
    allowed_environment: str

    def covers(self, environment: str, account_id: str) -> bool:
        """Whether an environment of this name, in this account, is protected."""
        return environment in contract.PROTECTED_ENVIRONMENTS or account_id in self.account_ids


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """The images by digest, and the ARNs of the repositories that hold them."""

    migrator: str
    transform: str
    dispatcher: str
    repository_arns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """Size and time of one Fargate task: CPU units, MiB, GiB, parallel jobs, minutes."""

    cpu: int
    memory_mib: int
    storage_gib: int
    jobs: int
    timeout_minutes: int


@dataclass(frozen=True, kw_only=True)
class NewDatabaseSettings:
    """Size of a created database."""

    instance_class: str
    storage_gib: int
    engine_version: str


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """One database and how to sign in: adopted by `instance_identifier`, or created as `new` says.

    `security_group_id` is the group of an adopted one that admits the task, None where it has one group alone.
    """

    instance_identifier: str | None
    security_group_id: str | None
    new: NewDatabaseSettings | None
    name: str
    user: str
    authentication: str
    credentials_secret_arn: str | None


@dataclass(frozen=True, kw_only=True)
class NightlySettings:
    """When a dump is taken by itself, in which time zone, and for which load environment."""

    expression: str
    timezone: str
    load_environment: str


@dataclass(frozen=True, kw_only=True)
class ExtractSettings:
    """What the extract stage needs."""

    source: DatabaseSettings
    task: TaskSettings
    raw_retention_days: int
    load_buckets: Mapping[str, contract.LoadBucket]
    nightly: NightlySettings | None


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """The Kubernetes cluster in which dumps are cleaned.

    Its API is reached at `service_address`, and behind that in `api_cidrs`; a DNS cache of the node, if any, answers at
    `node_dns_address`.

    Its service accounts assume their roles by an IAM OIDC provider (IRSA) or by EKS Pod Identity: one is set.
    """

    context: str
    namespace: str
    api_cidrs: tuple[str, ...]
    service_address: str
    node_dns_address: str | None
    monitoring_namespace: str
    oidc_provider_arn: str | None
    eks_cluster_name: str | None


@dataclass(frozen=True, kw_only=True)
class TransformSettings:
    """What the transform stage needs. Sizes are of one pod: thousandths of a core, MiB, GiB."""

    cluster: ClusterSettings
    max_active_jobs: int
    cpu_millis: int
    memory_mib: int
    storage_gib: int
    jobs: int
    proof_scope: str
    timeout_minutes: int
    scrub_salt: pulumi.Output[str]
    scrub_directory: Path


@dataclass(frozen=True, kw_only=True)
class LoadSettings:
    """What the load stage needs.

    `post_load_scripts` is the text of POST_LOAD_SCRIPTS, "" where there are none; `protected_load_target` is what the
    task of a protected environment agrees to.
    """

    target: DatabaseSettings
    task: TaskSettings
    transform_role_arns: tuple[str, ...]
    dispatcher_role_arns: tuple[str, ...]
    clean_retention_days: int
    mode: str
    keep_previous_hours: int
    keep_previous_most: int
    post_load_scripts: str
    protected_load_target: str | None
    allowed_rules: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AccessSettings:
    """Who may drive the pipeline."""

    principal_arns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """The whole configuration of one stack; a part that is off is None."""

    home: Home
    protection: ProtectionSettings
    network: NetworkSettings
    boundary: BoundarySettings
    images: ImageSettings
    tls_mode: str
    ecs_exec_enabled: bool
    log_retention_days: int
    access_log_bucket: str | None
    alarm_emails: tuple[str, ...]
    deployer_role_arns: tuple[str, ...]
    extract: ExtractSettings | None
    transform: TransformSettings | None
    load: LoadSettings | None
    access: AccessSettings | None

    @property
    def is_protected(self) -> bool:
        """Whether data-bearing resources may only be deleted after a person has unprotected them."""
        return self.protection.covers(self.home.environment, self.home.account_id)


def roles_outside_network(stack: StackSettings, stage: str) -> list[str]:
    """The roles that ask for a stage's manifests from outside of every VPC: the state machine's, and Jenkins'."""
    return [stack.home.role_arn(noun) for noun in (f"{stage}-states", *(("jenkins",) if stack.access else ()))]
