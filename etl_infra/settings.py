"""The reader of a stack's configuration: no module but this and the stages' readers knows its keys.

Every fault is reported at once.
"""

from __future__ import annotations

from etl_runtime import contract

from etl_infra import naming
from etl_infra.aws_limits import LOG_RETENTION_DAYS
from etl_infra.setting_forms import (
    ACCOUNT_ID,
    BUCKET_NAME,
    ROLE_ARN,
    SSL_MODES,
    is_environment,
    ranges,
    refuse_overlap,
)
from etl_infra.stack_file import SettingsError, StackFile
from etl_infra.stack_settings import (
    AccessSettings,
    BoundarySettings,
    ImageSettings,
    NetworkSettings,
    ProtectionSettings,
    StackSettings,
)
from etl_infra.stage_settings import read_extract, read_load, read_transform

__all__ = ["SettingsError", "load_settings"]


def load_settings() -> StackSettings:
    """Read the configuration of the stack that runs.

    Raises:
        SettingsError: the configuration has faults; every one is named.
    """
    file = StackFile()
    environment = file.text("environment", required=False) or file.stack
    if not is_environment(environment):
        file.refuse("environment", f"must be a lower-case name of at most 16 characters, got {environment!r}")
    extract, transform, load = (file.flag(f"{stage}Enabled") for stage in ("extract", "transform", "load"))
    if transform and not extract:
        file.refuse("transformEnabled", "needs extractEnabled: dumps are cleaned where they are taken")
    if not (extract or load):
        file.refuse("extractEnabled", "and loadEnabled are both false: the stack would be empty")
    region = file.text("awsRegion", r"[a-z]{2}(-[a-z]+)+-\d", "a region such as eu-west-2")
    account_id = file.text("awsAccountId", ACCOUNT_ID, "twelve digits")
    protection = _protection(file, environment, account_id)
    settings = StackSettings(
        protection=protection,
        home=naming.Home(environment=environment, account_id=account_id, region=region),
        network=_network(file),
        boundary=_boundary(file),
        images=_images(file, region, transform=transform),
        tls_mode=file.choice("tlsMode", SSL_MODES),
        ecs_exec_enabled=file.flag("ecsExecEnabled"),
        log_retention_days=int(file.choice("logRetentionDays", map(str, LOG_RETENTION_DAYS))),
        access_log_bucket=file.text("accessLogBucket", BUCKET_NAME, "a bucket's name", required=False) or None,
        alarm_emails=file.texts("alarmEmails", r"[^@\s]+@[^@\s]+", "e-mail addresses"),
        deployer_role_arns=file.texts("deployerRoleArns", ROLE_ARN, "ARNs of roles", at_least=1),
        extract=read_extract(file, protection) if extract else None,
        transform=read_transform(file, account_id) if transform else None,
        load=read_load(file, environment, account_id, protection) if load else None,
        access=_access(file),
    )
    _check_own_load_bucket(file, settings)
    _check_override(file, settings)
    _check_ways(file, settings)
    file.finish()
    return settings


def _access(file: StackFile) -> AccessSettings | None:
    principal_arns = file.texts("jenkinsPrincipalArns", ROLE_ARN, "ARNs of roles")
    return AccessSettings(principal_arns=principal_arns) if principal_arns else None


def _network(file: StackFile) -> NetworkSettings:
    return NetworkSettings(
        vpc_id=file.text("vpcId", r"vpc-[0-9a-f]{8,17}", "the id of a VPC"),
        private_subnet_ids=file.texts("privateSubnetIds", r"subnet-[0-9a-f]{8,17}", "ids of subnets", at_least=2),
        aws_endpoint_cidrs=ranges(file, "awsEndpointCidrs"),
    )


def _boundary(file: StackFile) -> BoundarySettings:
    return BoundarySettings(
        organisation_id=file.text("organisationId", r"o-[a-z0-9]{10,32}", "an id such as o-a1b2c3d4e5", required=False)
        or None,
        vpc_endpoint_ids=file.texts("s3VpcEndpointIds", r"vpce-[0-9a-f]{8,17}", "ids of VPC endpoints"),
    )


def _images(file: StackFile, region: str, *, transform: bool) -> ImageSettings:
    accounts = {name: str(account) for name, account in file.mapping("imageRepositoryAccounts").items()}
    if not accounts:
        file.refuse("imageRepositoryAccounts", "is required: {<environment>: <account id>}")
    for name, account in accounts.items():
        file.matches("imageRepositoryAccounts", account, ACCOUNT_ID, f"{name} must be twelve digits")
    images = {name: str(image) for name, image in file.mapping("images").items()}
    registries = "|".join(sorted(set(accounts.values())))
    digest = rf"({registries})\.dkr\.ecr\.{region}\.amazonaws\.com/{contract.MIGRATOR_NAME}@sha256:[0-9a-f]{{64}}"
    for name in ("migrator", "transform", "dispatcher") if transform else ("migrator",):
        why = f"{name} must be a digest in repository {contract.MIGRATOR_NAME} of one of imageRepositoryAccounts"
        file.matches("images", images.get(name, ""), digest, why)
    return ImageSettings(
        migrator=images.get("migrator", ""),
        transform=images.get("transform", ""),
        dispatcher=images.get("dispatcher", ""),
        repository_arns=naming.repository_arns(region, accounts.values()),
    )


def _protection(file: StackFile, environment: str, account_id: str) -> ProtectionSettings:
    accounts = file.texts("protectedAccountIds", ACCOUNT_ID, "account ids, twelve digits", at_least=1)
    if environment in contract.PROTECTED_ENVIRONMENTS and account_id not in accounts:
        file.refuse("protectedAccountIds", f"must hold awsAccountId, since {environment} is a protected environment")
    return ProtectionSettings(account_ids=accounts, allowed_environment=file.text("allowProtectedLoad", required=False))


def _check_override(file: StackFile, settings: StackSettings) -> None:
    """An override that names nothing protected is a mistake, and would be one in force some day."""
    loaded = {name: bucket.owner for name, bucket in settings.extract.load_buckets.items()} if settings.extract else {}
    if settings.load:
        loaded[settings.home.environment] = settings.home.account_id
    allowed = settings.protection.allowed_environment
    if allowed and not (allowed in loaded and settings.protection.covers(allowed, loaded[allowed])):
        file.refuse("allowProtectedLoad", f"names {allowed!r}, which is no protected environment that this stack fills")


def _check_ways(file: StackFile, settings: StackSettings) -> None:
    """What every pod may reach must not be where the cluster's API is, which the dispatcher alone may reach."""
    if settings.transform is None:
        return
    cluster = settings.transform.cluster
    refuse_overlap(
        file,
        "awsEndpointCidrs",
        settings.network.aws_endpoint_cidrs,
        (*cluster.api_cidrs, f"{cluster.service_address}/32"),
        "the transform would reach the cluster's API",
    )


def _check_own_load_bucket(file: StackFile, settings: StackSettings) -> None:
    """A stack with both stages writes to the bucket that it creates, or its dumps would go astray."""
    if settings.extract is None or settings.load is None:
        return
    home = settings.home
    own = home.bucket("load")
    if settings.extract.load_buckets.get(home.environment, own) != own:
        file.refuse(
            "loadBuckets",
            f"{home.environment} must be the bucket that this stack creates: {own.name} of {own.owner}",
        )
