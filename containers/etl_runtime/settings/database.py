"""How a database is reached."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, cast

from etl_runtime.contract import Env
from etl_runtime.settings.environment_reader import EnvironmentReader

_LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){3}|::1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Database:
    """How to reach one database. The password never appears in `repr`."""

    host: str
    port: int
    name: str
    user: str
    password: str | None = field(repr=False)
    authentication: str
    sslmode: str
    sslrootcert: str

    @classmethod
    def read(cls, env: EnvironmentReader) -> Database:
        """Read the `DB_*` variables; faults go to the reader."""
        host, name = env.text(Env.DB_HOST), env.text(Env.DB_NAME)
        # libpq takes a database name with "=" or "://" for a whole connection string; ours is only ever a name.
        for variable, value in ((Env.DB_HOST, host), (Env.DB_NAME, name)):
            if "://" in value or "=" in value or value.startswith("-") or len(value) > 255:
                env.fault(variable, "is not a plain name")
        authentication = env.choice(Env.DB_AUTHENTICATION, ("secret", "iam"))
        user, password = env.text(Env.DB_USER), None
        if authentication == "secret":
            user, password = _credentials(env, user)
        sslmode = env.choice(Env.DB_SSLMODE, ("verify-full", "require", "disable"))
        if host and sslmode and sslmode != "verify-full" and not _LOOPBACK.fullmatch(host):
            env.fault(Env.DB_SSLMODE, "must be verify-full for a database that is not on this machine")
        return cls(
            host=host,
            port=env.integer(Env.DB_PORT, 1, 65535),
            name=name,
            user=user,
            password=password,
            authentication=authentication,
            sslmode=sslmode,
            sslrootcert=env.text(Env.DB_SSLROOTCERT, "/etc/postgres-etl/rds-ca.pem"),
        )


def _credentials(env: EnvironmentReader, user: str) -> tuple[str, str | None]:
    """User and password of `DB_CREDENTIALS`, in the form that RDS gives its managed secrets."""
    text = env.text(Env.DB_CREDENTIALS)
    try:
        document = cast(dict[str, Any], json.loads(text or "null"))
        found, password = document.get("username") or user, document["password"]
        if not (isinstance(found, str) and isinstance(password, str) and password):
            raise TypeError
        return found, password
    except (ValueError, KeyError, AttributeError, TypeError):
        if text:
            env.fault(Env.DB_CREDENTIALS, 'must be JSON with "username" and "password"')
        return user, None
