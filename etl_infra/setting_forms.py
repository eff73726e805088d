"""What the values of settings look like: patterns, and those forms that no pattern can say."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

from etl_runtime import contract

from etl_infra.stack_file import StackFile

ACCOUNT_ID: Final = r"\d{12}"
ROLE_ARN: Final = r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+"
SECRET_ARN: Final = r"arn:aws:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+"  # noqa: S105 - an ARN's form
VARIABLE_NAME: Final = r"[A-Za-z_]\w{0,62}"
OIDC_PROVIDER_ARN: Final = r"arn:aws:iam::\d{12}:oidc-provider/[\w./-]+"
SECURITY_GROUP_ID: Final = r"sg-[0-9a-f]{8,17}"
BUCKET_NAME: Final = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
DNS_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DATABASE_WORD: Final = r"[A-Za-z_][A-Za-z0-9_-]{0,62}"
LOAD_TARGET: Final = r"\d{12}/[A-Za-z0-9.-]{1,253}/[A-Za-z_][A-Za-z0-9_-]{0,62}"
NEW_DATABASE_WORD: Final = r"[A-Za-z][A-Za-z0-9_]{0,62}"
"""RDS makes a database of no other name:
https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html"""

SCHEDULE: Final = r"(cron|rate)\([\w*?,/#\- ]+\)"
TIME_ZONE: Final = r"[A-Za-z_]+(/[A-Za-z0-9_+-]+)*"
SSL_MODES: Final = ("verify-full", "require", "disable")
WIDEST_RANGE: Final = 16
NODE_METADATA: Final = "169.254.169.254"


def ranges(file: StackFile, key: str) -> tuple[str, ...]:
    """The address ranges of a key, one at least, none wider than a VPC."""
    return file.texts(key, r"[\d./]+", "ranges of /16 or narrower", at_least=1, holds=_is_range)


def address(file: StackFile, key: str, *, required: bool) -> str:
    """The one IPv4 address of a key."""
    text = file.text(key, r"[\d.]+", "an IPv4 address", required=required)
    if text and not _is_address(text):
        file.refuse(key, f"must be an IPv4 address, and not that of a node's metadata, got {text!r}")
        return ""
    return text


def refuse_overlap(file: StackFile, key: str, given: Sequence[str], others: Sequence[str], why: str) -> None:
    """Record a fault for each range that shares an address with one of the others.

    Args:
        file: of the stack.
        key: whose ranges they are.
        given: its ranges.
        others: ranges that it must stay clear of.
        why: what would be reached.
    """
    for one in filter(_is_range, given):
        for other in filter(_is_range, others):
            if ipaddress.ip_network(one).overlaps(ipaddress.ip_network(other)):
                file.refuse(key, f"holds {one}, which meets {other}: {why}")


def is_environment(name: str) -> bool:
    """Whether an environment may have this name."""
    try:
        contract.DumpPrefix(name, "execution", contract.DUMP_FILENAME)
    except contract.ContractError:
        return False
    return True


def _is_range(text: str) -> bool:
    try:
        return ipaddress.IPv4Network(text).prefixlen >= WIDEST_RANGE
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    try:
        return str(ipaddress.IPv4Address(text)) != NODE_METADATA
    except ValueError:
        return False
