"""Roles: who assumes them, and that they may do what they are for and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.infra.checks.registry import actions, check, condition, each, listed, role_statements, statements
from tests.infra.engine import Deployment

WITHOUT_A_RESOURCE = {
    "ecr:GetAuthorizationToken",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
"""Actions that take no resource, so that "*" is all that a statement can say."""

LOSES = re.compile(r"s3:Delete|s3:PutLifecycle|s3:PutBucket|kms:(Schedule|Disable|PutKeyPolicy)|iam:(?!PassRole)")


def trusts(d: Deployment) -> Iterator[tuple[str, dict[str, Any]]]:
    """The statements that say who assumes which role."""
    for role in d.all("iam/role:Role"):
        for statement in statements(role.document("assumeRolePolicy")):
            yield role.name, statement


@check("a service assumes a role for this account's own resource alone")
def _(d: Deployment) -> Iterator[str]:
    for name, statement in trusts(d):
        if "Service" not in statement["Principal"]:
            continue
        arn = condition(statement, "ArnLike", "aws:SourceArn") or condition(statement, "ArnEquals", "aws:SourceArn")
        account = condition(statement, "StringEquals", "aws:SourceAccount")
        if not account or not arn or f":{account}:" not in arn:
            yield name


@check("a role is assumed by a named role, a named service account or a service")
def _(d: Deployment) -> Iterator[str]:
    for name, statement in trusts(d):
        if "Federated" in statement["Principal"]:
            continue  # has a check of its own
        principals = [p for value in listed(statement["Principal"]) if isinstance(value, dict) for p in value.values()]
        named = [one for value in principals for one in listed(value)]
        if not named or any(one == "*" or one.endswith(":root") for one in named):
            yield name


@check("a service account assumes its own role and no other does")
def _(d: Deployment) -> Iterator[str]:
    seen: set[str] = set()
    for name, statement in trusts(d):
        equals = statement.get("Condition", {}).get("StringEquals", {})
        if "Federated" in statement["Principal"]:
            subject = next((v for k, v in equals.items() if k.endswith(":sub")), "*")
            audience = next((v for k, v in equals.items() if k.endswith(":aud")), "")
            is_exact = audience == "sts.amazonaws.com"
        elif statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}:
            account = equals.get("aws:RequestTag/kubernetes-service-account", "*")
            subject = f"{equals.get('aws:RequestTag/kubernetes-namespace', '*')}:{account}"
            is_exact = True
        else:
            continue
        if not is_exact or "*" in subject or subject in seen:
            yield name
        seen.add(subject)


@check("no role is allowed everything, or anything of everything")
def _(d: Deployment) -> Iterator[str]:
    for policy, statement in role_statements(d):
        if any(action.endswith("*") for action in actions(statement)):
            yield f"{policy.name}: {statement['Sid']}"
        if "*" in statement["Resource"] and not actions(statement) <= WITHOUT_A_RESOURCE:
            yield f"{policy.name}: {statement['Sid']}"


@check("no role deletes an object, or changes what guards one")
def _(d: Deployment) -> Iterator[str]:
    for policy, statement in role_statements(d):
        if any(LOSES.match(action) for action in actions(statement)):
            yield f"{policy.name}: {statement['Sid']}"


@check("a role uses a key through one service, in one context, or in one session")
def _(d: Deployment) -> Iterator[str]:
    for policy, statement in role_statements(d):
        if not any(action.startswith("kms:") for action in actions(statement)):
            continue
        equal = statement.get("Condition", {}).get("StringEquals", {})
        is_told_apart = any(key.startswith(("kms:ViaService", "kms:EncryptionContext:")) for key in equal)
        if not is_told_apart and condition(statement, "Null", "kms:EncryptionContext:aws:ssm:SessionId") != "false":
            yield f"{policy.name}: {statement['Sid']}"


def uses_key(statement: dict[str, Any], wanted: set[str], equal: dict[str, str]) -> bool:
    """Whether a statement allows these actions of a key on this one condition, beside the name of a role."""
    rest = {operator: keys for operator, keys in statement.get("Condition", {}).items() if operator != "ArnEquals"}
    return actions(statement) == wanted and rest == {"StringEquals": equal}


@check("a machine uses its key itself: for its own history, and for the logs that it delivers")
def _(d: Deployment) -> Iterator[str]:
    keys = {r.outputs["arn"]: statements(r.document("policy")) for r in d.all("key:Key")}
    for machine in d.all("StateMachine"):
        role, arn = machine.inputs["roleArn"], machine.outputs["arn"]
        key = machine.inputs.get("encryptionConfiguration", {}).get("kmsKeyId")
        if key is None:
            continue  # has a check of its own
        home = arn.split(":")
        logs = f"arn:aws:logs:{home[3]}:{home[4]}:*"
        own = [s for p, s in role_statements(d) if role.endswith(f"/{p.inputs['role']}") and s["Resource"] == [key]]
        admitted = [s for s in keys.get(key, []) if role in (condition(s, "ArnEquals", "aws:PrincipalArn") or ())]
        both = {"kms:Decrypt", "kms:GenerateDataKey"}
        for wanted, equal in (
            (both, {"kms:EncryptionContext:aws:states:stateMachineArn": arn}),
            ({"kms:GenerateDataKey"}, {"kms:EncryptionContext:SourceArn": logs}),
        ):
            for found in (own, admitted):
                if not any(uses_key(statement, wanted, equal) for statement in found):
                    yield f"{machine.name}: {next(iter(equal))}"
        delivery = [s for s in keys.get(key, []) if s["Principal"] == {"Service": "delivery.logs.amazonaws.com"}]
        if not any(uses_key(s, {"kms:Decrypt"}, {"kms:EncryptionContext:SourceArn": logs}) for s in delivery):
            yield f"{machine.name}: what it delivers cannot be decrypted"


@check("a task signs in to one database as one user")
def _(d: Deployment) -> Iterator[str]:
    for policy, statement in role_statements(d):
        if "rds-db:connect" in actions(statement) and not all(
            re.fullmatch(r"arn:aws:rds-db:[^:]+:\d{12}:dbuser:db-[A-Z0-9-]+/[\w-]+", arn)
            for arn in statement["Resource"]
        ):
            yield policy.name


@check("a task's program and its starting have a role each")
def _(d: Deployment) -> Iterator[str]:
    for definition in d.all("TaskDefinition"):
        stage = definition.name.partition("-")[0]
        for noun, key in (("task", "taskRoleArn"), ("execution", "executionRoleArn")):
            if not definition.inputs.get(key, "").endswith(f":role/postgres-etl-{stage}-{noun}-prod"):
                yield f"{definition.name}: {key}"


@check("a task's starting pulls, logs and reads its own sign-in, and nothing else")
def _(d: Deployment) -> Iterator[str]:
    services = {"ecr", "logs", "secretsmanager", "kms"}
    for policy, statement in role_statements(d):
        if not policy.name.endswith("-execution-policy"):
            continue
        used = {action.partition(":")[0] for action in actions(statement)}
        arns = [arn for arn in statement["Resource"] if arn.startswith("arn:aws:ecr")]
        if not used <= services or any(":repository/postgres-etl" not in arn for arn in arns):
            yield f"{policy.name}: {statement['Sid']}"


@check("a machine's role runs one family on one cluster")
def _(d: Deployment) -> Iterator[str]:
    for policy, statement in role_statements(d):
        if "ecs:RunTask" in actions(statement) and not (
            condition(statement, "ArnEquals", "ecs:cluster")
            and all(re.search(r":task-definition/pg_(dump|restore):\*$", arn) for arn in statement["Resource"])
        ):
            yield policy.name


@check("a machine's role follows the tasks of its own cluster")
def _(d: Deployment) -> Iterator[str]:
    for policy, statement in role_statements(d):
        if actions(statement) & {"ecs:StopTask", "ecs:DescribeTasks"} and not all(
            re.search(r":task/postgres-etl-(extract|load)-\w+/\*$", arn) for arn in statement["Resource"]
        ):
            yield policy.name


@check("a role is passed to ECS tasks alone, and two of them")
def _(d: Deployment) -> Iterator[str]:
    for policy, statement in role_statements(d):
        if "iam:PassRole" in actions(statement) and not (
            len(statement["Resource"]) == 2
            and condition(statement, "StringEquals", "iam:PassedToService") == "ecs-tasks.amazonaws.com"
        ):
            yield policy.name


@check("Jenkins starts, follows and stops executions and reads manifests, and nothing else")
def _(d: Deployment) -> Iterator[str]:
    may = {
        "states:StartExecution", "states:DescribeExecution", "states:StopExecution",
        "s3:GetObject", "s3:GetObjectVersion", "kms:Decrypt",
    }  # fmt: skip
    for policy, statement in role_statements(d):
        if policy.name != "access-policy":
            continue
        objects = [arn for arn in statement["Resource"] if arn.startswith("arn:aws:s3:::")]
        if not actions(statement) <= may or any(not arn.endswith("/*/manifest.json") for arn in objects):
            yield statement["Sid"]


@check("the nightly schedule starts one machine, and nothing else")
def _(d: Deployment) -> Iterator[str]:
    for schedule in d.all("scheduler/schedule:Schedule"):
        machine = schedule.inputs["target"]["arn"]
        if not schedule.inputs["target"].get("roleArn", "").endswith(":role/postgres-etl-nightly-prod"):
            yield schedule.name
        for policy, statement in role_statements(d):
            if policy.name == "extract-nightly-policy" and not (
                actions(statement) == {"states:StartExecution"} and statement["Resource"] == [machine]
            ):
                yield f"{policy.name}: {statement['Sid']}"


@check("the provider refuses every other account")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "pulumi:providers:aws", lambda r: len(json.loads(r.inputs.get("allowedAccountIds", "[]"))) == 1)


@check("the provider tags everything")
def _(d: Deployment) -> Iterator[str]:
    wanted = {"Migrator", "Environment", "ManagedBy"}
    return each(
        d,
        "pulumi:providers:aws",
        lambda r: wanted <= set(json.loads(r.inputs.get("defaultTags", "{}")).get("tags", {})),
    )
