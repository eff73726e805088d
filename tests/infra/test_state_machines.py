"""The two state machines: their whole definitions."""

from typing import Any

from tests.infra.engine import Deployment
from tests.infra.machine_states import (
    TO_FAILURE,
    TO_SECOND_ATTEMPT,
    attempt,
    failure,
    find_manifest,
    is_worth_a_second_attempt,
)

PROD = "974531504241"
SBX = "665505400356"


def definition(deployment: Deployment) -> dict[str, Any]:
    """The definition of a stack's only state machine."""
    return deployment.one("StateMachine").document("definition")


def test_the_extract_machine_is_this(prod: Deployment) -> None:
    dump = attempt(
        PROD,
        "prod",
        "extract",
        "pg_dump",
        [
            {"Name": "DUMP_FILENAME", "Value": "etl-dump"},
            {"Name": "EXECUTION_ID", "Value.$": "$$.Execution.Id"},
            {"Name": "LOAD_ENVIRONMENT", "Value.$": "$.LOAD_ENVIRONMENT"},
        ],
    )
    comment = "Dumps every table into the extract bucket, the manifest last."
    assert definition(prod) == {
        "Comment": "Dumps the source database of this environment for one load environment.",
        "StartAt": "ValidateInput",
        "TimeoutSeconds": 2 * (21600 + 3600) + 600,
        "States": {
            "ValidateInput": {
                "Type": "Choice",
                "Comment": "A dump is taken only for an environment that has a load bucket.",
                "Choices": [
                    {
                        "And": [
                            {"Variable": "$.LOAD_ENVIRONMENT", "IsPresent": True},
                            {"Variable": "$.LOAD_ENVIRONMENT", "IsString": True},
                            {
                                "Or": [
                                    {"Variable": "$.LOAD_ENVIRONMENT", "StringEquals": "dev"},
                                    {"Variable": "$.LOAD_ENVIRONMENT", "StringEquals": "sbx"},
                                ]
                            },
                        ],
                        "Next": "DumpSourceDatabase",
                    }
                ],
                "Default": "RefuseInput",
            },
            "RefuseInput": {
                "Type": "Fail",
                "Error": "Extract.InputRefused",
                "Cause": "LOAD_ENVIRONMENT must be one of: dev, sbx",
            },
            "DumpSourceDatabase": {
                **dump,
                "Comment": comment,
                "Next": "VerifyDump",
                "Catch": [TO_SECOND_ATTEMPT, TO_FAILURE],
            },
            "IsFailureWorthASecondAttempt": is_worth_a_second_attempt("DumpSourceDatabase"),
            "DumpSourceDatabaseAgain": {
                **dump,
                "Comment": f"{comment} Second and last attempt.",
                "Next": "VerifyDump",
                "Catch": [TO_FAILURE],
            },
            "VerifyDump": {
                **find_manifest(
                    f"postgres-etl-extract-prod-{PROD}",
                    PROD,
                    "States.Format('{}/{}/etl-dump/manifest.json', $.LOAD_ENVIRONMENT, $$.Execution.Name)",
                ),
                "Comment": "A dump without a manifest does not exist, whatever the task's exit code was.",
                "Next": "DumpIsComplete",
            },
            "DumpIsComplete": {"Type": "Succeed"},
            **failure(
                "Extract", f"arn:aws:sns:eu-west-2:{PROD}:postgres-etl-alarms-prod", "/postgres-etl/prod/pg_dump"
            ),
        },
    }


