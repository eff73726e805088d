"""Keys and secrets: who uses them, and who is told of it when one may be lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.infra.checks.registry import actions, check, condition, denies, each, statements
from tests.infra.engine import SALT, Deployment, Registered

ROLE = "arn:aws:iam::473251818902:role/postgres-etl"
READERS = [f"{ROLE}-{role}" for role in ("transform-prod", "deployer")]
OF_CALLS = {"source": ["aws.kms"], "detail-type": ["AWS API Call via CloudTrail"], "detail": {}}


@check("a key rotates")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "key:Key", lambda r: r.inputs.get("enableKeyRotation") is True)


@check("a key is lost only after thirty days")
def _(d: Deployment) -> Iterator[str]:
    return each(d, "key:Key", lambda r: r.inputs.get("deletionWindowInDays") == 30)


@check("an account administers a key and reads nothing with it")
def _(d: Deployment) -> Iterator[str]:
    for key in d.all("key:Key"):
        for statement in statements(key.document("policy")):
            reads = actions(statement) & {
                "kms:Decrypt",
                "kms:Encrypt",
                "kms:GenerateDataKey",
                "kms:CreateGrant",
                "kms:*",
            }
            if reads and not statement.get("Condition"):
                yield f"{key.name}: {statement['Sid']}"


@check("a key is used through one service, in one context or for one resource")
def _(d: Deployment) -> Iterator[str]:
    ways = ("kms:ViaService", "kms:EncryptionContext", "aws:SourceArn")
    for key in d.all("key:Key"):
        for statement in statements(key.document("policy")):
            if "Condition" not in statement:
                continue
            named = [name for keys in statement["Condition"].values() for name in keys]
            if not any(name.startswith(ways) for name in named):
                yield f"{key.name}: {statement['Sid']}"


@check("whoever may lose a key is told of to the topic")
def _(d: Deployment) -> Iterator[str]:
    heard = {
        target.inputs["rule"]
        for target in d.all("EventTarget")
        if target.inputs["arn"].endswith(d.topic) and target.inputs["inputTransformer"] == notice(target)
    }
    watched = {
        arn
        for rule in d.all("EventRule")
        if rule.inputs["name"] in heard and rule.document("eventPattern") | {"detail": {}} == OF_CALLS
        for detail in [rule.document("eventPattern")["detail"]]
        if detail["eventName"] == ["DisableKey", "DisableKeyRotation", "PutKeyPolicy", "ScheduleKeyDeletion"]
        for arn in detail["resources"]["ARN"]
    }
    yield from (key.name for key in d.all("key:Key") if key.outputs["arn"] not in watched)


def notice(target: Registered) -> dict[str, Any]:
    """What the topic hears: who called what, on the key of which data."""
    noun = target.inputs["rule"].removeprefix("postgres-etl-").removesuffix("-key-prod")
    return {
        "inputPaths": {"call": "$.detail.eventName", "caller": "$.detail.userIdentity.arn"},
        "inputTemplate": f'"postgres-etl: <caller> called <call> on the key of {noun}"',
    }


@check("a secret is encrypted with a key of its own")
def _(d: Deployment) -> Iterator[str]:
    return each(
        d,
        "secretsmanager/secret:Secret",
        lambda r: (
            r.inputs.get("kmsKeyId", "").endswith(f":key/{r.name}-data-key") and r.inputs["recoveryWindowInDays"] == 30
        ),
    )


@check("a secret is read by the roles that it names, and closed to the public")
def _(d: Deployment) -> Iterator[str]:
    closed = {
        r.inputs["secretArn"]
        for r in d.all("SecretPolicy")
        if r.inputs.get("blockPublicPolicy") is True
        and denies(r.document("policy"), "secretsmanager:GetSecretValue", "ArnNotEquals", "aws:PrincipalArn", READERS)
    }
    for secret in d.all("secretsmanager/secret:Secret"):
        if not any(f":secret:{secret.inputs['name']}-" in arn for arn in closed):
            yield secret.name


@check("a key is used by roles that its policy names")
def _(d: Deployment) -> Iterator[str]:
    for key in d.all("key:Key"):
        for statement in statements(key.document("policy")):
            # who may open a shell is for the account to say: it makes a session's key, and decrypts none
            opens_shells = condition(statement, "Null", "kms:EncryptionContext:aws:ssm:SessionId") == "false"
            if "AWS" not in statement["Principal"] or "Condition" not in statement:
                continue
            if opens_shells and actions(statement) == {"kms:GenerateDataKey"}:
                continue
            if not condition(statement, "ArnEquals", "aws:PrincipalArn"):
                yield f"{key.name}: {statement['Sid']}"


@check("a secret's value is one to the engine, too")
def _(d: Deployment) -> Iterator[str]:
    ids = {f"{r.name}-id" for r in d.all("secretsmanager/secret:Secret")}
    return each(
        d,
        "SecretVersion",
        lambda r: "secretString" in r.secrets and r.inputs["secretId"] in ids and r.inputs["secretString"] == SALT,
    )
