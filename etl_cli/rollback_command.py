"""`postgres-etl rollback`: the database that a load replaced is put back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from etl_runtime.contract import ContractError, execution_name

from etl_cli import options
from etl_cli.clock import Clock
from etl_cli.ending import RefusedError, ended_well, terminated_as_interrupted
from etl_cli.events import Stage
from etl_cli.pipeline import new_execution_name
from etl_cli.stack_outputs import Deployment


def rollback(
    load_environment: Annotated[
        str, typer.Argument(help="The environment that was loaded into.", metavar="LOAD_ENVIRONMENT")
    ],
    undone: Annotated[
        str, typer.Argument(help="The run whose load is undone: the one that is live.", metavar="EXECUTION_NAME")
    ],
    timeout_minutes: Annotated[float, typer.Option(help="How long to wait for it.", min=0.01)] = 30,
    as_json: options.AsJson = False,
    outputs: options.Outputs = None,
    load_outputs: options.LoadOutputs = None,
    load_profile: options.LoadProfile = None,
) -> None:
    """Put back the database that a load replaced.

    Swaps the two by name, as the load did; what it brought is kept in its stead, for as long. It works for as long as
    the stack keeps replaced databases (`keepPreviousHours`). Naming the load makes it safe to ask again: what is
    undone stays so, and a later load is never touched.

    **Example** — `postgres-etl rollback dev nightly-41 --outputs outputs.json`; `postgres-etl status` names the runs.

    **Exit status** — as `run`: 0 done, 1 failed (nothing has changed), 2 refused, 3 took too long, 4 interrupted,
    75 a passing fault, or nobody knows: run it again.
    """
    # boto3 takes a second to load, which --help and completion need not wait for.
    from etl_cli.running import RunRequest, run_and_report  # noqa: PLC0415

    with ended_well(as_json=as_json), terminated_as_interrupted():
        try:
            execution_name(undone)
        except ContractError as error:
            raise RefusedError(str(error)) from None
        request = RunRequest(
            environment=load_environment,
            # A name of its own each time: one that has failed may be tried again.
            execution_name=new_execution_name("rollback", datetime.now(UTC)),
            stages=(Stage.LOAD,),
            deployment=Deployment.read(None, load_outputs or outputs),
            load_profile=load_profile,
            timeout_minutes=timeout_minutes,
            undone=undone,
        )
        ended = run_and_report(request, Clock(), as_json=as_json)
        if as_json:
            typer.echo(json.dumps(ended.document(), ensure_ascii=False))
    raise typer.Exit(ended.pipeline.exit_status)
