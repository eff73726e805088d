"""A Step Functions state machine: executions that are started once under a name, looked at and stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from etl_cli.aws import Account, error_code
from etl_cli.ending import CommandError, ExitStatus, RefusedError
from etl_cli.events import State

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

_STATES = {
    "RUNNING": State.RUNNING,
    "PENDING_REDRIVE": State.RUNNING,
    "SUCCEEDED": State.SUCCEEDED,
    "FAILED": State.FAILED,
    "TIMED_OUT": State.TIMED_OUT,
    "ABORTED": State.ABORTED,
}
_LONGEST_CAUSE = 200


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution as it was last seen."""

    arn: str
    state: State
    input: Any
    started_at: datetime
    ended_at: datetime | None
    reason: str
    """Why it ended, where it did not succeed: the error's name, and its cause as far as that is of codes."""


def _reason(error: str, cause: str) -> str:
    try:
        document = json.loads(cause)
    except ValueError:
        document = None
    if isinstance(document, dict):  # a whole ECS task, environment and all: only its codes are for people
        containers: list[dict[str, Any]] = document.get("Containers") or [{}]
        codes = [document.get("StopCode"), *(f"exit code {c['ExitCode']}" for c in containers if "ExitCode" in c)]
        cause = ", ".join(str(code) for code in codes if code)
    line = " ".join(cause.split())
    line = line if len(line) <= _LONGEST_CAUSE else line[: _LONGEST_CAUSE - 1] + "…"
    return ": ".join(part for part in (error, line) if part)


def _execution(answer: DescribeExecutionOutputTypeDef) -> Execution:
    return Execution(
        arn=answer["executionArn"],
        state=_STATES.get(answer["status"], State.UNKNOWN),
        input=json.loads(answer.get("input") or "null"),
        started_at=answer["startDate"],
        ended_at=answer.get("stopDate"),
        reason=_reason(answer.get("error") or "", answer.get("cause") or ""),
    )


@dataclass(frozen=True, slots=True)
class StateMachine:
    """One state machine of an account, by its ARN."""

    account: Account
    arn: str

    def execution_arn(self, name: str) -> str:
        """The ARN that an execution of this name has."""
        head, _, machine = self.arn.rpartition(":stateMachine:")
        return f"{head}:execution:{machine}:{name}"

    def find(self, name: str) -> Execution | None:
        """The execution of this name, or None where there is none.

        Raises:
            botocore.exceptions.ClientError: AWS refused for another reason.
            botocore.exceptions.BotoCoreError: AWS could not be asked.
        """
        try:
            answer = self.account.step_functions.describe_execution(executionArn=self.execution_arn(name))
        except ClientError as error:
            if error_code(error) == "ExecutionDoesNotExist":
                return None
            raise
        return _execution(answer)

    def latest(self, most: int) -> list[str]:
        """Names of the latest executions, newest first.

        Raises:
            botocore.exceptions.ClientError: AWS refused.
            botocore.exceptions.BotoCoreError: AWS could not be asked.
        """
        answer = self.account.step_functions.list_executions(stateMachineArn=self.arn, maxResults=most)
        return [execution["name"] for execution in answer["executions"]]

    def start(self, name: str, document: Mapping[str, str]) -> tuple[Execution | None, bool]:
        """Have an execution of this name and input: start it unless it was started before.

        Returns:
            The execution, None while AWS does not show it yet; and whether it was started here and now.

        Raises:
            RefusedError: the name belongs to an execution with another input.
            CommandError: AWS says that the name is taken, yet does not show by what.
            botocore.exceptions.ClientError: AWS refused for another reason.
            botocore.exceptions.BotoCoreError: AWS could not be asked.
        """
        found = self.find(name)
        if found is None:
            try:
                self.account.step_functions.start_execution(
                    stateMachineArn=self.arn, name=name, input=json.dumps(dict(document))
                )
            except ClientError as error:
                if error_code(error) != "ExecutionAlreadyExists":
                    raise
            else:
                return self.find(name), True
            found = self.find(name)
        if found is None:
            raise CommandError(f"execution {name} exists but is not shown yet: run it again", ExitStatus.UNKNOWN)
        if found.input != document:
            raise RefusedError(
                f"execution {name} exists with another input, {json.dumps(found.input)}: take another --execution-name"
            )
        return found, False

    def stop(self, name: str) -> bool:
        """Tell an execution to end, whose task Step Functions then stops; False where there is none of this name.

        An execution that has ended stays as it ended: only `find` tells what became of it.

        Raises:
            botocore.exceptions.ClientError: AWS refused.
            botocore.exceptions.BotoCoreError: AWS could not be asked.
        """
        try:
            self.account.step_functions.stop_execution(
                executionArn=self.execution_arn(name), error="Stopped.ByOperator", cause="stopped by postgres-etl"
            )
        except ClientError as error:
            if error_code(error) == "ExecutionDoesNotExist":
                return False
            raise
        return True
