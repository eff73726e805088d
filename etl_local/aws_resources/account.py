"""The provider itself, and what it answers about the account and its existing databases."""

from __future__ import annotations

import json
from typing import Any

from etl_local.aws_resources.registry import Account, Inputs, Made, UnknownResourceError, answers, makes


@makes("pulumi:providers:aws")
def provider(account: Account, inputs: Inputs) -> Made:
    """The provider: checks that it is in the account and region that it is meant for, and keeps its default tags.

    Raises:
        UnknownResourceError: another account or region.
    """
    for of_real_credentials in ("skipCredentialsValidation", "skipRegionValidation"):
        inputs.pop(of_real_credentials, None)
    allowed = json.loads(inputs.pop("allowedAccountIds", "[]")) or [account.account_id]
    region = inputs.pop("region", account.region)
    if account.account_id not in allowed or region != account.region:
        raise UnknownResourceError(f"the stand-in is account {account.account_id} in {account.region}")
    account.default_tags.update(json.loads(inputs.pop("defaultTags", "{}")).get("tags", {}))
    return "aws", {}


@answers("aws:index/getCallerIdentity:getCallerIdentity")
def caller_identity(account: Account, arguments: Inputs) -> dict[str, Any]:
    """Who the deployer is."""
    del arguments
    identity = account.client("sts").get_caller_identity()
    return {
        "id": identity["Account"],
        "accountId": identity["Account"],
        "arn": identity["Arn"],
        "userId": identity["UserId"],
    }


@answers("aws:index/getRegion:getRegion")
def region(account: Account, arguments: Inputs) -> dict[str, Any]:
    """Where the deployer is."""
    arguments.pop("region", None)
    return {"id": account.region, "region": account.region, "name": account.region}


@answers("aws:rds/getInstance:getInstance")
def database_instance(account: Account, arguments: Inputs) -> dict[str, Any]:
    """An existing database by its identifier.

    Raises:
        UnknownResourceError: there is none of that name.
    """
    identifier = arguments.pop("dbInstanceIdentifier")
    if identifier not in account.databases:
        raise UnknownResourceError(f"there is no database instance {identifier}")
    return {"id": identifier, "dbInstanceIdentifier": identifier, **account.databases[identifier]}
