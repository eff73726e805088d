"""The environment variables by which a task finds its database; the sign-in itself is never among them."""

from __future__ import annotations

import pulumi
from etl_runtime.contract import Env

from etl_infra.documents.iam import Text
from etl_infra.stack_settings import DatabaseSettings, StackSettings


def database_environment(
    stack: StackSettings, database: DatabaseSettings, host: pulumi.Output[str], port: pulumi.Output[int]
) -> dict[Env, Text]:
    """Where the task is, and where and as whom it signs in."""
    return {
        Env.ENVIRONMENT_NAME: stack.home.environment,
        Env.AWS_REGION: stack.home.region,
        Env.DB_HOST: host,
        Env.DB_PORT: port.apply(lambda number: str(int(number))),
        Env.DB_NAME: database.name,
        Env.DB_USER: database.user,
        Env.DB_AUTHENTICATION: database.authentication,
        Env.DB_SSLMODE: stack.tls_mode,
    }
