"""`postgres-etl run`: extract, transform and load one dump, or some of these stages."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from etl_cli import invocation, options
from etl_cli.clock import Clock, Pace
from etl_cli.ending import RefusedError, ended_well, terminated_as_interrupted
from etl_cli.events import Stage
from etl_cli.pipeline import new_execution_name
from etl_cli.stack_outputs import Deployment


def _known_environments(incomplete: str) -> list[str]:
    """Completion of LOAD_ENVIRONMENT from the outputs that the environment names."""
    try:
        names = Deployment.read(Path(os.environ["POSTGRES_ETL_OUTPUTS"]), None).environments()
    except (KeyError, RefusedError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def run(
    load_environment: Annotated[
        str,
        typer.Argument(
            help="The environment to load into.", metavar="LOAD_ENVIRONMENT", autocompletion=_known_environments
        ),
    ],
    execution_name: Annotated[
        str | None,
        typer.Option(help="Name of the run, at most 80 of A-Z a-z 0-9 _ -. By default a new one is made."),
    ] = None,
    stage: Annotated[
        list[Stage] | None, typer.Option(help="Only this stage; may be given again. By default all three.")
    ] = None,
    timeout_minutes: Annotated[float, typer.Option(help="How long to wait for all of it.", min=0.01)] = 12 * 60,
    dispatch_minutes: Annotated[
        float, typer.Option(help="How long the transform's Job may take to appear.", min=0.01)
    ] = 20,
    report: Annotated[
        Path | None, typer.Option(help="Write the final report here, as JSON.", dir_okay=False, writable=True)
    ] = None,
    as_json: options.AsJson = False,
    detach_on_interrupt: Annotated[
        bool,
        typer.Option(
            "--detach-on-interrupt",
            help="Let Ctrl-C leave an extract or a load running, rather than stop it. A transform goes on either way.",
        ),
    ] = False,
    outputs: options.Outputs = None,
    extract_outputs: options.ExtractOutputs = None,
    load_outputs: options.LoadOutputs = None,
    extract_profile: options.ExtractProfile = None,
    load_profile: options.LoadProfile = None,
    kubeconfig: options.Kubeconfig = None,
    kube_context: options.KubeContext = None,
) -> None:
    """Extract, transform and load one dump.

    Starts the extract, follows the transform, starts the load, and shows how far each is. Running the same command
    again with the same `--execution-name` starts nothing twice: it reattaches to what runs and takes what is done as
    done.

    **Examples**

    - Last night's data into dev: `postgres-etl run dev --outputs outputs.json`

    - From one account into another: `postgres-etl run sbx --extract-outputs prod.json --load-outputs sbx.json
      --extract-profile prod --load-profile sbx`

    - One stage a build step: `postgres-etl run dev --stage extract --execution-name nightly-41`, then
      `--stage transform`, then `--stage load` under the same name.

    **Exit status** — 0 done, 1 the work failed, 2 refused (nothing was started), 3 took too long, 4 interrupted or
    aborted, 75 a passing fault, or nobody knows: run it again.
    """
    # boto3 and the Kubernetes client take a second to load, which --help and completion need not wait for.
    from etl_cli.running import RunRequest, run_and_report  # noqa: PLC0415

    with ended_well(as_json=as_json), terminated_as_interrupted():
        stages = tuple(Stage) if not stage else tuple(each for each in Stage if each in stage)
        if execution_name is None and Stage.EXTRACT not in stages:
            raise RefusedError("--execution-name is needed without the extract: it names the dump to go on with")
        if report is not None and not report.absolute().parent.is_dir():
            raise RefusedError(f"the report cannot be written: there is no directory {report.absolute().parent}")
        request = RunRequest(
            environment=load_environment,
            execution_name=execution_name or new_execution_name(load_environment, datetime.now(UTC)),
            stages=stages,
            deployment=Deployment.read(extract_outputs or outputs, load_outputs or outputs),
            extract_profile=extract_profile,
            load_profile=load_profile,
            kubeconfig=kubeconfig,
            kube_context=kube_context,
            timeout_minutes=timeout_minutes,
            detach_on_interrupt=detach_on_interrupt,
            pace=Pace(dispatch=dispatch_minutes * 60),
        )
        ended = run_and_report(request, Clock(), as_json=as_json)
        if report is not None:
            ended.write(report)
        if as_json:
            typer.echo(json.dumps(ended.document(), ensure_ascii=False))
        elif ended.pipeline.exit_status:
            typer.echo(f"look closer with `{invocation.command()} status {request.execution_name}`")
    raise typer.Exit(ended.pipeline.exit_status)
