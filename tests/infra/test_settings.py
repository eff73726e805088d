"""The settings: every fault is named by stack file and key, all at once; the declared keys are those that are read."""
# ruff: noqa: E501 - a setting and its fault stand on one line

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from etl_runtime import contract

from etl_infra.settings import SettingsError, load_settings
from etl_infra.stack_settings import StackSettings
from tests.infra.engine import ROOT, SALT, set_config, stack_config

ACCOUNT = "473251818902"
IMAGE = f"{ACCOUNT}.dkr.ecr.eu-west-2.amazonaws.com/postgres-etl@sha256:{'a' * 64}"


def load(stack: str, rules: Path, **changes: Any) -> StackSettings:
    """The settings of a stack with some of its keys changed; None removes one."""
    config = {**stack_config(stack), "scrubDirectory": str(rules), **changes}

    async def read() -> StackSettings:
        set_config(stack, {key: value for key, value in config.items() if value is not None})
        return load_settings()

    with asyncio.Runner() as runner:  # a secret is an Output, which needs a loop
        return runner.run(read())


def faults(stack: str, rules: Path, **changes: Any) -> list[str]:
    """The lines of the error that such settings raise."""
    with pytest.raises(SettingsError) as error:
        load(stack, rules, **changes)
    return str(error.value).splitlines()


