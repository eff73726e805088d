"""`postgres-etl demo`: the whole pipeline on this machine, with nothing but it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from etl_cli import invocation, options
from etl_cli.clock import Clock
from etl_cli.ending import ExitStatus, ended_well, terminated_as_interrupted
from etl_cli.views.json_lines import write_line

_SCRUB_DIRECTORY = Path(__file__).resolve().parents[1] / "scrub"


def demo(
    scale: Annotated[float, typer.Option(help="Size of the sample database; 1 is about 80 MB.", min=0.01)] = 1.0,
    source: Annotated[
        str | None,
        typer.Option(
            help="Dump this database instead of the sample: a connection string, best without its password, which is "
            "taken from PGPASSWORD or ~/.pgpass.",
            envvar="POSTGRES_ETL_SOURCE",
        ),
    ] = None,
    scrub: Annotated[
        Path, typer.Option(help="Directory of scrub rules.", exists=True, file_okay=False, show_default="scrub/")
    ] = _SCRUB_DIRECTORY,
    keep: Annotated[bool, typer.Option("--keep", help="Hold everything up afterwards, until Ctrl-C.")] = False,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="With --source: show the original values of scrubbed columns, too.")
    ] = False,
    as_json: options.AsJson = False,
    pg_bin: Annotated[
        Path | None,
        typer.Option(help="Directory of the Postgres programs to use, such as /usr/lib/postgresql/17/bin."),
    ] = None,
) -> None:
    """Run the whole pipeline on this machine: no AWS account, no Docker, no Pulumi CLI.

    Starts AWS, Kubernetes and two Postgres servers as processes of this machine, deploys the stack into them with the
    Pulumi program itself, fills a sample database, runs extract, transform and load, and compares source and target
    row by row. Everything is taken down at the end.

    **Examples**

    - See it work: `postgres-etl demo`

    - Look around in it: `postgres-etl demo --keep`

    - With your own data and rules: `postgres-etl demo --source postgresql://me@localhost/shop --scrub rules/`

    **Exit status** — 0 done, and source and target differ as they should; 1 a stage failed, or the comparison found a
    fault; 2 refused (nothing was started); 3 took too long; 4 interrupted or aborted; 75 nobody knows how it ended.
    """
    # moto, Pulumi and the AWS SDK take seconds to load, which --help and completion need not wait for.
    from etl_cli.demonstration.demonstration import Demonstration  # noqa: PLC0415
    from etl_cli.demonstration.end_report import print_end_report  # noqa: PLC0415
    from etl_cli.demonstration.holding import hold  # noqa: PLC0415
    from etl_cli.demonstration.narration import Narrator  # noqa: PLC0415

    console, clock = Console(file=sys.stdout, highlight=False), Clock()
    narrator = Narrator(console, clock, as_json)
    demonstration = Demonstration(
        scale=scale, source=source, scrub_directory=scrub, postgres=pg_bin, show_values=show_values
    )
    status = ExitStatus.DONE
    with ended_well(as_json=as_json), terminated_as_interrupted():
        checked = demonstration.check()
        with demonstration.world(narrator, checked) as world:
            report = demonstration.run(world, clock, as_json=as_json)
            status = report.pipeline.exit_status
            if status is ExitStatus.DONE:
                findings = demonstration.examine(world, report, narrator)
                status = ExitStatus.WORK_FAILED if findings.faults else status
                if as_json:
                    write_line(sys.stdout, findings.document())
                else:
                    print_end_report(console, findings)
            elif as_json:
                write_line(sys.stdout, report.document())
            if keep and status is not ExitStatus.ABORTED:
                hold(world, report.pipeline.execution_name, console, as_json=as_json)
            elif status is ExitStatus.DONE and not as_json:
                again = invocation.again_with("--keep")
                console.print(f"\nTo look around in it, held up: {again}", style="dim", markup=False, soft_wrap=True)
    raise typer.Exit(status)
