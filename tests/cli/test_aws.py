"""The caller in an account: who it is, and what is said when it is nobody, another's, or cannot be asked."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from etl_cli.aws import Account, command_error
from etl_cli.ending import CommandError, ExitStatus, RefusedError

from .conftest import ACCOUNT, REGION, Aws

ARN = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:postgres-etl-rds-to-s3"


def _client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "a synthetic message that quotes the request"}}, "Any")


class Sts:
    """STS, which only fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get_caller_identity(self) -> Any:
        raise self.error


@pytest.mark.usefixtures("aws")
def test_a_caller_of_the_same_account_may_go_on() -> None:
    Account(None, REGION).check(ARN)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            NoCredentialsError(),
            "no valid AWS credentials from profile sbx (NoCredentialsError): sign in, then run it again",
        ),
        (
            _client_error("ExpiredToken"),
            "no valid AWS credentials from profile sbx (ExpiredToken): sign in, then run it again",
        ),
    ],
)
def test_without_valid_credentials_it_is_refused(error: Exception, message: str) -> None:
    account = Account("sbx", REGION)
    account._clients["sts"] = Sts(error)
    with pytest.raises(RefusedError) as refused:
        account.check(ARN)
    assert str(refused.value) == message


def test_an_aws_that_cannot_be_reached_may_be_tried_again() -> None:
    account = Account(None, REGION)
    account._clients["sts"] = Sts(EndpointConnectionError(endpoint_url="https://sts"))
    with pytest.raises(CommandError) as failed:
        account.check(ARN)
    assert str(failed.value) == "the environment could not be checked: AWS answered EndpointConnectionError"
    assert failed.value.status is ExitStatus.UNKNOWN


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AccessDeniedException", ExitStatus.REFUSED),
        ("ThrottlingException", ExitStatus.UNKNOWN),
        ("InternalError", ExitStatus.UNKNOWN),
    ],
)
def test_only_a_denial_is_final_and_no_message_of_aws_is_repeated(code: str, status: ExitStatus) -> None:
    error = command_error("it was not started", _client_error(code))
    assert (str(error), error.status) == (f"it was not started: AWS answered {code}", status)


def test_credentials_are_read_again_only_when_they_are_what_is_old(aws: Aws) -> None:
    del aws
    account = Account(None, REGION)
    first = account.s3
    account.learn_from(_client_error("ThrottlingException"))
    assert account.s3 is first
    account.learn_from(_client_error("ExpiredToken"))
    assert account.s3 is not first
