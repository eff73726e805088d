"""Clients of the stand-in's AWS, and the variables by which other programs make theirs."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

import boto3
from botocore.config import Config

HOST: Final = "127.0.0.1"
ACCOUNT_ID: Final = "123456789012"
"""The account of everything in moto; AWS's own documentation uses it as the example."""

_KEY: Final = "testing"
_ISOLATION: Final = {
    # neither a proxy nor the user's own AWS configuration may come between two programs of this machine
    "NO_PROXY": f"{HOST},localhost",
    "no_proxy": f"{HOST},localhost",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_FORBIDDEN: Final = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


@contextlib.contextmanager
def isolated(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process, and keep its AWS SDK from the user's own configuration, until the context is left.

    Args:
        variables: name → value.
    """
    changed = {**_ISOLATION, **variables}
    before = {name: os.environ.get(name) for name in (*changed, *_FORBIDDEN)}
    for name in _FORBIDDEN:
        os.environ.pop(name, None)
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@functools.cache
def _session(region: str) -> boto3.Session:
    """One for all clients: a session reads the description of a service, large for some, only once."""
    return boto3.Session(_KEY, _KEY, region_name=region)


class AwsClients:
    """Clients of one endpoint, made once a service. They may be used in several threads."""

    def __init__(self, url: str, region: str) -> None:
        """Make no client yet.

        Args:
            url: the endpoint of every service.
            region: where everything is.
        """
        self.url = url
        self.region = region
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __call__(self, service: str) -> Any:
        """The client of one service."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = _session(self.region).client(
                    service,  # type: ignore[call-overload]  # any name: the caller knows the client's type
                    endpoint_url=self.url,
                    config=Config(retries={"total_max_attempts": 1}, max_pool_connections=20, proxies={}),
                )
            return self._clients[service]

    def close(self) -> None:
        """Close the connections of every client."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def environment(self) -> dict[str, str]:
        """The variables by which AWS SDKs find this endpoint instead of the real one."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _KEY,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            **_ISOLATION,
        }
