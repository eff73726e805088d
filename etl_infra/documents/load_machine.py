"""The load state machine: a cleaned dump in the load bucket to the target database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from etl_runtime import contract
from etl_runtime.contract import Env

from etl_infra.documents.iam import Text
from etl_infra.documents.state_machine import (
    Failure,
    FargateRun,
    answer_for_failure,
    find_manifest,
    is_missing,
    machine,
    one_attempt,
    refuse_input,
    taken,
    two_attempts,
)


@dataclass(frozen=True, kw_only=True)
class LoadMachine:
    """What the definition refers to, and the accounts in which it loads nothing, wherever it was copied from."""

    run: FargateRun
    failure: Failure
    environment: str
    closed_account_ids: Sequence[str]
    bucket: Text
    bucket_owner: str
    timeout_seconds: int


def load_machine(args: LoadMachine) -> dict[str, Any]:
    """The definition.

    Input: `{"LOAD_FILENAME": "<environment>/<execution name>/<dump filename>"}`, or, to undo the load of an execution,
    `{"ROLLBACK": "<its name>"}`.
    """
    variable, rollback = f"$.{Env.LOAD_FILENAME}", f"$.{Env.ROLLBACK}"
    prefix = f"{args.environment}/*/*"
    return machine(
        "Restores one cleaned dump of this environment into the target database, or puts back what a load replaced.",
        "ValidateInput",
        args.timeout_seconds,
        {
            "ValidateInput": {
                "Type": "Choice",
                "Comment": "Only a dump made for this environment, named by a plain prefix of three parts, and nothing "
                "in an account whose data is personal: which that is, the execution's own id says.",
                "Choices": [
                    *(
                        {
                            "Variable": "$$.Execution.Id",
                            "StringMatches": f"arn:aws:states:*:{account}:*",
                            "Next": "RefuseTarget",
                        }
                        for account in args.closed_account_ids
                    ),
                    {
                        "And": [
                            {"Variable": rollback, "IsPresent": True},
                            {"Variable": rollback, "IsString": True},
                            {"Not": {"Variable": rollback, "StringEquals": ""}},
                            {"Not": {"Variable": variable, "IsPresent": True}},
                        ],
                        "Next": "PutPreviousDatabaseBack",
                    },
                    {
                        "And": [
                            {"Not": {"Variable": rollback, "IsPresent": True}},
                            {"Variable": variable, "IsPresent": True},
                            {"Variable": variable, "IsString": True},
                            {"Variable": variable, "StringMatches": prefix},
                            {"Not": {"Variable": variable, "StringMatches": f"{prefix}/*"}},
                            {"Not": {"Variable": variable, "StringMatches": "*..*"}},
                        ],
                        "Next": "FindCleanedDump",
                    },
                ],
                "Default": "RefuseInput",
            },
            "RefuseInput": refuse_input(
                args.failure.stage,
                f"{Env.LOAD_FILENAME} must be {args.environment}/<execution name>/<dump filename>, or {Env.ROLLBACK} "
                "alone the name of the execution whose load is to be undone.",
            ),
            **(
                {
                    "RefuseTarget": {
                        "Type": "Fail",
                        "Error": f"{args.failure.stage}.TargetRefused",
                        "Cause": "This account's data is personal: nothing is loaded into it.",
                    }
                }
                if args.closed_account_ids
                else {}
            ),
            "FindCleanedDump": find_manifest(
                "A dump without a manifest does not exist: nothing is started for it.",
                args.bucket,
                args.bucket_owner,
                f"States.Format('{{}}/{contract.MANIFEST_NAME}', {variable})",
                then="RestoreCleanedDump",
                unless_answered="IsDumpMissing",
            ),
            "IsDumpMissing": is_missing("Of a missing object S3 says 403 to who may not list.", "RefuseMissingDump"),
            "RefuseMissingDump": {
                "Type": "Fail",
                "Error": f"{args.failure.stage}.DumpMissing",
                "Cause": f"There is no manifest at {Env.LOAD_FILENAME} in the load bucket, or this machine may not "
                "read it: name a dump that was cleaned and has not expired.",
            },
            **two_attempts(
                "RestoreCleanedDump",
                "Restores beside the target database, compares, then swaps the two by name.",
                args.run,
                [
                    taken(Env.EXECUTION_ID, "$$.Execution.Id"),
                    taken(Env.LOAD_FILENAME, variable),
                ],
                then="TargetIsReplaced",
            ),
            "TargetIsReplaced": {"Type": "Succeed"},
            **one_attempt(
                "PutPreviousDatabaseBack",
                "Swaps the target database for the one that a load replaced.",
                args.run,
                [
                    taken(Env.EXECUTION_ID, "$$.Execution.Id"),
                    taken(Env.ROLLBACK, rollback),
                ],
                then="TargetIsRolledBack",
            ),
            "TargetIsRolledBack": {"Type": "Succeed"},
            **answer_for_failure(args.failure),
        },
    )