def test_the_load_machine_is_this(sbx: Deployment) -> None:
    restore = attempt(
        SBX,
        "sbx",
        "load",
        "pg_restore",
        [
            {"Name": "EXECUTION_ID", "Value.$": "$$.Execution.Id"},
            {"Name": "LOAD_FILENAME", "Value.$": "$.LOAD_FILENAME"},
        ],
    )
    back = attempt(
        SBX,
        "sbx",
        "load",
        "pg_restore",
        [
            {"Name": "EXECUTION_ID", "Value.$": "$$.Execution.Id"},
            {"Name": "ROLLBACK", "Value.$": "$.ROLLBACK"},
        ],
    )
    comment = "Restores beside the target database, compares, then swaps the two by name."
    assert definition(sbx) == {
        "Comment": "Restores one cleaned dump of this environment into the target database, or puts back what a load "
        "replaced.",
        "StartAt": "ValidateInput",
        "TimeoutSeconds": 2 * (21600 + 3600) + 600,
        "States": {
            "ValidateInput": {
                "Type": "Choice",
                "Comment": "Only a dump made for this environment, named by a plain prefix of three parts, and nothing "
                "in an account whose data is personal: which that is, the execution's own id says.",
                "Choices": [
                    {
                        "Variable": "$$.Execution.Id",
                        "StringMatches": "arn:aws:states:*:974531504241:*",
                        "Next": "RefuseTarget",
                    },
                    {
                        "And": [
                            {"Variable": "$.ROLLBACK", "IsPresent": True},
                            {"Variable": "$.ROLLBACK", "IsString": True},
                            {"Not": {"Variable": "$.ROLLBACK", "StringEquals": ""}},
                            {"Not": {"Variable": "$.LOAD_FILENAME", "IsPresent": True}},
                        ],
                        "Next": "PutPreviousDatabaseBack",
                    },
                    {
                        "And": [
                            {"Not": {"Variable": "$.ROLLBACK", "IsPresent": True}},
                            {"Variable": "$.LOAD_FILENAME", "IsPresent": True},
                            {"Variable": "$.LOAD_FILENAME", "IsString": True},
                            {"Variable": "$.LOAD_FILENAME", "StringMatches": "sbx/*/*"},
                            {"Not": {"Variable": "$.LOAD_FILENAME", "StringMatches": "sbx/*/*/*"}},
                            {"Not": {"Variable": "$.LOAD_FILENAME", "StringMatches": "*..*"}},
                        ],
                        "Next": "FindCleanedDump",
                    },
                ],
                "Default": "RefuseInput",
            },
            "RefuseInput": {
                "Type": "Fail",
                "Error": "Load.InputRefused",
                "Cause": "LOAD_FILENAME must be sbx/<execution name>/<dump filename>, or ROLLBACK alone the name of "
                "the execution whose load is to be undone.",
            },
            "RefuseTarget": {
                "Type": "Fail",
                "Error": "Load.TargetRefused",
                "Cause": "This account's data is personal: nothing is loaded into it.",
            },
            "FindCleanedDump": {
                **find_manifest(
                    f"postgres-etl-load-sbx-{SBX}", SBX, "States.Format('{}/manifest.json', $.LOAD_FILENAME)"
                ),
                "Comment": "A dump without a manifest does not exist: nothing is started for it.",
                "Next": "RestoreCleanedDump",
                "Catch": [
                    {
                        "ErrorEquals": ["S3.NoSuchKeyException", "S3.S3Exception"],
                        "ResultPath": "$.error",
                        "Next": "IsDumpMissing",
                    },
                    TO_FAILURE,
                ],
            },
            "IsDumpMissing": {
                "Type": "Choice",
                "Comment": "Of a missing object S3 says 403 to who may not list.",
                "Choices": [
                    {"Variable": "$.error.Cause", "StringMatches": "*Status Code: 404*", "Next": "RefuseMissingDump"},
                    {"Variable": "$.error.Cause", "StringMatches": "*Status Code: 403*", "Next": "RefuseMissingDump"},
                ],
                "Default": "NotifyFailure",
            },
            "RefuseMissingDump": {
                "Type": "Fail",
                "Error": "Load.DumpMissing",
                "Cause": "There is no manifest at LOAD_FILENAME in the load bucket, or this machine may not read it: "
                "name a dump that was cleaned and has not expired.",
            },
            "RestoreCleanedDump": {
                **restore,
                "Comment": comment,
                "Next": "TargetIsReplaced",
                "Catch": [TO_SECOND_ATTEMPT, TO_FAILURE],
            },
            "IsFailureWorthASecondAttempt": is_worth_a_second_attempt("RestoreCleanedDump"),
            "RestoreCleanedDumpAgain": {
                **restore,
                "Comment": f"{comment} Second and last attempt.",
                "Next": "TargetIsReplaced",
                "Catch": [TO_FAILURE],
            },
            "TargetIsReplaced": {"Type": "Succeed"},
            "PutPreviousDatabaseBack": {
                **back,
                "Comment": "Swaps the target database for the one that a load replaced.",
                "Next": "TargetIsRolledBack",
                "Catch": [TO_FAILURE],
            },
            "TargetIsRolledBack": {"Type": "Succeed"},
            **failure("Load", f"arn:aws:sns:eu-west-2:{SBX}:postgres-etl-alarms-sbx", "/postgres-etl/sbx/pg_restore"),
        },
    }
