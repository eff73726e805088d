"""The readers of the stages' settings: what each takes from the configuration, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from etl_runtime import contract

from etl_infra.aws_limits import FARGATE_MEMORY_MIB
from etl_infra.documents import scrub_rules
from etl_infra.setting_forms import (
    ACCOUNT_ID,
    BUCKET_NAME,
    DATABASE_WORD,
    DNS_LABEL,
    LOAD_TARGET,
    NEW_DATABASE_WORD,
    OIDC_PROVIDER_ARN,
    ROLE_ARN,
    SCHEDULE,
    SECRET_ARN,
    SECURITY_GROUP_ID,
    TIME_ZONE,
    address,
    is_environment,
    ranges,
)
from etl_infra.stack_file import PROJECT_DIRECTORY, StackFile
from etl_infra.stack_settings import (
    ClusterSettings,
    DatabaseSettings,
    ExtractSettings,
    LoadSettings,
    NewDatabaseSettings,
    NightlySettings,
    ProtectionSettings,
    TaskSettings,
    TransformSettings,
)

MOST_SCRIPT_BYTES: Final = 32 << 10
PASSWORD_IN_CLEAR: Final = r"(?i)\bpassword\s+e?'(?!SCRAM-SHA-256\$)"  # noqa: S105 - what one looks like


def read_extract(file: StackFile, protection: ProtectionSettings) -> ExtractSettings:
    """The settings of the extract stage; faults go to the file."""
    load_buckets = _load_buckets(file, protection)
    return ExtractSettings(
        source=_database(file, "source"),
        task=_task(file, "extract"),
        raw_retention_days=file.integer("rawRetentionDays", 1, 14),
        load_buckets=load_buckets,
        nightly=_nightly(file, load_buckets),
    )


def read_transform(file: StackFile, account_id: str) -> TransformSettings:
    """The settings of the transform stage; faults go to the file."""
    directory = PROJECT_DIRECTORY / file.text("scrubDirectory")
    _rules_digest(file)
    provider_arn = file.text("eksOidcProviderArn", OIDC_PROVIDER_ARN, "the ARN of an IAM OIDC provider", required=False)
    cluster_name = file.text("eksClusterName", r"[A-Za-z0-9][\w-]{0,99}", "the name of an EKS cluster", required=False)
    if bool(provider_arn) == bool(cluster_name):
        file.refuse("eksOidcProviderArn", "or eksClusterName: exactly one must be given")
    elif provider_arn and provider_arn.split(":")[4] != account_id:
        file.refuse("eksOidcProviderArn", "is of another account than awsAccountId: no role here could trust it")
    return TransformSettings(
        cluster=ClusterSettings(
            # the ambient context may be any cluster's: that of the stack is named
            context=file.text("kubernetesContext", meaning="the kubeconfig context of this environment's cluster"),
            namespace=file.text("kubernetesNamespace", DNS_LABEL, "a DNS label"),
            api_cidrs=ranges(file, "kubernetesApiCidrs"),
            service_address=address(file, "kubernetesServiceAddress", required=True),
            node_dns_address=address(file, "nodeLocalDnsAddress", required=False) or None,
            monitoring_namespace=file.text("monitoringNamespace", DNS_LABEL, "a DNS label"),
            oidc_provider_arn=provider_arn or None,
            eks_cluster_name=cluster_name or None,
        ),
        max_active_jobs=file.integer("maxActiveJobs", 1, 50),
        cpu_millis=file.integer("transformCpuMillis", 250, 64000),
        memory_mib=file.integer("transformMemoryMib", 512, 262144),
        storage_gib=file.integer("transformStorageGib", 1, 16384),
        jobs=file.integer("transformJobs", 1, 64),
        proof_scope=file.text(
            "transformProofScope", "|".join(contract.PROOF_SCOPES), " or ".join(contract.PROOF_SCOPES)
        ),
        timeout_minutes=file.integer("transformTimeoutMinutes", 1, 2880),
        scrub_salt=file.secret("scrubSalt", minimum_length=32),
        scrub_directory=directory,
    )


def read_load(file: StackFile, environment: str, account_id: str, protection: ProtectionSettings) -> LoadSettings:
    """The settings of the load stage; faults go to the file."""
    _refuse_protected(file, protection, "loadEnabled", environment, account_id)
    is_protected = protection.covers(environment, account_id)
    target = file.text("protectedLoadTarget", LOAD_TARGET, "<account>/<host>/<database>", required=is_protected)
    if target and not is_protected:
        file.refuse("protectedLoadTarget", f"has no use: {environment} is not protected")
    return LoadSettings(
        target=_database(file, "target"),
        task=_task(file, "load"),
        transform_role_arns=file.texts("transformRoleArns", ROLE_ARN, "ARNs of roles", at_least=1),
        dispatcher_role_arns=file.texts("dispatcherRoleArns", ROLE_ARN, "ARNs of roles"),
        clean_retention_days=file.integer("cleanRetentionDays", 1, 365),
        mode=file.choice("loadMode", contract.RESTORE_MODES),
        keep_previous_hours=file.integer("keepPreviousHours", 0, 720),
        keep_previous_most=file.integer("keepPreviousMost", 1, 10),
        post_load_scripts=_post_load_scripts(file),
        protected_load_target=target or None,
        allowed_rules=(_rules_digest(file),),
    )


def _post_load_scripts(file: StackFile) -> str:
    """They travel in the task definition, which holds 64 KiB, and which more people may read than a database."""
    directory = PROJECT_DIRECTORY / file.text("postLoadDirectory")
    if not directory.is_dir():
        file.refuse("postLoadDirectory", f"must be a directory, got {str(directory)!r}")
        return ""
    try:
        text = contract.post_load_text(directory)
    except contract.ContractError as error:
        file.refuse("postLoadDirectory", f"cannot be used: {error}")
        return ""
    scripts = contract.post_load_scripts(text)
    for name, body in scripts.items():
        if re.search(PASSWORD_IN_CLEAR, body):
            file.refuse(
                "postLoadDirectory",
                f"cannot be used: {name} sets a password, which whoever reads the task definition would know; "
                "a role outlasts every load, so make it once, by hand",
            )
    if len(text.encode()) > MOST_SCRIPT_BYTES:
        file.refuse("postLoadDirectory", f"must hold no more than {MOST_SCRIPT_BYTES >> 10} KiB of scripts")
    return text if scripts else ""


def _nightly(file: StackFile, load_buckets: Mapping[str, contract.LoadBucket]) -> NightlySettings | None:
    expression = file.text("nightlySchedule", SCHEDULE, "such as cron(0 2 * * ? *)", required=False)
    timezone = file.text("nightlyTimezone", TIME_ZONE, "a time zone such as Europe/London")
    environment = file.text("nightlyLoadEnvironment", required=False)
    if bool(expression) != bool(environment):
        file.refuse("nightlyLoadEnvironment", "and nightlySchedule: both must be given, or neither")
    elif environment and environment not in load_buckets:
        file.refuse("nightlyLoadEnvironment", f"must be one of loadBuckets: {', '.join(sorted(load_buckets))}")
    if not expression:
        return None
    return NightlySettings(expression=expression, timezone=timezone, load_environment=environment)


def _load_buckets(file: StackFile, protection: ProtectionSettings) -> dict[str, contract.LoadBucket]:
    buckets: dict[str, contract.LoadBucket] = {}
    for environment, entry in file.mapping("loadBuckets").items():
        fields = cast(dict[str, Any], entry) if isinstance(entry, dict) else {}
        bucket = contract.LoadBucket(str(fields.get("bucket", "")), str(fields.get("owner", "")))
        file.matches("loadBuckets", bucket.name, BUCKET_NAME, f"{environment}.bucket must be a bucket's name")
        file.matches("loadBuckets", bucket.owner, ACCOUNT_ID, f"{environment}.owner must be twelve digits")
        if not is_environment(environment):
            file.refuse("loadBuckets", f"{environment!r} is not the name of an environment")
        _refuse_protected(file, protection, "loadBuckets", environment, bucket.owner)
        buckets[environment] = bucket
    if not buckets:
        file.refuse("loadBuckets", "is required: {<environment>: {bucket, owner}}")
    return buckets


def _database(file: StackFile, side: str) -> DatabaseSettings:
    identifier = file.text(f"{side}InstanceIdentifier", r"[a-z][a-z0-9-]{0,62}", "an RDS identifier", required=False)
    create = file.flag(f"{side}Create")
    if create == bool(identifier):
        file.refuse(f"{side}InstanceIdentifier", f"or {side}Create: exactly one must be given")
    group = file.text(f"{side}SecurityGroupId", SECURITY_GROUP_ID, "the id of a security group", required=False)
    if create and group:
        file.refuse(f"{side}SecurityGroupId", f"has no use with {side}Create, whose group is the stack's own")
    authentication = file.choice(f"{side}Authentication", ("iam", "secret"))
    secret = file.text(f"{side}CredentialsSecretArn", SECRET_ARN, "the ARN of a secret", required=False)
    if authentication == "secret" and not create and not secret:
        file.refuse(f"{side}CredentialsSecretArn", f"is required by {side}Authentication secret")
    if authentication == "iam" and secret:
        file.refuse(f"{side}CredentialsSecretArn", f"has no use with {side}Authentication iam")
    new = NewDatabaseSettings(
        instance_class=file.text("databaseInstanceClass", r"db\.[a-z0-9]+\.[a-z0-9]+", "a class such as db.t4g.medium"),
        storage_gib=file.integer("databaseStorageGib", 20, 65536),
        engine_version=file.text("databaseEngineVersion", r"\d{2}", "a major version, such as 17"),
    )
    return DatabaseSettings(
        instance_identifier=identifier or None,
        new=new if create else None,
        security_group_id=group or None,
        name=file.text(f"{side}DatabaseName", NEW_DATABASE_WORD if create else DATABASE_WORD, "a plain database name"),
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


def _refuse_protected(
    file: StackFile, protection: ProtectionSettings, key: str, environment: str, account_id: str
) -> None:
    """A protected environment is one by its name, and by its account whatever the stack is called."""
    if environment == protection.allowed_environment:
        return
    if environment in contract.PROTECTED_ENVIRONMENTS:
        file.refuse(key, f"names {environment}, a protected environment, which allowProtectedLoad does not name")
    elif account_id in protection.account_ids:
        file.refuse(
            key, f"leads {environment} into {account_id}, a protected account, which allowProtectedLoad does not name"
        )
