"""Where cleaned dumps go, and which database a load replaces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from etl_runtime.contract.contract_error import ContractError


@dataclass(frozen=True, slots=True)
class LoadBucket:
    """Where the cleaned dumps of one environment go: bucket name, and the account that must own it."""

    name: str
    owner: str


def load_buckets(text: str) -> dict[str, LoadBucket]:
    """Read `LOAD_BUCKETS`: a JSON object, load environment → `{"bucket": name, "owner": account id}`.

    Raises:
        ContractError: not such an object.
    """
    try:
        document = cast(dict[str, dict[str, Any]], json.loads(text))
        parts = {name: (entry["bucket"], entry["owner"]) for name, entry in document.items()}
        # An account id that was taken for a number may have lost its leading zeros.
        if not all(isinstance(part, str) and part for both in parts.values() for part in both):
            raise TypeError
        return {name: LoadBucket(bucket, owner) for name, (bucket, owner) in parts.items()}
    except (ValueError, AttributeError, KeyError, TypeError):
        raise ContractError(
            'LOAD_BUCKETS must be JSON such as {"dev": {"bucket": "a-bucket", "owner": "123456789012"}}'
        ) from None


def load_buckets_text(buckets: Mapping[str, LoadBucket]) -> str:
    """The inverse of `load_buckets`, keys sorted."""
    return json.dumps({name: {"bucket": b.name, "owner": b.owner} for name, b in sorted(buckets.items())})


def load_target(account_id: str, host: str, database: str) -> str:
    """The one database that a load replaces, as `PROTECTED_LOAD_TARGET` spells it: `<account>/<host>/<database>`."""
    return f"{account_id}/{host}/{database}"
