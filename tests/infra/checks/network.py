"""Security groups and created databases: who reaches what over the network."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from tests.infra.checks.registry import check, each
from tests.infra.engine import Deployment

WITHOUT_QUERIES = {"log_statement": "none", "log_min_duration_statement": "-1", "log_min_error_statement": "panic"}
DESCRIPTION = re.compile(r"[a-zA-Z0-9. _:/()#,@\[\]+=&;{}!$*-]{1,255}")
"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html"""
DATABASE_LOGS = ["postgresql", "upgrade"]


@check("nobody enters a task; a database is entered from a task's group alone")
def _(d: Deployment) -> Iterator[str]:
    tasks = {f"{r.name}-id" for r in d.all("ec2/securityGroup:SecurityGroup") if "-task-" in r.name}
    for rule in d.all("SecurityGroupIngressRule"):
        if rule.inputs["securityGroupId"] in tasks or rule.inputs.get("referencedSecurityGroupId") not in tasks:
            yield rule.name
    for group in d.all("ec2/securityGroup:SecurityGroup"):
        if {"ingress", "egress"} & set(group.inputs):
            yield group.name


@check("a task goes out to its database, to named ranges of endpoints and to S3, nowhere else")
def _(d: Deployment) -> Iterator[str]:
    for rule in d.all("SecurityGroupEgressRule"):
        ports = (rule.inputs["fromPort"], rule.inputs["toPort"])
        cidr = rule.inputs.get("cidrIpv4")
        if "referencedSecurityGroupId" in rule.inputs:
            is_named = ports[0] == ports[1]
        else:
            is_named = ports == (443, 443) and (cidr is None or ipaddress.ip_network(cidr).prefixlen >= 16)
        if rule.inputs["ipProtocol"] != "tcp" or not is_named:
            yield rule.name


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


@check("a created database is not public")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "rds/instance:Instance", lambda r: r.inputs.get("publiclyAccessible") is False)


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
            and ":key/" in r.inputs.get("kmsKeyId", "")
            and ":key/" in r.inputs.get("masterUserSecretKmsKeyId", "")
            and ":key/" in r.inputs.get("performanceInsightsKmsKeyId", "")
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
        lambda r: r.inputs.get("backupRetentionPeriod", 0) >= 7 and r.inputs.get("autoMinorVersionUpgrade") is True,
    )


@check("a created database is not deleted in a protected environment, nor without a last snapshot")
def _(d: Deployment) -> Iterator[str]:
    return each(
        d,
        "rds/instance:Instance",
        lambda r: r.inputs.get("deletionProtection") is True and r.inputs.get("skipFinalSnapshot") is False,
    )
