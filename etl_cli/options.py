"""The options that several sub-commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_DEPLOYMENT = "What is deployed, and as whom to reach it"

Outputs = Annotated[
    Path | None,
    typer.Option(
        "--outputs",
        envvar="POSTGRES_ETL_OUTPUTS",
        help="Stack outputs (`pulumi stack output --json`) of both stacks, where one stack is both.",
        rich_help_panel=_DEPLOYMENT,
        dir_okay=False,
    ),
]
ExtractOutputs = Annotated[
    Path | None,
    typer.Option(help="Outputs of the stack where the source lives.", rich_help_panel=_DEPLOYMENT, dir_okay=False),
]
LoadOutputs = Annotated[
    Path | None,
    typer.Option(help="Outputs of the stack where the target lives.", rich_help_panel=_DEPLOYMENT, dir_okay=False),
]
ExtractProfile = Annotated[
    str | None,
    typer.Option(help="AWS profile for the account of the source.", rich_help_panel=_DEPLOYMENT),
]
LoadProfile = Annotated[
    str | None,
    typer.Option(help="AWS profile for the account of the target.", rich_help_panel=_DEPLOYMENT),
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option(help="Kubernetes configuration file; else KUBECONFIG.", rich_help_panel=_DEPLOYMENT, dir_okay=False),
]
KubeContext = Annotated[
    str | None,
    typer.Option(help="Context of that file; else its current one.", rich_help_panel=_DEPLOYMENT),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output, for machines.")]
