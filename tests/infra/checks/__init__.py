"""The security baseline as named predicates: each takes what a stack registered and names what is wrong with it."""

from tests.infra.checks import admission, cluster, keys, messages, network, roles, storage, tasks
from tests.infra.checks.registry import CHECKS, failing

__all__ = ["CHECKS", "admission", "cluster", "failing", "keys", "messages", "network", "roles", "storage", "tasks"]
