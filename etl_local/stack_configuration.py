"""The configuration of the stand-in's stack: environment dev, all three stages on, everything in one account."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from etl_runtime import contract

from etl_infra.documents import scrub_rules
from etl_infra.naming import Home
from etl_local.databases import Database

ENVIRONMENT: Final = "dev"
REGION: Final = "eu-west-2"
SOURCE_INSTANCE: Final = "local-source"
TARGET_INSTANCE: Final = "local-target"
_PROJECT: Final = "postgres-etl"
_LARGEST_JOBS: Final = 4


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a stack finds when it is deployed.

    Attributes:
        account_id: the account.
        vpc_id: its network.
        subnet_ids: private subnets there, two at least.
        source: the database to dump, and the ARN of the secret with its credentials.
        target: the database to replace, and the ARN of the secret with its credentials.
        scrub_directory: the rules.
        scrub_salt: 32 characters or more.
        jobs: how many tables are worked on at the same time.
    """

    account_id: str
    vpc_id: str
    subnet_ids: list[str]
    source: tuple[Database, str]
    target: tuple[Database, str]
    scrub_directory: Path
    scrub_salt: str
    jobs: int


def stack_configuration(around: Surroundings) -> dict[str, str]:
    """The configuration as the engine takes it: keys with the project's namespace, lists and objects as JSON."""
    home = Home(environment=ENVIRONMENT, account_id=around.account_id, region=REGION)
    bucket = home.bucket("load")
    jobs = min(around.jobs, _LARGEST_JOBS)
    repository = f"{around.account_id}.dkr.ecr.{REGION}.amazonaws.com/{contract.MIGRATOR_NAME}"
    values: dict[str, Any] = {
        "awsAccountId": around.account_id,
        "awsRegion": REGION,
        # production is elsewhere; this account is nobody's
        "protectedAccountIds": ["999999999999"],
        "vpcId": around.vpc_id,
        "privateSubnetIds": around.subnet_ids,
        "awsEndpointCidrs": ["10.0.8.0/24"],
        "deployerRoleArns": [home.role_arn("deployer")],
        "imageRepositoryAccounts": {ENVIRONMENT: around.account_id},
        # no image runs here: the programs do; a digest is part of a Job's identity all the same
        "images": {
            name: f"{repository}@sha256:{str(number) * 64}"
            for number, name in enumerate(("migrator", "transform", "dispatcher"), 1)
        },
        "tlsMode": "disable",
        "logRetentionDays": 1,
        "extractEnabled": True,
        "transformEnabled": True,
        "loadEnabled": True,
        **_database("source", SOURCE_INSTANCE, *around.source),
        **_database("target", TARGET_INSTANCE, *around.target),
        "extractJobs": jobs,
        "loadJobs": jobs,
        "transformJobs": jobs,
        "loadBuckets": {ENVIRONMENT: {"bucket": bucket.name, "owner": bucket.owner}},
        "kubernetesContext": "local",
        "kubernetesApiCidrs": ["10.0.16.0/24"],
        "kubernetesServiceAddress": "172.20.0.1",
        "eksOidcProviderArn": f"arn:aws:iam::{around.account_id}:oidc-provider/oidc.eks.{REGION}.amazonaws.com/id/0",
        "transformRoleArns": [home.role_arn(contract.TRANSFORM_CONTAINER)],
        "dispatcherRoleArns": [home.role_arn(contract.DISPATCHER_CONTAINER)],
        "scrubDirectory": str(around.scrub_directory.resolve()),
        "scrubSalt": around.scrub_salt,
    }
    return {
        f"{_PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in values.items()
    }


def rules_faults(scrub_directory: Path) -> list[str]:
    """What the stack will refuse of these rules' files, each a line; their content is the transform's to judge."""
    return scrub_rules.faults(scrub_directory)


def _database(side: str, instance: str, database: Database, secret_arn: str) -> dict[str, str]:
    return {
        f"{side}InstanceIdentifier": instance,
        f"{side}DatabaseName": database.name,
        f"{side}User": database.user,
        f"{side}Authentication": "secret",
        f"{side}CredentialsSecretArn": secret_arn,
    }
