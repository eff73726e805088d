"""The extract state machine: a source database to a raw dump in the extract bucket."""

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
    given,
    machine,
    refuse_input,
    taken,
    two_attempts,
)


@dataclass(frozen=True, kw_only=True)
class ExtractMachine:
    """What the definition refers to."""

    run: FargateRun
    failure: Failure
    load_environments: Sequence[str]
    bucket: Text
    bucket_owner: str
    timeout_seconds: int


def extract_machine(args: ExtractMachine) -> dict[str, Any]:
    """The definition. Input: `{"LOAD_ENVIRONMENT": <name>}`."""
    environments = sorted(args.load_environments)
    variable = f"$.{Env.LOAD_ENVIRONMENT}"
    manifest = f"{{}}/{{}}/{contract.DUMP_FILENAME}/{contract.MANIFEST_NAME}"
    return machine(
        "Dumps the source database of this environment for one load environment.",
        "ValidateInput",
        args.timeout_seconds,
        {
            "ValidateInput": {
                "Type": "Choice",
                "Comment": "A dump is taken only for an environment that has a load bucket.",
                "Choices": [
                    {
                        "And": [
                            {"Variable": variable, "IsPresent": True},
                            {"Variable": variable, "IsString": True},
                            {"Or": [{"Variable": variable, "StringEquals": name} for name in environments]},
                        ],
                        "Next": "DumpSourceDatabase",
                    }
                ],
                "Default": "RefuseInput",
            },
            "RefuseInput": refuse_input(
                args.failure.stage, f"{Env.LOAD_ENVIRONMENT} must be one of: {', '.join(environments)}"
            ),
            **two_attempts(
                "DumpSourceDatabase",
                "Dumps every table into the extract bucket, the manifest last.",
                args.run,
                [
                    given(Env.DUMP_FILENAME, contract.DUMP_FILENAME),
                    taken(Env.EXECUTION_ID, "$$.Execution.Id"),
                    taken(Env.LOAD_ENVIRONMENT, variable),
                ],
                then="VerifyDump",
            ),
            "VerifyDump": find_manifest(
                "A dump without a manifest does not exist, whatever the task's exit code was.",
                args.bucket,
                args.bucket_owner,
                f"States.Format('{manifest}', {variable}, $$.Execution.Name)",
                then="DumpIsComplete",
            ),
            "DumpIsComplete": {"Type": "Succeed"},
            **answer_for_failure(args.failure),
        },
    )
