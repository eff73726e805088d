"""Physical names, ARNs, tags and labels: pure functions of the place where a stack lives.

Names that can be computed let a policy name a role, a rule or a bucket before it exists, also across accounts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from etl_runtime import contract


@dataclass(frozen=True, kw_only=True)
class Home:
    """Where a stack lives: environment, account and region."""

    environment: str
    account_id: str
    region: str

    def name(self, noun: str) -> str:
        """The name of anything that is unique in an account: `postgres-etl-<noun>-<environment>`."""
        return f"{contract.MIGRATOR_NAME}-{noun}-{self.environment}"

    def bucket(self, stage: str) -> contract.LoadBucket:
        """A stage's bucket; the account in its name makes that unique in the world."""
        return contract.LoadBucket(f"{self.name(stage)}-{self.account_id}", self.account_id)

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a regional resource of this account."""
        return f"arn:aws:{service}:{self.region}:{self.account_id}:{resource}"

    def role_arn(self, noun: str) -> str:
        """The ARN of the role that `name` names."""
        return f"arn:aws:iam::{self.account_id}:role/{self.name(noun)}"

    def alarm_topic_arn(self) -> str:
        """The topic of the stack, named before it exists: its own key, too, raises alarms there."""
        return self.arn("sns", self.name("alarms"))

    def log_group(self, container: str) -> str:
        """The log group of one container."""
        return f"/{contract.MIGRATOR_NAME}/{self.environment}/{container}"

    def shell_log_group(self, container: str) -> str:
        """The log group of the shells that are opened in one container."""
        return f"{self.log_group(container)}-shell"

    def tags(self) -> dict[str, str]:
        """The tags of everything in AWS, applied by the provider."""
        return {"Migrator": contract.MIGRATOR_NAME, "Environment": self.environment, "ManagedBy": "pulumi"}


def bucket_arn(name: str) -> str:
    """The ARN of a bucket of whatever account."""
    return f"arn:aws:s3:::{name}"


def state_machine_log_group(state_machine: str) -> str:
    """The log group of a state machine.

    Logs vended under another prefix outgrow the account's resource policy:
    https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
    """
    return f"/aws/vendedlogs/states/{state_machine}"


def database_log_groups(identifier: str) -> dict[str, str]:
    """The logs that a Postgres instance exports, and the groups into which RDS writes them."""
    return {log: f"/aws/rds/instance/{identifier}/{log}" for log in ("postgresql", "upgrade")}


def repository_arns(region: str, account_ids: Iterable[str]) -> tuple[str, ...]:
    """The image repository of each account, and its tagged form, as the execution roles may pull them."""
    bases = [
        f"arn:aws:ecr:{region}:{account}:repository/{contract.MIGRATOR_NAME}" for account in sorted(set(account_ids))
    ]
    return tuple(arn for base in bases for arn in (base, f"{base}:*"))


def labels(component: str) -> dict[str, str]:
    """The labels of a Kubernetes object of one program."""
    return {contract.NAME_LABEL: contract.MIGRATOR_NAME, contract.COMPONENT_LABEL: component}
