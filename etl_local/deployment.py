"""The stack, deployed into the stand-ins: the Pulumi program is run, and moto and Kubernetes get its resources.

A process of its own (`python -m etl_local.deployment`): what Pulumi's SDKs take to import, in time and in memory, is
taken beside the start of everything else, and given back. `deployer` starts it, and tells it what to do in one line
of JSON on its standard input; it answers with lines of JSON on its standard output.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from etl_local import aws_resources
from etl_local.aws_resources import Account, UnknownResourceError
from etl_local.clients import ACCOUNT_ID, AwsClients
from etl_local.databases import Database
from etl_local.engine import Deployment, DeploymentError, Recorded, Request, deploy, one_line
from etl_local.kubernetes_objects import KubernetesObjects
from etl_local.stack_configuration import (
    ENVIRONMENT,
    REGION,
    SOURCE_INSTANCE,
    TARGET_INSTANCE,
    Surroundings,
    stack_configuration,
)

PROGRAM: Final = Path(__file__).resolve().parents[1] / "__main__.py"
_AWS: Final = ("aws:", "pulumi:providers:aws")
_NETWORK: Final = "10.0.0.0/16"
_SUBNETS: Final = ("10.0.0.0/24", "10.0.1.0/24")
_MODULES: Final = ("cloudwatch", "ec2", "ecs", "iam", "kms", "rds", "s3", "secretsmanager", "sfn", "sns", "sqs", "vpc")


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to deploy, and where.

    Attributes:
        aws_url: the endpoint of AWS.
        kubernetes_url: the API server.
        kubernetes_token: of its administrator.
        source: the database to dump.
        target: the database to replace.
        scrub_directory: the rules.
        scrub_salt: 32 characters or more.
        jobs: how many tables are worked on at the same time.
    """

    aws_url: str
    kubernetes_url: str
    kubernetes_token: str
    source: Database
    target: Database
    scrub_directory: str
    scrub_salt: str
    jobs: int

    def to_json(self) -> str:
        """The order as one line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Order:
        """The inverse of `to_json`."""
        fields = json.loads(line)
        return cls(**{**fields, "source": Database(**fields["source"]), "target": Database(**fields["target"])})


def carry_out(order: Order) -> Deployment:
    """Make what a stack finds in its account, and deploy the stack; tell of each resource on standard output.

    Raises:
        DeploymentError: the program or one of its resources failed.
    """
    clients = AwsClients(order.aws_url, REGION)
    kubernetes = KubernetesObjects(order.kubernetes_url, order.kubernetes_token)
    instances: dict[str, dict[str, Any]] = {}
    account = Account(clients, ACCOUNT_ID, REGION, databases=instances)
    vpc, subnets = create_network(account)
    for name, database in ((SOURCE_INSTANCE, order.source), (TARGET_INSTANCE, order.target)):
        instances[name] = create_instance(account, vpc, name, database)
    around = Surroundings(
        account_id=ACCOUNT_ID,
        vpc_id=vpc,
        subnet_ids=subnets,
        source=(order.source, create_credentials(account, SOURCE_INSTANCE, order.source)),
        target=(order.target, create_credentials(account, TARGET_INSTANCE, order.target)),
        scrub_directory=Path(order.scrub_directory),
        scrub_salt=order.scrub_salt,
        jobs=order.jobs,
    )

    def create(request: Request) -> tuple[str, dict[str, Any]]:
        if request.existing_id:
            raise UnknownResourceError(f"the stand-in cannot look up {request.type} {request.existing_id}")
        if request.type.startswith(_AWS):
            return aws_resources.make(account, request.type, request.inputs)
        if request.type == "pulumi:providers:kubernetes":
            return "kubernetes", {}
        if request.type.startswith("kubernetes:"):
            return kubernetes.create(request.inputs)
        raise UnknownResourceError(f"the stand-in cannot make {request.type}")

    def invoke(token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return aws_resources.answer(account, token, arguments)

    def note(resource: Recorded) -> None:
        _tell({"resource": {"type": resource.type, "name": resource.name}})

    try:
        return deploy(PROGRAM, ENVIRONMENT, stack_configuration(around), create, invoke, note)
    finally:
        clients.close()


def create_network(account: Account) -> tuple[str, list[str]]:
    """A VPC with two private subnets, as a stack finds it.

    Returns:
        the VPC's identifier, and those of the subnets.
    """
    ec2 = account.client("ec2")
    vpc: str = ec2.create_vpc(CidrBlock=_NETWORK)["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})  # moto's RunTask needs them
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=f"{account.region}{zone}")["Subnet"]["SubnetId"]
        for block, zone in zip(_SUBNETS, "ab", strict=True)
    ]
    return vpc, subnets


def create_instance(account: Account, vpc_id: str, name: str, database: Database) -> dict[str, Any]:
    """What RDS answers about an existing instance, with the address of a server of this machine."""
    group = account.client("ec2").create_security_group(GroupName=name, Description=name, VpcId=vpc_id)["GroupId"]
    return {
        "address": database.host,
        "allocatedStorage": 0,  # of this machine's disk nobody is told
        "dbInstanceArn": account.arn("rds", f"db:{name}"),
        "endpoint": f"{database.host}:{database.port}",
        "engine": "postgres",
        "port": database.port,
        "resourceId": f"db-{name.upper()}",
        "vpcSecurityGroups": [group],
    }


def create_credentials(account: Account, name: str, database: Database) -> str:
    """A secret with a database's credentials; returns its ARN."""
    made = account.client("secretsmanager").create_secret(Name=name, SecretString=database.credentials())
    return str(made["ARN"])


def _prepare() -> None:
    """Import what the program will need, most of it lazily loaded by the SDKs."""
    aws = importlib.import_module("pulumi_aws")
    for name in _MODULES:
        _ = getattr(aws, name)._inputs
    _ = importlib.import_module("pulumi_kubernetes").core.v1._inputs


def _tell(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def main() -> int:
    """Get ready, wait for the order, carry it out; exit 1 after a fault, which the last line tells."""
    _prepare()
    line = sys.stdin.readline()
    if not line:
        return 0
    try:
        deployment = carry_out(Order.from_json(line))
    except DeploymentError as error:
        _tell({"fault": str(error)})
        return 1
    except Exception as error:
        _tell({"fault": f"{type(error).__name__}: {one_line(error)}"})
        raise
    _tell({"outputs": deployment.outputs, "resources": len(deployment.resources)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
