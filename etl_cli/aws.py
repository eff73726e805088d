"""The AWS accounts of a pipeline: who the caller is in each, and which errors of AWS may pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from etl_cli.ending import CommandError, ExitStatus, RefusedError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

AWS_ERRORS: Final = (BotoCoreError, ClientError)

_NO_IDENTITY: Final = (
    NoCredentialsError,
    PartialCredentialsError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
_NO_IDENTITY_CODES: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "AccessDenied"}
)
_DENIED_CODES: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})
_STALE_CODES: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_CONFIG: Final = Config(
    retries={"mode": "standard", "max_attempts": 4},
    connect_timeout=10,
    read_timeout=30,
)


def error_code(error: Exception) -> str:
    """An AWS error by its code alone: its text may quote a request."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code") or "unknown")
    return type(error).__name__


def command_error(what: str, error: Exception) -> CommandError:
    """An AWS error as the end of a command: refused where the caller may not, else one to be tried again."""
    code = error_code(error)
    status = ExitStatus.REFUSED if code in _DENIED_CODES else ExitStatus.UNKNOWN
    return CommandError(f"{what}: AWS answered {code}", status)


@dataclass(slots=True)
class Account:
    """One account as a named profile sees it (or, without one, the environment). Clients are made once each.

    Attributes:
        profile: name in the AWS configuration; None for the environment's own credentials.
        region: where the stack is.
    """

    profile: str | None
    region: str
    _session: boto3.Session | None = field(default=None, init=False)
    _clients: dict[str, Any] = field(default_factory=dict[str, Any], init=False)

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            try:
                self._session = self._session or boto3.Session(profile_name=self.profile, region_name=self.region)
                self._clients[service] = self._session.client(cast(Any, service), config=_CONFIG)
            except ProfileNotFound:
                raise RefusedError(
                    f"there is no AWS profile {self.profile!a}; `aws configure list-profiles` lists them"
                ) from None
            except (NoRegionError, ValueError) as error:
                raise RefusedError(f"AWS is not configured: {error}") from None
        return self._clients[service]

    def learn_from(self, error: Exception) -> None:
        """Read credentials again at the next call if it is they who have become too old."""
        if error_code(error) in _STALE_CODES:
            self._session = None
            self._clients.clear()

    @property
    def step_functions(self) -> SFNClient:
        """A client of Step Functions."""
        return self._client("stepfunctions")

    @property
    def s3(self) -> S3Client:
        """A client of S3."""
        return self._client("s3")

    @property
    def sqs(self) -> SQSClient:
        """A client of SQS."""
        return self._client("sqs")

    @property
    def logs(self) -> CloudWatchLogsClient:
        """A client of CloudWatch Logs."""
        return self._client("logs")

    def check(self, arn: str) -> None:
        """See that the caller is somebody, and in the account of a resource.

        Raises:
            RefusedError: no valid credentials, or those of another account.
            CommandError: AWS cannot be reached.
        """
        whose = f"profile {self.profile}" if self.profile else "the environment"
        try:
            own = str(self._client("sts").get_caller_identity()["Account"])
        except AWS_ERRORS as error:
            code = error_code(error)
            if isinstance(error, _NO_IDENTITY) or code in _NO_IDENTITY_CODES:
                raise RefusedError(
                    f"no valid AWS credentials from {whose} ({code}): sign in, then run it again"
                ) from None
            raise command_error(f"{whose} could not be checked", error) from None
        wanted, resource = arn.split(":", 5)[4:]
        if own != wanted:
            raise RefusedError(f"{whose} is signed in to account {own}, and {resource} is in {wanted}")
