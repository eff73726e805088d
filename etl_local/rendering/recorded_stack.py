"""A stack as its own file configures it, registered by the real program: nothing exists, every answer is made up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from etl_local.engine import Deployment, DeploymentError, Request, deploy
from etl_local.rendering.everything import BASE, CHANGES, EVERYTHING

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PROJECT: Final = "postgres-etl"
SYNTHETIC_SECRET: Final = "synthetic-and-never-written-to-any-file"  # noqa: S105  # stands for what is encrypted
ADDRESSES_OF_S3: Final = ("192.0.2.0/25", "192.0.2.128/25")  # a range kept for documentation
_SERVICES: Final = {"cloudwatch/logGroup": "logs", "sfn": "states"}
"""Where a type token's module is not the service of its ARN."""
_GLOBAL_ARNS: Final = {
    "aws:s3/bucket:Bucket": "arn:aws:s3:::{name}",
    "aws:iam/role:Role": "arn:aws:iam::{account_id}:role/{name}",
    "aws:iam/policy:Policy": "arn:aws:iam::{account_id}:policy/{name}",
}
_RESOURCES: Final = {
    "aws:kms/key:Key": "key/{logical_name}",
    "aws:ecs/cluster:Cluster": "cluster/{name}",
    "aws:ecs/taskDefinition:TaskDefinition": "task-definition/{name}:1",
    "aws:sfn/stateMachine:StateMachine": "stateMachine:{name}",
    "aws:cloudwatch/logGroup:LogGroup": "log-group:{name}",
    "aws:secretsmanager/secret:Secret": "secret:{name}-AbCdEf",
}
"""The last part of an ARN, where it is not the name alone."""


@dataclass(frozen=True, slots=True)
class RecordedStack:
    """What the program of one stack registered, and what it looked up: (function token, arguments), sorted."""

    name: str
    deployment: Deployment
    lookups: list[tuple[str, dict[str, Any]]]


def stack_names(repository: Path = REPOSITORY) -> list[str]:
    """The stacks that have a file, `Pulumi.<name>.yaml`, sorted."""
    return sorted(path.name.split(".")[1] for path in repository.glob("Pulumi.*.yaml"))


def rendered_names() -> list[str]:
    """The stacks that are rendered: those that have a file, and the one that has everything."""
    return [*stack_names(), EVERYTHING]


def configuration(stack: str, repository: Path = REPOSITORY) -> dict[str, str]:
    """The configuration of a stack's own file as the engine takes it; an encrypted value becomes a synthetic one.

    Raises:
        DeploymentError: there is no such file, or it is no stack's.
    """
    path = repository / f"Pulumi.{_file_of(stack)}.yaml"
    try:
        values: dict[str, Any] = dict(yaml.safe_load(path.read_text(encoding="utf-8"))["config"])
    except OSError as error:
        raise DeploymentError(f"{path.name} cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise DeploymentError(f"{path.name}:{line}: not YAML: {error.problem}") from None
    except (KeyError, TypeError, ValueError):
        raise DeploymentError(
            f"{path.name} has no config: it is a mapping of keys such as {PROJECT}:awsRegion"
        ) from None
    if stack == EVERYTHING:
        values |= {f"{PROJECT}:{key}": value for key, value in CHANGES.items()}
    return {key: _text(value) for key, value in values.items() if value is not None}


def record(stack: str, config: dict[str, str] | None = None) -> RecordedStack:
    """Run the program of one stack to its end.

    Args:
        stack: its name.
        config: what it is configured with; by default what its own file says.

    Raises:
        DeploymentError: the program failed, or refused its configuration.
    """
    values = configuration(stack) if config is None else config
    cloud = _InventedCloud(
        account_id=values.get(f"{PROJECT}:awsAccountId", "000000000000"),
        region=values.get(f"{PROJECT}:awsRegion", "eu-west-2"),
        vpc_id=values.get(f"{PROJECT}:vpcId", ""),
    )
    lookups: list[tuple[str, dict[str, Any]]] = []

    def invoke(token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        lookups.append((token, arguments))
        return cloud.answer(token, arguments)

    deployment = deploy(REPOSITORY / "__main__.py", _file_of(stack), values, cloud.create, invoke)
    distinct = {json.dumps(lookup, sort_keys=True): lookup for lookup in lookups}
    return RecordedStack(stack, deployment, [distinct[key] for key in sorted(distinct)])


def _file_of(stack: str) -> str:
    return BASE if stack == EVERYTHING else stack


def _text(value: Any) -> str:
    if isinstance(value, dict) and "secure" in value:
        return SYNTHETIC_SECRET
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True, slots=True)
class _InventedCloud:
    """Gives each resource the outputs that the program reads, made up from its type and name."""

    account_id: str
    region: str
    vpc_id: str

    def create(self, request: Request) -> tuple[str, dict[str, Any]]:
        inputs = request.inputs
        name = str(inputs.get("name") or inputs.get("bucket") or inputs.get("family") or request.name)
        made: dict[str, Any] = {"arn": self._arn(request.type, name, request.name), "name": name, **inputs}
        match request.type:
            case "aws:sqs/queue:Queue":
                made["url"] = f"https://sqs.{self.region}.amazonaws.com/{self.account_id}/{name}"
            case "aws:kms/key:Key":
                made["keyId"] = request.name
            case "aws:rds/instance:Instance":
                secret = f"arn:aws:secretsmanager:{self.region}:{self.account_id}:secret:rds!db-of-{name}"
                made |= {
                    "address": f"{name}.example.com",
                    "resourceId": f"db-of-{name}",
                    "masterUserSecrets": [{"secretArn": secret}],
                }
            case _:
                pass
        return f"id-of-{request.name}", made

    def answer(self, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        match token:
            case "aws:rds/getInstance:getInstance":
                name = arguments["dbInstanceIdentifier"]
                return {
                    "address": f"{name}.example.com",
                    "port": 5432,
                    "allocatedStorage": 100,
                    "resourceId": f"db-of-{name}",
                    "vpcSecurityGroups": [f"security-group-of-{name}"],
                }
            case "aws:ec2/getSubnet:getSubnet":
                subnet = arguments["id"]
                return {"vpcId": self.vpc_id, "availabilityZone": f"zone-of-{subnet}"}
            case "aws:ec2/getManagedPrefixList:getManagedPrefixList":
                entries = [{"cidr": cidr, "description": ""} for cidr in ADDRESSES_OF_S3]
                return {"id": f"list-of-{arguments['name']}", "entries": entries}
            case _:
                raise LookupError("no answer is known to this function: say one in etl_local/rendering")

    def _arn(self, kind: str, name: str, logical_name: str) -> str:
        if kind in _GLOBAL_ARNS:
            return _GLOBAL_ARNS[kind].format(name=name, account_id=self.account_id)
        module = kind.split(":")[1] if ":" in kind else ""
        service = _SERVICES.get(module) or _SERVICES.get(module.partition("/")[0]) or module.partition("/")[0]
        resource = _RESOURCES.get(kind, "{name}").format(name=name, logical_name=logical_name)
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"
