"""The reader of a stack's configuration: the only module that knows its keys, reporting every fault at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from etl_runtime import contract

from etl_infra import naming
from etl_infra.aws_limits import FARGATE_MEMORY_MIB, LOG_RETENTION_DAYS
from etl_infra.documents import scrub_rules
from etl_infra.stack_file import PROJECT_DIRECTORY, SettingsError, StackFile
from etl_infra.stack_settings import (
    AccessSettings,
    BoundarySettings,
    ClusterSettings,
    DatabaseSettings,
    ExtractSettings,
    ImageSettings,
    LoadSettings,
    NetworkSettings,
    NewDatabaseSettings,
    NightlySettings,
    StackSettings,
    TaskSettings,
    TransformSettings,
)

__all__ = ["SettingsError", "load_settings"]

ACCOUNT_ID: Final = r"\d{12}"
ROLE_ARN: Final = r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+"
SECRET_ARN: Final = r"arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+"  # noqa: S105 - an ARN's form
OIDC_PROVIDER_ARN: Final = r"arn:aws:iam::\d{12}:oidc-provider/[\w./-]+"
CIDR_16_OR_NARROWER: Final = r"(\d{1,3}\.){3}\d{1,3}/(1[6-9]|2\d|3[0-2])"
BUCKET_NAME: Final = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
DNS_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DATABASE_WORD: Final = r"[A-Za-z_][A-Za-z0-9_-]{0,62}"
SCHEDULE: Final = r"(cron|rate)\([\w*?,/#\- ]+\)"
SSL_MODES: Final = ("verify-full", "require", "disable")


def load_settings() -> StackSettings:
    """Read the configuration of the stack that runs.

    Raises:
        SettingsError: the configuration has faults; every one is named.
    """
    file = StackFile()
    environment = file.text("environment", required=False) or file.stack
    if not _is_environment(environment):
        file.refuse("environment", f"must be a lower-case name of at most 16 characters, got {environment!r}")
    extract, transform, load = (file.flag(f"{stage}Enabled") for stage in ("extract", "transform", "load"))
    if transform and not extract:
        file.refuse("transformEnabled", "needs extractEnabled: dumps are cleaned where they are taken")
    if not (extract or load):
        file.refuse("extractEnabled", "and loadEnabled are both false: the stack would be empty")
    region = file.text("awsRegion", r"[a-z]{2}(-[a-z]+)+-\d", "a region such as eu-west-2")
    account_id = file.text("awsAccountId", ACCOUNT_ID, "twelve digits")
    settings = StackSettings(
        home=naming.Home(environment=environment, account_id=account_id, region=region),
        network=_network(file),
        boundary=_boundary(file),
        images=_images(file, region, transform=transform),
        tls_mode=file.choice("tlsMode", SSL_MODES),
        ecs_exec_enabled=file.flag("ecsExecEnabled"),
        log_retention_days=int(file.choice("logRetentionDays", map(str, LOG_RETENTION_DAYS))),
        access_log_bucket=file.text("accessLogBucket", BUCKET_NAME, "a bucket's name", required=False) or None,
        alarm_emails=file.texts("alarmEmails", r"[^@\s]+@[^@\s]+", "e-mail addresses"),
        extract=_extract(file) if extract else None,
        transform=_transform(file) if transform else None,
        load=_load(file, environment) if load else None,
        access=_access(file),
    )
    _check_own_load_bucket(file, settings)
    file.finish()
    return settings


def _access(file: StackFile) -> AccessSettings | None:
    principal_arns = file.texts("jenkinsPrincipalArns", ROLE_ARN, "ARNs of roles")
    return AccessSettings(principal_arns=principal_arns) if principal_arns else None


def _network(file: StackFile) -> NetworkSettings:
    return NetworkSettings(
        vpc_id=file.text("vpcId", r"vpc-[0-9a-f]{8,17}", "the id of a VPC"),
        private_subnet_ids=file.texts("privateSubnetIds", r"subnet-[0-9a-f]{8,17}", "ids of subnets", at_least=2),
        aws_endpoint_cidrs=file.texts("awsEndpointCidrs", CIDR_16_OR_NARROWER, "ranges of /16 or narrower", at_least=1),
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


def _extract(file: StackFile) -> ExtractSettings:
    load_buckets = _load_buckets(file)
    return ExtractSettings(
        source=_database(file, "source"),
        task=_task(file, "extract"),
        raw_retention_days=file.integer("rawRetentionDays", 1, 14),
        load_buckets=load_buckets,
        nightly=_nightly(file, load_buckets),
    )


def _nightly(file: StackFile, load_buckets: Mapping[str, contract.LoadBucket]) -> NightlySettings | None:
    expression = file.text("nightlySchedule", SCHEDULE, "such as cron(0 2 * * ? *)", required=False)
    timezone = file.text("nightlyTimezone", r"[A-Za-z_]+(/[A-Za-z_+-]+)*", "a time zone such as Europe/London")
    environment = file.text("nightlyLoadEnvironment", required=False)
    if bool(expression) != bool(environment):
        file.refuse("nightlyLoadEnvironment", "and nightlySchedule: both must be given, or neither")
    elif environment and environment not in load_buckets:
        file.refuse("nightlyLoadEnvironment", f"must be one of loadBuckets: {', '.join(sorted(load_buckets))}")
    if not expression:
        return None
    return NightlySettings(expression=expression, timezone=timezone, load_environment=environment)


def _load_buckets(file: StackFile) -> dict[str, contract.LoadBucket]:
    buckets: dict[str, contract.LoadBucket] = {}
    for environment, entry in file.mapping("loadBuckets").items():
        fields = cast(dict[str, Any], entry) if isinstance(entry, dict) else {}
        bucket = contract.LoadBucket(str(fields.get("bucket", "")), str(fields.get("owner", "")))
        file.matches("loadBuckets", bucket.name, BUCKET_NAME, f"{environment}.bucket must be a bucket's name")
        file.matches("loadBuckets", bucket.owner, ACCOUNT_ID, f"{environment}.owner must be twelve digits")
        if not _is_environment(environment):
            file.refuse("loadBuckets", f"{environment!r} is not the name of an environment")
        _refuse_protected(file, "loadBuckets", environment, bucket.owner)
        buckets[environment] = bucket
    if not buckets:
        file.refuse("loadBuckets", "is required: {<environment>: {bucket, owner}}")
    return buckets


def _transform(file: StackFile) -> TransformSettings:
    directory = PROJECT_DIRECTORY / file.text("scrubDirectory")
    _rules_digest(file)
    provider_arn = file.text("eksOidcProviderArn", OIDC_PROVIDER_ARN, "the ARN of an IAM OIDC provider", required=False)
    cluster_name = file.text("eksClusterName", r"[A-Za-z0-9][\w-]{0,99}", "the name of an EKS cluster", required=False)
    if bool(provider_arn) == bool(cluster_name):
        file.refuse("eksOidcProviderArn", "or eksClusterName: exactly one must be given")
    return TransformSettings(
        cluster=ClusterSettings(
            context=file.text("kubernetesContext", required=False) or None,
            namespace=file.text("kubernetesNamespace", DNS_LABEL, "a DNS label"),
            api_cidrs=file.texts("kubernetesApiCidrs", CIDR_16_OR_NARROWER, "ranges of /16 or narrower", at_least=1),
            monitoring_namespace=file.text("monitoringNamespace", DNS_LABEL, "a DNS label"),
            oidc_provider_arn=provider_arn or None,
            eks_cluster_name=cluster_name or None,
        ),
        max_active_jobs=file.integer("maxActiveJobs", 1, 50),
        cpu_millis=file.integer("transformCpuMillis", 250, 64000),
        memory_mib=file.integer("transformMemoryMib", 512, 262144),
        storage_gib=file.integer("transformStorageGib", 1, 16384),
        jobs=file.integer("transformJobs", 1, 64),
        timeout_minutes=file.integer("transformTimeoutMinutes", 1, 2880),
        scrub_salt=file.secret("scrubSalt", minimum_length=32),
        scrub_directory=directory,
    )


def _load(file: StackFile, environment: str) -> LoadSettings:
    _refuse_protected(file, "loadEnabled", environment, file.text("awsAccountId", required=False))
    return LoadSettings(
        target=_database(file, "target"),
        task=_task(file, "load"),
        transform_role_arns=file.texts("transformRoleArns", ROLE_ARN, "ARNs of roles", at_least=1),
        dispatcher_role_arns=file.texts("dispatcherRoleArns", ROLE_ARN, "ARNs of roles"),
        clean_retention_days=file.integer("cleanRetentionDays", 1, 365),
        keep_previous_hours=file.integer("keepPreviousHours", 0, 720),
        allow_protected_load=file.text("allowProtectedLoad", required=False) == environment,
        allowed_rules=(_rules_digest(file),),
    )


def _database(file: StackFile, side: str) -> DatabaseSettings:
    identifier = file.text(f"{side}InstanceIdentifier", r"[a-z][a-z0-9-]{0,62}", "an RDS identifier", required=False)
    create = file.flag(f"{side}Create")
    if create == bool(identifier):
        file.refuse(f"{side}InstanceIdentifier", f"or {side}Create: exactly one must be given")
    authentication = file.choice(f"{side}Authentication", ("iam", "secret"))
    secret = file.text(f"{side}CredentialsSecretArn", SECRET_ARN, "the ARN of a secret", required=False)
    if authentication == "secret" and not create and not secret:
        file.refuse(f"{side}CredentialsSecretArn", f"is required by {side}Authentication secret")
    if authentication == "iam" and secret:
        file.refuse(f"{side}CredentialsSecretArn", f"has no use with {side}Authentication iam")
    new = NewDatabaseSettings(
        instance_class=file.text("databaseInstanceClass", r"db\.[a-z0-9]+\.[a-z0-9]+", "a class such as db.t4g.medium"),
        storage_gib=file.integer("databaseStorageGib", 20, 65536),
        engine_version=file.text("databaseEngineVersion", r"\d{2}\.\d{1,2}", "major.minor, such as 17.7"),
    )
    return DatabaseSettings(
        instance_identifier=identifier or None,
        new=new if create else None,
        name=file.text(f"{side}DatabaseName", DATABASE_WORD, "a plain database name"),
        user=file.text(f"{side}User", DATABASE_WORD, "a plain role name"),
        authentication=authentication,
        credentials_secret_arn=secret or None,
    )


def _task(file: StackFile, stage: str) -> TaskSettings:
    cpu = int(file.choice(f"{stage}Cpu", map(str, FARGATE_MEMORY_MIB)))
    memory_mib = file.integer(f"{stage}MemoryMib", 512, 122880)
    if memory_mib not in FARGATE_MEMORY_MIB[cpu]:
        sizes = FARGATE_MEMORY_MIB[cpu]
        file.refuse(
            f"{stage}MemoryMib",
            f"must be {sizes[0]} to {sizes[-1]} in Fargate's steps for {cpu} CPU units, got {memory_mib}",
        )
    return TaskSettings(
        cpu=cpu,
        memory_mib=memory_mib,
        storage_gib=file.integer(f"{stage}StorageGib", 21, 200),
        jobs=file.integer(f"{stage}Jobs", 1, 64),
        timeout_minutes=file.integer(f"{stage}TimeoutMinutes", 1, 2880),
    )


def _rules_digest(file: StackFile) -> str:
    directory = PROJECT_DIRECTORY / file.text("scrubDirectory")
    if not (directory / contract.RULES_FILE).is_file():
        file.refuse("scrubDirectory", f"must be a directory that holds {contract.RULES_FILE}, got {str(directory)!r}")
        return ""
    faults = scrub_rules.faults(directory)
    for fault in faults:
        file.refuse("scrubDirectory", f"cannot be used: {fault}")
    return "" if faults else contract.rules_digest(directory)


def _refuse_protected(file: StackFile, key: str, environment: str, account_id: str) -> None:
    """A protected environment is one by its name, and by its account whatever the stack is called."""
    accounts = {name: str(account) for name, account in file.mapping("imageRepositoryAccounts").items()}
    allowed = file.text("allowProtectedLoad", required=False)
    for protected in sorted(contract.PROTECTED_ENVIRONMENTS - {allowed}):
        if environment == protected:
            file.refuse(key, f"names {protected}, a protected environment, which allowProtectedLoad does not name")
        elif accounts.get(protected) == account_id:
            file.refuse(key, f"leads to the account of {protected}, which allowProtectedLoad does not name")


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


def _is_environment(name: str) -> bool:
    try:
        contract.DumpPrefix(name, "execution", contract.DUMP_FILENAME)
    except contract.ContractError:
        return False
    return True
