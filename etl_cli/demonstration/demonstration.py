"""The demonstration from beginning to end: a world on this machine, the run through it, and what came of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from etl_runtime.faults import Fault
from etl_runtime.manifest import Manifest
from etl_runtime.rules import Rules
from etl_runtime.rules_document import read_rules

from etl_cli.aws import AWS_ERRORS, Account, command_error
from etl_cli.clock import Clock, Pace
from etl_cli.demonstration.examples import find_examples
from etl_cli.demonstration.findings import Findings, services
from etl_cli.demonstration.narration import Narrator
from etl_cli.demonstration.source import Source, reach
from etl_cli.dumps import Dumps
from etl_cli.ending import CommandError, RefusedError
from etl_cli.events import Stage
from etl_cli.pipeline import new_execution_name
from etl_cli.quantities import bytes_text, count_text
from etl_cli.run_report import RunReport
from etl_cli.run_request import RunRequest
from etl_cli.running import run_and_report
from etl_cli.stack_outputs import Deployment
from etl_local.clusters import ClusterError
from etl_local.comparison import compare
from etl_local.databases import SourceError
from etl_local.engine import DeploymentError
from etl_local.postgres_installation import PostgresInstallation, PostgresMissingError
from etl_local.sample.marketplace import SAMPLE_BYTES, generate
from etl_local.stack_configuration import rules_faults
from etl_local.standin import StandIn

_COPIES = 6
"""Copies of a database that a demonstration has on disk at once, at most: source, target, scratch, dumps, their WAL."""
_BASE_BYTES = 500_000_000
_PACE = Pace(state=0.4, progress=0.2, dispatch=60, blind=30, settle=3)
_ROWS_SHOWN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """What to demonstrate.

    Attributes:
        scale: size of the sample; 1 is about 80 MB.
        source: a connection string of the user's own database; None for the sample.
        scrub_directory: the rules.
        postgres: directory of the Postgres programs; None for those of the wheel.
        show_values: whether values of the user's own database may be printed.
        timeout_minutes: how long the run may take.
    """

    scale: float
    source: str | None
    scrub_directory: Path
    postgres: Path | None
    show_values: bool
    timeout_minutes: float = 60

    def check(self) -> Checked:
        """See that it can be done, before anything is started.

        Raises:
            RefusedError: the rules do not parse, the source cannot be reached, or the disk is too small.
        """
        try:
            rules = read_rules(self.scrub_directory)
        except (Fault, OSError) as error:
            raise RefusedError(f"{self.scrub_directory}: {error}") from None
        if faults := rules_faults(self.scrub_directory):
            raise RefusedError(f"{self.scrub_directory}: {'; '.join(faults)}")
        source = reach(self.source) if self.source is not None else None
        size = source.database_bytes if source else self.scale * SAMPLE_BYTES
        directory = Path(tempfile.gettempdir())
        free, wanted = shutil.disk_usage(directory).free, _BASE_BYTES + _COPIES * size
        if free < wanted:
            smaller = "set TMPDIR to a directory on a larger disk" + (
                "" if source else ", or ask for a smaller --scale"
            )
            raise RefusedError(
                f"no space: {directory} has {bytes_text(free)} free, and this wants {bytes_text(wanted)}: {smaller}"
            )
        return Checked(rules, source)

    @contextmanager
    def world(self, narrator: Narrator, checked: Checked) -> Iterator[World]:
        """Start everything and fill the source; at the end take all of it down.

        Raises:
            CommandError: something did not start.
        """
        deployed: Counter[str] = Counter()
        source = checked.source

        def note(event: str, /, **fields: Any) -> None:
            if event == "resource_made":
                deployed[str(fields["type"])] += 1

        with ExitStack() as stack:
            try:
                installation = PostgresInstallation.in_directory(self.postgres) if self.postgres else None
                stand_in = StandIn(
                    scrub_directory=self.scrub_directory,
                    source_dsn=source.dsn if source else None,
                    installation=installation,
                    on_event=note,
                )
                with narrator.step("stand-in", "starting AWS, Kubernetes and Postgres, deploying the stack") as step:
                    stack.enter_context(stand_in)
                    resources = services(deployed).total()
                    step.fields = {"resources": resources}
                    step.result = f"AWS, Kubernetes and Postgres, with {count_text(resources, 'resource')}"
            except (PostgresMissingError, SourceError) as error:
                raise RefusedError(_one_line(error)) from None
            except (ClusterError, DeploymentError, OSError) as error:
                raise CommandError(f"the stand-in did not start: {_one_line(error)}") from None
            stack.enter_context(_surroundings(stand_in.environment()))
            if source is None:
                self._fill(narrator, stand_in.source_dsn)
            yield World(stand_in, deployed, checked.rules, is_sample=source is None)

    def _fill(self, narrator: Narrator, dsn: str) -> None:
        with narrator.step("sample", "generating the sample marketplace") as step:
            try:
                made = generate(dsn, self.scale)
            except psycopg.Error as error:
                raise CommandError(f"the sample could not be generated: {_one_line(error)}") from None
            step.fields = {"bytes": made.database_bytes}
            step.result = f"{bytes_text(made.database_bytes)} of synthetic marketplace"

    def run(self, world: World, clock: Clock, *, as_json: bool) -> RunReport:
        """Run the pipeline through the world, as `postgres-etl run` does.

        Raises:
            CommandError: it could not be started.
        """
        outputs = world.stand_in.outputs_file
        environment = str(world.stand_in.outputs["environment"])
        request = RunRequest(
            environment=environment,
            execution_name=new_execution_name(environment, clock.now()),
            stages=tuple(Stage),
            deployment=Deployment.read(outputs, outputs),
            timeout_minutes=self.timeout_minutes,
            pace=_PACE,
            is_ephemeral=True,
        )
        return run_and_report(request, clock, as_json=as_json)

    def examine(self, world: World, report: RunReport, narrator: Narrator) -> Findings:
        """Compare source and target after a run that succeeded.

        Raises:
            CommandError: a database could not be read.
        """
        with narrator.step("comparison", "comparing every row of source and target") as step:
            source, target = world.stand_in.source_dsn, world.stand_in.target_dsn
            clean = _clean_manifest(world, report)
            try:
                comparison = compare(source, target)
                examples = find_examples(
                    source,
                    target,
                    clean.cleaning.proof.get("columns", []) if clean.cleaning else [],
                    rows=_ROWS_SHOWN,
                    show_before=world.is_sample or self.show_values,
                )
            except psycopg.Error as error:
                raise CommandError(f"source and target could not be compared: {_one_line(error)}") from None
            step.fields = {"tables": len(comparison.tables)}
            step.result = f"every row of {count_text(len(comparison.tables), 'table')}"
        return Findings(
            deployed=world.deployed,
            report=report,
            clean=clean,
            rules=world.rules,
            comparison=comparison,
            examples=examples,
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """What a demonstration goes by: the rules, and the user's own source, None for the sample."""

    rules: Rules
    source: Source | None


@dataclass(frozen=True, slots=True)
class World:
    """A running stand-in, what was deployed in it by which rules, and whether its data is the synthetic sample."""

    stand_in: StandIn
    deployed: Mapping[str, int]
    rules: Rules
    is_sample: bool


def _clean_manifest(world: World, report: RunReport) -> Manifest:
    outputs = world.stand_in.outputs
    bucket = Deployment.read(world.stand_in.outputs_file, None).load_bucket(report.pipeline.environment)
    try:
        manifest = Dumps(Account(None, str(outputs["region"])), bucket, "clean").find(report.prefix)
    except AWS_ERRORS as error:
        raise command_error("the clean dump could not be read", error) from None
    if manifest is None:
        raise CommandError("the clean dump that was loaded is gone")
    return manifest


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


@contextmanager
def _surroundings(environment: Mapping[str, str]) -> Iterator[None]:
    """The variables of the stand-in as this process's own, and none that would lead to a real account."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