FAULTS: list[tuple[str, dict[str, Any], str]] = (
    [
        ("dev", {"awsAccountId": None}, "awsAccountId is required: twelve digits"),
        ("dev", {"awsAccountId": "4732"}, "awsAccountId must be twelve digits, got '4732'"),
        ("dev", {"awsRegion": "London"}, "awsRegion must be a region such as eu-west-2, got 'London'"),
        ("dev", {"vpcId": "vpc-?"}, "vpcId must be the id of a VPC, got 'vpc-?'"),
        ("dev", {"privateSubnetIds": None}, "privateSubnetIds is required: a list"),
        ("dev", {"privateSubnetIds": "a"}, "privateSubnetIds must be a list"),
        ("dev", {"privateSubnetIds": ["subnet-0000000a"]}, "privateSubnetIds must hold at least 2: ids of subnets"),
        ("dev", {"privateSubnetIds": ["subnet-0000000a"] * 2}, "privateSubnetIds holds an entry twice"),
        ("dev", {"privateSubnetIds": ["a", "b"]}, "privateSubnetIds must hold ids of subnets, got 'a'"),
        ("dev", {"awsEndpointCidrs": ["0.0.0.0/0"]}, "awsEndpointCidrs must hold ranges of /16 or narrower, got '0.0.0.0/0'"),
        ("dev", {"awsEndpointCidrs": ["999.1.1.1/24"]}, "awsEndpointCidrs must hold ranges of /16 or narrower, got '999.1.1.1/24'"),
        ("dev", {"awsEndpointCidrs": ["10.0.0.5/16"]}, "awsEndpointCidrs must hold ranges of /16 or narrower, got '10.0.0.5/16'"),
        (
            "dev",
            {"awsEndpointCidrs": ["10.10.0.0/16"]},
            "awsEndpointCidrs holds 10.10.0.0/16, which meets 10.10.33.0/24: the transform would reach the cluster's API",
        ),
        (
            "dev",
            {"awsEndpointCidrs": ["172.20.0.0/24"]},
            "awsEndpointCidrs holds 172.20.0.0/24, which meets 172.20.0.1/32: the transform would reach the cluster's API",
        ),
        ("dev", {"environment": "Dev"}, "environment must be a lower-case name of at most 16 characters, got 'Dev'"),
        ("dev", {"tlsMode": "off"}, "tlsMode must be one of verify-full, require, disable, got 'off'"),
        ("dev", {"ecsExecEnabled": "yes"}, "ecsExecEnabled must be true or false, got 'yes'"),
        ("dev", {"logRetentionDays": 31}, "logRetentionDays must be one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, got '31'"),
        ("dev", {"accessLogBucket": "A_b"}, "accessLogBucket must be a bucket's name, got 'A_b'"),
        ("dev", {"alarmEmails": ["nobody"]}, "alarmEmails must hold e-mail addresses, got 'nobody'"),
        ("dev", {"jenkinsPrincipalArns": ["*"]}, "jenkinsPrincipalArns must hold ARNs of roles, got '*'"),
        ("dev", {"deployerRoleArns": None}, "deployerRoleArns is required: a list"),
        ("dev", {"imageRepositoryAccounts": {}}, "imageRepositoryAccounts is required: {<environment>: <account id>}"),
        ("dev", {"imageRepositoryAccounts": {"dev": ACCOUNT, "x": "1"}}, "imageRepositoryAccounts x must be twelve digits, got '1'"),
        ("dev", {"images": "one"}, "images must be an object"),
        (
            "dev",
            {"images": {"migrator": IMAGE, "transform": IMAGE, "dispatcher": "postgres-etl:latest"}},
            "images dispatcher must be a digest in repository postgres-etl of one of imageRepositoryAccounts, got 'postgres-etl:latest'",
        ),
        ("dev", {"sourceInstanceIdentifier": None}, "sourceInstanceIdentifier or sourceCreate: exactly one must be given"),
        ("dev", {"sourceCreate": "perhaps"}, "sourceCreate must be true or false, got 'perhaps'"),
        ("dev", {"sourceCreate": True}, "sourceInstanceIdentifier or sourceCreate: exactly one must be given"),
        ("dev", {"sourceInstanceIdentifier": "A b"}, "sourceInstanceIdentifier must be an RDS identifier, got 'A b'"),
        ("dev", {"sourceDatabaseName": None}, "sourceDatabaseName is required: a plain database name"),
        ("dev", {"sourceDatabaseName": "postgresql://x"}, "sourceDatabaseName must be a plain database name, got 'postgresql://x'"),
        ("dev", {"sourceUser": "-c"}, "sourceUser must be a plain role name, got '-c'"),
        ("dev", {"sourceAuthentication": "password"}, "sourceAuthentication must be one of iam, secret, got 'password'"),
        ("dev", {"sourceAuthentication": "secret"}, "sourceCredentialsSecretArn is required by sourceAuthentication secret"),
        (
            "dev",
            {"targetCredentialsSecretArn": f"arn:aws:secretsmanager:eu-west-2:{ACCOUNT}:secret:s-AbCdEf"},
            "targetCredentialsSecretArn has no use with targetAuthentication iam",
        ),
        ("dev", {"targetAuthentication": "secret", "targetCredentialsSecretArn": "hunter2"}, "targetCredentialsSecretArn must be the ARN of a secret, got 'hunter2'"),
        ("dev", {"extractCpu": 300}, "extractCpu must be one of 256, 512, 1024, 2048, 4096, 8192, 16384, got '300'"),
        ("dev", {"extractMemoryMib": 1000}, "extractMemoryMib must be 8192 to 30720 in Fargate's steps for 4096 CPU units, got 1000"),
        ("dev", {"extractStorageGib": 20}, "extractStorageGib must be 21 to 200, got 20"),
        ("dev", {"extractJobs": "many"}, "extractJobs must be a whole number, got 'many'"),
        ("dev", {"extractTimeoutMinutes": 0}, "extractTimeoutMinutes must be 1 to 2880, got 0"),
        ("dev", {"rawRetentionDays": 15}, "rawRetentionDays must be 1 to 14, got 15"),
        ("prod", {"loadBuckets": None}, "loadBuckets is required: {<environment>: {bucket, owner}}"),
        ("prod", {"loadBuckets": {"dev": {"owner": ACCOUNT}}}, "loadBuckets dev.bucket must be a bucket's name, got ''"),
        ("prod", {"loadBuckets": {"dev": {"bucket": "a-bucket", "owner": "me"}}}, "loadBuckets dev.owner must be twelve digits, got 'me'"),
        ("prod", {"loadBuckets": {"Dev ": {"bucket": "a-bucket", "owner": ACCOUNT}}}, "loadBuckets 'Dev ' is not the name of an environment"),
        (
            "prod",
            {"loadBuckets": {"prod": {"bucket": "a-bucket", "owner": ACCOUNT}}},
            "loadBuckets names prod, a protected environment, which allowProtectedLoad does not name",
        ),
        (
            "dev",
            {"loadBuckets": {"dev": {"bucket": "another", "owner": ACCOUNT}}},
            f"loadBuckets dev must be the bucket that this stack creates: postgres-etl-load-dev-{ACCOUNT} of {ACCOUNT}",
        ),
        ("prod", {"extractEnabled": False}, "transformEnabled needs extractEnabled: dumps are cleaned where they are taken"),
        ("sbx", {"loadEnabled": False}, "extractEnabled and loadEnabled are both false: the stack would be empty"),
        ("dev", {"kubernetesNamespace": "Postgres"}, "kubernetesNamespace must be a DNS label, got 'Postgres'"),
        ("dev", {"kubernetesApiCidrs": None}, "kubernetesApiCidrs must hold at least 1: ranges of /16 or narrower"),
        ("dev", {"kubernetesContext": None}, "kubernetesContext is required: the kubeconfig context of this environment's cluster"),
        ("dev", {"kubernetesServiceAddress": None}, "kubernetesServiceAddress is required: an IPv4 address"),
        ("dev", {"kubernetesServiceAddress": "172.20.0.256"}, "kubernetesServiceAddress must be an IPv4 address, and not that of a node's metadata, got '172.20.0.256'"),
        ("dev", {"nodeLocalDnsAddress": "169.254.169.254"}, "nodeLocalDnsAddress must be an IPv4 address, and not that of a node's metadata, got '169.254.169.254'"),
        (
            "dev",
            {"eksOidcProviderArn": "arn:aws:iam::974531504241:oidc-provider/oidc.eks.eu-west-2.amazonaws.com/id/A"},
            "eksOidcProviderArn is of another account than awsAccountId: no role here could trust it",
        ),
        ("dev", {"sourceSecurityGroupId": "default"}, "sourceSecurityGroupId must be the id of a security group, got 'default'"),
        (
            "dev",
            {"sourceInstanceIdentifier": None, "sourceCreate": True, "sourceSecurityGroupId": "sg-0000000a"},
            "sourceSecurityGroupId has no use with sourceCreate, whose group is the stack's own",
        ),
        (
            "dev",
            {"sourceInstanceIdentifier": None, "sourceCreate": True, "sourceDatabaseName": "market-place"},
            "sourceDatabaseName must be a plain database name, got 'market-place'",
        ),
        ("dev", {"monitoringNamespace": "_"}, "monitoringNamespace must be a DNS label, got '_'"),
        ("dev", {"eksOidcProviderArn": None}, "eksOidcProviderArn or eksClusterName: exactly one must be given"),
        ("dev", {"eksClusterName": "platform"}, "eksOidcProviderArn or eksClusterName: exactly one must be given"),
        ("dev", {"eksOidcProviderArn": "oidc"}, "eksOidcProviderArn must be the ARN of an IAM OIDC provider, got 'oidc'"),
        ("dev", {"eksClusterName": "-"}, "eksClusterName must be the name of an EKS cluster, got '-'"),
        ("dev", {"kubernetesApiCidrs": ["10.0.0.0/8"]}, "kubernetesApiCidrs must hold ranges of /16 or narrower, got '10.0.0.0/8'"),
        ("dev", {"organisationId": "r-1"}, "organisationId must be an id such as o-a1b2c3d4e5, got 'r-1'"),
        ("dev", {"s3VpcEndpointIds": ["vpc-1"]}, "s3VpcEndpointIds must hold ids of VPC endpoints, got 'vpc-1'"),
        ("dev", {"nightlySchedule": "daily"}, "nightlySchedule must be such as cron(0 2 * * ? *), got 'daily'"),
        ("dev", {"nightlySchedule": "rate(1 day)"}, "nightlyLoadEnvironment and nightlySchedule: both must be given, or neither"),
        ("dev", {"nightlyLoadEnvironment": "dev"}, "nightlyLoadEnvironment and nightlySchedule: both must be given, or neither"),
        ("dev", {"nightlySchedule": "rate(1 day)", "nightlyLoadEnvironment": "sbx"}, "nightlyLoadEnvironment must be one of loadBuckets: dev"),
        ("dev", {"nightlyTimezone": "+1"}, "nightlyTimezone must be a time zone such as Europe/London, got '+1'"),
        ("dev", {"maxActiveJobs": 0}, "maxActiveJobs must be 1 to 50, got 0"),
        ("dev", {"transformCpuMillis": 1}, "transformCpuMillis must be 250 to 64000, got 1"),
        ("dev", {"transformMemoryMib": 1}, "transformMemoryMib must be 512 to 262144, got 1"),
        ("dev", {"transformStorageGib": 0}, "transformStorageGib must be 1 to 16384, got 0"),
        ("dev", {"transformJobs": 0}, "transformJobs must be 1 to 64, got 0"),
        ("dev", {"transformTimeoutMinutes": 0}, "transformTimeoutMinutes must be 1 to 2880, got 0"),
        ("dev", {"scrubSalt": "short"}, "scrubSalt must be a secret of at least 32 characters (pulumi config set --secret)"),
        ("sbx", {"scrubDirectory": "/nowhere"}, "scrubDirectory must be a directory that holds columns.yaml, got '/nowhere'"),
        ("sbx", {"transformRoleArns": None}, "transformRoleArns must hold at least 1: ARNs of roles"),
        ("sbx", {"dispatcherRoleArns": ["root"]}, "dispatcherRoleArns must hold ARNs of roles, got 'root'"),
        ("sbx", {"cleanRetentionDays": 0}, "cleanRetentionDays must be 1 to 365, got 0"),
        ("sbx", {"keepPreviousHours": -1}, "keepPreviousHours must be 0 to 720, got -1"),
        ("sbx", {"loadMode": "inplace"}, "loadMode must be one of swap, in-place, got 'inplace'"),
        ("sbx", {"keepPreviousMost": 0}, "keepPreviousMost must be 1 to 10, got 0"),
        ("sbx", {"postLoadDirectory": "/nowhere"}, "postLoadDirectory must be a directory, got '/nowhere'"),
        ("sbx", {"loadMemoryMib": 12}, "loadMemoryMib must be 512 to 122880, got 12"),
        ("sbx", {"environment": "prod"}, "loadEnabled names prod, a protected environment, which allowProtectedLoad does not name"),
        ("sbx", {"environment": "prod", "allowProtectedLoad": "sbx"}, "loadEnabled names prod, a protected environment, which allowProtectedLoad does not name"),
        ("sbx", {"environment": "prod", "allowProtectedLoad": "prod"}, "protectedLoadTarget is required: <account>/<host>/<database>"),
        ("sbx", {"environment": "prod"}, "protectedAccountIds must hold awsAccountId, since prod is a protected environment"),
        ("sbx", {"protectedAccountIds": []}, "protectedAccountIds must hold at least 1: account ids, twelve digits"),
        ("sbx", {"protectedAccountIds": None}, "protectedAccountIds is required: a list"),
        ("sbx", {"allowProtectedLoad": "nonsense"}, "allowProtectedLoad names 'nonsense', which is no protected environment that this stack fills"),
        ("sbx", {"allowProtectedLoad": "sbx"}, "allowProtectedLoad names 'sbx', which is no protected environment that this stack fills"),
        ("sbx", {"allowProtectedLoad": "prod"}, "allowProtectedLoad names 'prod', which is no protected environment that this stack fills"),
        ("sbx", {"protectedLoadTarget": "665505400356/host/shop"}, "protectedLoadTarget has no use: sbx is not protected"),
        ("sbx", {"protectedLoadTarget": "prod"}, "protectedLoadTarget must be <account>/<host>/<database>, got 'prod'"),
        (
            "sbx",
            {"awsAccountId": "974531504241", "imageRepositoryAccounts": {"live": "974531504241"}, "environment": "live"},
            "loadEnabled leads live into 974531504241, a protected account, which allowProtectedLoad does not name",
        ),
        (
            "prod",
            {"loadBuckets": {"sbx": {"bucket": "a-bucket", "owner": "974531504241"}}},
            "loadBuckets leads sbx into 974531504241, a protected account, which allowProtectedLoad does not name",
        ),
        ("sbx", {"databaseInstanceClass": "large"}, "databaseInstanceClass must be a class such as db.t4g.medium, got 'large'"),
        ("sbx", {"databaseStorageGib": 1}, "databaseStorageGib must be 20 to 65536, got 1"),
        ("sbx", {"databaseEngineVersion": "17.7"}, "databaseEngineVersion must be a major version, such as 17, got '17.7'"),
        ("sbx", {"loadCpus": 2}, "loadCpus is not declared in Pulumi.yaml"),
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    ("stack", "changes", "fault"), FAULTS, ids=lambda value: ",".join(value) if isinstance(value, dict) else ""
)
def test_a_faulty_setting_is_named_by_stack_file_and_key(
    stack: str, changes: dict[str, Any], fault: str, rules: Path
) -> None:
    assert f"Pulumi.{stack}.yaml: postgres-etl:{fault}" in faults(stack, rules, **changes)


def test_every_key_that_has_a_form_has_a_faulty_value_among_these() -> None:
    def kind(key: str) -> str:
        """Keys of the two databases are read by one function, as are those of the two tasks."""
        side = re.sub("^(source|target)(?=[A-Z])", "side", key)
        return re.sub("^(extract|load)(?=Cpu|Memory|Storage|Jobs|Timeout|Enabled)", "stage", side)

    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    covered = {kind(fault.partition(" ")[0]) for _, _, fault in FAULTS}
    assert {key for key in declared if kind(key) not in covered} == set()


def test_every_fault_of_a_stack_is_reported_at_once(rules: Path) -> None:
    assert faults("sbx", rules, awsAccountId="1", loadJobs=0, targetUser=None, tlsMode="") == [
        "Pulumi.sbx.yaml: postgres-etl:awsAccountId must be twelve digits, got '1'",
        "Pulumi.sbx.yaml: postgres-etl:tlsMode must be one of verify-full, require, disable, got ''",
        "Pulumi.sbx.yaml: postgres-etl:targetUser is required: a plain role name",
        "Pulumi.sbx.yaml: postgres-etl:loadJobs must be 1 to 64, got 0",
    ]


def test_no_fault_repeats_the_salt(rules: Path) -> None:
    assert "hunter2" not in "\n".join(faults("dev", rules, scrubSalt="hunter2", loadJobs=0))


def test_a_long_value_is_cut_in_its_fault(rules: Path) -> None:
    (fault,) = faults("sbx", rules, targetUser="x " * 500)
    assert len(fault) < 150


def test_the_environment_is_the_stacks_name_unless_it_is_set(rules: Path) -> None:
    assert load("sbx", rules).home.environment == "sbx"
    assert load("sbx", rules, environment="blue").home.environment == "blue"


def test_a_protected_environment_is_loaded_only_when_named(rules: Path) -> None:
    target = "665505400356/marketplace-sbx.example.com/marketplace"
    settings = load(
        "sbx",
        rules,
        environment="prod",
        protectedAccountIds=["665505400356"],
        allowProtectedLoad="prod",
        protectedLoadTarget=target,
    )
    assert settings.load is not None
    assert settings.load.protected_load_target == target


def test_a_load_accepts_the_rules_of_its_own_directory_alone(rules: Path) -> None:
    settings = load("sbx", rules)
    assert settings.load is not None
    assert settings.load.allowed_rules == (contract.rules_digest(rules),)


def test_a_time_zone_may_have_a_number_in_its_name(rules: Path) -> None:
    nightly = {"nightlySchedule": "rate(1 day)", "nightlyLoadEnvironment": "dev", "nightlyTimezone": "Etc/GMT+1"}
    extract = load("dev", rules, **nightly).extract
    assert extract is not None
    assert extract.nightly is not None
    assert extract.nightly.timezone == "Etc/GMT+1"


def test_a_stack_that_only_loads_needs_one_image(rules: Path) -> None:
    assert load("sbx", rules, images={"migrator": IMAGE}).images.migrator == IMAGE


@pytest.mark.parametrize("stack", ["dev", "sbx", "prod"])
def test_a_stacks_file_is_sound(stack: str, rules: Path) -> None:
    assert load(stack, rules).home.environment == stack


def test_every_declared_key_has_a_type_or_a_default_and_a_description() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    for key, entry in declared.items():
        assert entry.get("description", "").endswith("."), key
        assert entry.get("type") in ("string", "integer", "boolean", "array") or entry["default"] == {}, key
        if entry.get("type") == "array":
            assert entry["items"] == {"type": "string"}, key


def test_the_declared_keys_are_exactly_those_that_are_read() -> None:
    declared = set(yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"])
    source = "".join((ROOT / "etl_infra" / f"{name}.py").read_text() for name in ("settings", "stage_settings"))
    read = set(
        re.findall(
            r'(?:file\.(?:text|texts|choice|integer|flag|mapping|secret)\(|(?:ranges|address)\(file, )"(\w+)"', source
        )
    )
    for side in ("source", "target"):
        read |= {side + tail for tail in re.findall(r'f"\{side\}(\w+)"', source)}
    for stage in ("extract", "transform", "load"):
        read |= {stage + tail for tail in re.findall(r'f"\{stage\}(\w+)"', source)}
    # the transform's pod has no Fargate size
    assert read - {"transformCpu"} == declared


def test_the_only_secret_of_the_stacks_is_encrypted_in_their_files() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert {key for key, entry in declared.items() if entry.get("secret")} == {"scrubSalt"}
    for stack in ("dev", "prod"):
        raw = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
        assert set(raw["postgres-etl:scrubSalt"]) == {"secure"}
        assert stack_config(stack)["scrubSalt"] == SALT


def test_rules_that_no_config_map_takes_are_refused_before_anything_is_registered(tmp_path: Path) -> None:
    (tmp_path / "columns.yaml").write_text("version: 1\n")
    (tmp_path / "10_latin.sql").write_bytes(b"-- caf\xe9\n")
    assert faults("dev", tmp_path) == [
        "Pulumi.dev.yaml: postgres-etl:scrubDirectory cannot be used: 10_latin.sql:1: not UTF-8 text"
    ]


POST_LOAD_FAULTS: dict[str, tuple[str, bytes, str]] = {
    "a password": (
        "10.sql",
        b"ALTER ROLE tester\n  PASSWORD 'synthetic';",
        "cannot be used: 10.sql sets a password, which whoever reads the task definition would know; a role outlasts "
        "every load, so make it once, by hand",
    ),
    "another encoding": ("10.sql", b"-- caf\xe9\n", "cannot be used: 10.sql is not UTF-8"),
    "a name that is no plain one": (
        "ten 10.sql",
        b"",
        "cannot be used: 'ten 10.sql' is not of the form [A-Za-z0-9][A-Za-z0-9_.-]{0,62}\\.sql",
    ),
    "too much": ("10.sql", b"-- " + b"x" * 32768, "must hold no more than 32 KiB of scripts"),
}


@pytest.mark.parametrize(("name", "content", "fault"), POST_LOAD_FAULTS.values(), ids=POST_LOAD_FAULTS.keys())
def test_post_load_scripts_that_no_load_takes_are_refused_before_anything_is_registered(
    tmp_path: Path, rules: Path, name: str, content: bytes, fault: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert faults("sbx", rules, postLoadDirectory=str(tmp_path)) == [
        f"Pulumi.sbx.yaml: postgres-etl:postLoadDirectory {fault}"
    ]
