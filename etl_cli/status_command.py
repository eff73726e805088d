"""`postgres-etl status`: how things stand."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console

from etl_cli import options
from etl_cli.ending import ended_well
from etl_cli.events import Stage
from etl_cli.stack_outputs import Deployment


def status(
    execution_name: Annotated[
        str | None, typer.Argument(help="One run, by its execution name.", metavar="[EXECUTION_NAME]")
    ] = None,
    environment: Annotated[str | None, typer.Option(help="Only runs that load into this environment.")] = None,
    most: Annotated[int, typer.Option(help="How many runs to show.", min=1, max=100)] = 5,
    as_json: options.AsJson = False,
    outputs: options.Outputs = None,
    extract_outputs: options.ExtractOutputs = None,
    load_outputs: options.LoadOutputs = None,
    extract_profile: options.ExtractProfile = None,
    load_profile: options.LoadProfile = None,
    kubeconfig: options.Kubeconfig = None,
    kube_context: options.KubeContext = None,
) -> None:
    """Show the latest runs, their dumps and the queues.

    Looks only; what the caller may not see is named and left out.

    **Examples**

    - What ran lately: `postgres-etl status --outputs outputs.json`

    - One run: `postgres-etl status nightly-41`

    **Exit status** — 0 shown, however the runs stand; 2 refused (there is no such run, or no such stack);
    4 interrupted.
    """
    # boto3 and the Kubernetes client take a second to load, which --help and completion need not wait for.
    from etl_cli.observer import Observer, TransformJobs  # noqa: PLC0415
    from etl_cli.views.standing_lines import standing_lines  # noqa: PLC0415

    with ended_well(as_json=as_json):
        observer = Observer(
            deployment=Deployment.read(extract_outputs or outputs, load_outputs or outputs),
            profiles={Stage.EXTRACT: extract_profile, Stage.LOAD: load_profile},
            open_jobs=lambda namespace: TransformJobs(namespace, kubeconfig, kube_context),
        )
        standing = observer.look(execution_name, environment, most)
        if as_json:
            typer.echo(json.dumps(standing.document(), ensure_ascii=False))
        else:
            console = Console(file=sys.stdout, highlight=False)
            for line in standing_lines(standing):
                console.print(line, soft_wrap=True)
