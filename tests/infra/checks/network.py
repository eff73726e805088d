"""Security groups and created databases: who reaches what over the network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from tests.infra.checks.registry import check, each
from tests.infra.engine import Deployment

WITHOUT_QUERIES = {
    "log_connections": "1",
    "log_disconnections": "1",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_error_statement": "panic",
}
DESCRIPTION = re.compile(r"[a-zA-Z0-9. _:/()#,@\[\]+=&;{}!$*-]{1,255}")
"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html"""
PRIVATE_SUBNETS = ["subnet-0d00000000000000a", "subnet-0d00000000000000b"]
DATABASE_LOGS = ["postgresql", "upgrade"]


POSTGRES = {"ipProtocol": "tcp", "fromPort": 5432, "toPort": 5432}
HTTPS = {"ipProtocol": "tcp", "fromPort": 443, "toPort": 443}
ENDPOINTS = ["10.10.48.0/24", "10.10.49.0/24"]
S3 = "pl-0500000000000000a"
DATABASES = {"extract": "extract-source-security-group-id", "load": "load-target-security-group-id"}


def rules(d: Deployment, kind: str, stage: str) -> list[dict[str, Any]]:
    """The rules of a task of one stage, without what they say of themselves, in a certain order."""
    return in_order(r.inputs for r in d.all(kind) if r.name.startswith(f"{stage}-"))


def in_order(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rules without their descriptions, sorted, so that equal sets are equal lists."""
    return sorted(
        ({key: rule[key] for key in sorted(rule) if key != "description"} for rule in found),
        key=repr,
    )


@check("nobody enters a task; a database is entered from a task's group alone")
def _(d: Deployment) -> Iterator[str]:
    for stage, database in DATABASES.items():
        task = f"{stage}-task-security-group-id"
        wanted = [{**POSTGRES, "securityGroupId": database, "referencedSecurityGroupId": task}]
        if rules(d, "SecurityGroupIngressRule", stage) != wanted:
            yield stage
    for group in d.all("ec2/securityGroup:SecurityGroup"):
        if {"ingress", "egress"} & set(group.inputs) or group.inputs.get("vpcId") != "vpc-0d000000000000000":
            yield group.name


@check("a task goes out to its database, to named ranges of endpoints and to S3, nowhere else")
def _(d: Deployment) -> Iterator[str]:
    for stage, database in DATABASES.items():
        task = {"securityGroupId": f"{stage}-task-security-group-id"}
        wanted = [
            {**task, **POSTGRES, "referencedSecurityGroupId": database},
            *({**task, **HTTPS, "cidrIpv4": cidr} for cidr in ENDPOINTS),
            {**task, **HTTPS, "prefixListId": S3},
        ]
        if rules(d, "SecurityGroupEgressRule", stage) != in_order(wanted):
            yield stage


@check("a security group and each of its rules says what it is for, in letters that EC2 takes")
def _(d: Deployment) -> Iterator[str]:
    for kind in ("ec2/securityGroup:SecurityGroup", "SecurityGroupEgressRule", "SecurityGroupIngressRule"):
        yield from each(d, kind, lambda r: DESCRIPTION.fullmatch(r.inputs.get("description", "")))


def parameters(d: Deployment) -> Iterator[tuple[str, dict[str, str]]]:
    for group in d.all("ParameterGroup"):
        yield group.name, {entry["name"]: entry["value"] for entry in group.inputs["parameters"]}


@check("a created database takes TLS alone")
def _(d: Deployment) -> Iterator[str]:
    yield from (name for name, given in parameters(d) if given.get("rds.force_ssl") != "1")
    groups = {r.inputs.get("name"): r.inputs.get("family") for r in d.all("ParameterGroup")}
    # without its group an instance has RDS' own parameters
    yield from each(
        d,
        "rds/instance:Instance",
        lambda r: groups.get(r.inputs.get("parameterGroupName")) == f"postgres{r.inputs.get('engineVersion')}",
    )


@check("a created database is not public")
def _(d: Deployment) -> Iterator[str]:
    subnets = {r.inputs.get("name"): r.inputs["subnetIds"] for r in d.all("SubnetGroup")}
    for instance in d.all("rds/instance:Instance"):
        given, stage = instance.inputs, instance.name.partition("-")[0]
        if (
            given.get("publiclyAccessible") is not False
            or given.get("vpcSecurityGroupIds") != [DATABASES[stage]]
            or subnets.get(given.get("dbSubnetGroupName")) != PRIVATE_SUBNETS
        ):
            yield instance.name


@check("a created database stands in two zones, and listens where its task calls")
def _(d: Deployment) -> Iterator[str]:
    wanted = {"multiAz": True, "port": 5432, "engine": "postgres"}
    return each(d, "rds/instance:Instance", lambda r: wanted.items() <= r.inputs.items())


@check("a created database takes IAM sign-in, and its master password is RDS's secret")
def _(d: Deployment) -> Iterator[str]:
    return each(
        d,
        "rds/instance:Instance",
        lambda r: (
            r.inputs.get("iamDatabaseAuthenticationEnabled") is True
            and r.inputs.get("manageMasterUserPassword") is True
            and "password" not in r.inputs
        ),
    )


@check("a created database is encrypted with a key of its own")
def _(d: Deployment) -> Iterator[str]:
    return each(
        d,
        "rds/instance:Instance",
        lambda r: (
            r.inputs.get("storageEncrypted") is True
            and {
                r.inputs.get(key, "").rpartition("/")[2]
                for key in ("kmsKeyId", "masterUserSecretKmsKeyId", "performanceInsightsKmsKeyId")
            }
            == {r.name.replace("-instance", "-data-key")}
        ),
    )


@check("a created database exports its logs, to groups that are there")
def _(d: Deployment) -> Iterator[str]:
    groups = {r.inputs["name"] for r in d.all("LogGroup")}
    for instance in d.all("rds/instance:Instance"):
        prefix = f"/aws/rds/instance/{instance.inputs['identifier']}/"
        if instance.inputs.get("enabledCloudwatchLogsExports") != DATABASE_LOGS:
            yield instance.name
        yield from (log for log in DATABASE_LOGS if prefix + log not in groups)


@check("a created database logs the text of no query")
def _(d: Deployment) -> Iterator[str]:
    yield from (name for name, given in parameters(d) if not WITHOUT_QUERIES.items() <= given.items())


@check("a created database is backed up, and kept up to date")
def _(d: Deployment) -> Iterator[str]:
    return each(
        d,
        "rds/instance:Instance",
        lambda r: (
            r.inputs.get("backupRetentionPeriod", 0) >= 7
            and r.inputs.get("autoMinorVersionUpgrade") is True
            and r.inputs.get("copyTagsToSnapshot") is True
        ),
    )


@check("a created database is not deleted in a protected environment, nor without a last snapshot")
def _(d: Deployment) -> Iterator[str]:
    return each(
        d,
        "rds/instance:Instance",
        lambda r: (
            r.inputs.get("deletionProtection") is True
            and r.inputs.get("skipFinalSnapshot") is False
            and r.inputs.get("finalSnapshotIdentifier") == f"{r.inputs['identifier']}-final"
        ),
    )
