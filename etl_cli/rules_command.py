"""`postgres-etl rules`: the rules of a scrub directory, before a night depends on them."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from etl_runtime.contract import RULES_FILE

from etl_cli.ending import ExitStatus, RefusedError, ended_well
from etl_cli.quantities import count_text
from etl_cli.rules.against import Against
from etl_cli.rules.findings import Format, Severity, counts_text, finding_lines
from etl_cli.rules.options import AgainstOption, DumpOption, Programs, ScrubDirectory, SourceOption, named_schema

_SCRUB_DIRECTORY = Path("scrub")

rules = typer.Typer(
    name="rules",
    help="Check the rules that say what is personal; begin them from a database; see what they do and what changed.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@rules.command()
def check(
    scrub: ScrubDirectory = _SCRUB_DIRECTORY,
    against: AgainstOption = None,
    source: SourceOption = None,
    dump: DumpOption = None,
    output: Annotated[
        Format, typer.Option("--format", help="How findings are written: `github` annotates a pull request's lines.")
    ] = Format.TEXT,
    pg_bin: Programs = None,
) -> None:
    """Hold the rules against a schema, and tell everything that is wrong with them at once.

    Needs no database: the schema is `schema.yaml` beside the rules (see `rules snapshot`), made empty in a Postgres
    that is gone afterwards. Every expression is tried there.

    **Examples**

    - On every pull request: `postgres-etl rules check --format github`

    - Against what production has today: `postgres-etl rules check --source production`

    **Exit status** — 0 nothing is wrong, though there may be warnings; 1 there are errors; 2 refused (nothing could be
    checked); 4 interrupted.
    """
    from etl_cli.rules.check import check_rules, prepare_scratch  # noqa: PLC0415
    from etl_cli.rules.schema_source import Origin, schema_of  # noqa: PLC0415
    from etl_cli.rules.scratch_server import scratch_server  # noqa: PLC0415

    with ended_well():
        origin = Origin(named_schema(against, source, dump), source or "", dump, scrub)
        schema = schema_of(origin, pg_bin)
        with scratch_server(pg_bin) as scratch:
            findings = check_rules(scrub, schema, scratch, prepare_scratch(scratch, schema))
        findings += origin.drift(schema)
        for line in finding_lines(findings, output):
            typer.echo(line)
        if output is not Format.JSON:
            typer.echo(f"{counts_text(findings)} in {scrub} against the {origin.name}", err=output is Format.GITHUB)
    raise typer.Exit(_status(any(finding.severity is Severity.ERROR for finding in findings)))


@rules.command()
def init(
    scrub: Annotated[Path, typer.Option("--scrub", help="Directory to write to.", file_okay=False)] = _SCRUB_DIRECTORY,
    source: SourceOption = None,
    dump: DumpOption = None,
    rows: Annotated[int, typer.Option(help="How many rows of each table to look at.", min=0, max=10_000)] = 300,
    pg_bin: Programs = None,
) -> None:
    """Write a first `columns.yaml`, and the snapshot that it is checked against.

    A rule is suggested where a type, a name and a sample of the values agree; everything else is a TODO, to be decided
    by a person. No value is written or shown.

    **Examples**

    - From production: `postgres-etl rules init --source production --scrub my-scrub`

    - From a dump: `postgres-etl rules init --dump nightly/ --scrub my-scrub`

    **Exit status** — 0 written; 2 refused (there are rules already, or the source cannot be had); 4 interrupted.
    """
    from etl_runtime.rules_document import UNDECIDED  # noqa: PLC0415

    from etl_cli.rules.draft import draft_rules  # noqa: PLC0415
    from etl_cli.rules.rows import opened  # noqa: PLC0415
    from etl_cli.rules.schema_snapshot import SNAPSHOT_FILE, snapshot_text  # noqa: PLC0415
    from etl_cli.rules.schema_source import Origin  # noqa: PLC0415

    with ended_well():
        path = scrub / RULES_FILE
        if path.exists():
            raise RefusedError(f"{path} exists: `rules check` tells what it lacks; name another directory for a draft")
        origin = Origin(named_schema(None, source, dump, otherwise=Against.LIVE), source or "", dump, scrub)
        with opened(origin, pg_bin) as (schema, values):
            text = draft_rules(schema, values, rows)
        scrub.mkdir(parents=True, exist_ok=True)
        (scrub / SNAPSHOT_FILE).write_text(snapshot_text(schema), encoding="utf-8")
        path.write_text(text, encoding="utf-8")
        undecided = len(re.findall(rf": {UNDECIDED}(?=\s)", text))
        typer.echo(f"{path}: {count_text(len(schema.with_rows), 'table')}, {undecided} to decide ({UNDECIDED})")
        typer.echo(f"{scrub / SNAPSHOT_FILE}: what `postgres-etl rules check --scrub {scrub}` holds it against")


@rules.command()
def preview(
    scrub: ScrubDirectory = _SCRUB_DIRECTORY,
    source: SourceOption = None,
    dump: DumpOption = None,
    table: Annotated[
        list[str] | None, typer.Option(help="Only this table, as the rules name it; may be repeated.")
    ] = None,
    rows: Annotated[int, typer.Option(help="How many rows of each table to look at.", min=1, max=100)] = 5,
    show_values: Annotated[
        bool,
        typer.Option("--show-values", help="Show originals, which are personal data, on this terminal; nowhere else."),
    ] = False,
    pg_bin: Programs = None,
) -> None:
    """Show what the rules make of a few rows.

    Originals are masked, and so is every word of the result that was in the original. The pseudonyms are of a key of
    the moment: a run gives others. Neither scripts nor functions of the database's own run.

    **Examples**

    - From a dump: `postgres-etl rules preview --dump nightly/ --table public.users`

    - With the originals, at a terminal: `postgres-etl rules preview --source production --show-values`

    **Exit status** — 0 shown; 1 an expression fails with these rows; 2 refused (nothing was shown); 4 interrupted.
    """
    from etl_cli.rules.check import prepare_scratch  # noqa: PLC0415
    from etl_cli.rules.inspection import Inspection  # noqa: PLC0415
    from etl_cli.rules.preview import preview_lines, preview_rows  # noqa: PLC0415
    from etl_cli.rules.rows import opened  # noqa: PLC0415
    from etl_cli.rules.rule_sets import rule_set  # noqa: PLC0415
    from etl_cli.rules.schema_source import Origin  # noqa: PLC0415
    from etl_cli.rules.scratch_server import scratch_server  # noqa: PLC0415

    with ended_well():
        if show_values and not sys.stdout.isatty():
            raise RefusedError("--show-values prints personal data: it goes to a terminal, and to no file or pipe")
        origin = Origin(named_schema(None, source, dump, otherwise=Against.LIVE), source or "", dump, scrub)
        found = rule_set(scrub).rules
        with opened(origin, pg_bin) as (schema, values), scratch_server(pg_bin) as scratch:
            inspection = Inspection(found, schema, str(scrub / RULES_FILE))
            if unknown := [name for name in table or () if name not in inspection.tables]:
                raise RefusedError(f"{', '.join(unknown)}: no table that has rows and a rule")
            prepare_scratch(scratch, schema)
            with scratch.connect() as connection:
                for ruled in inspection.tables.values():
                    if (ruled.table.name not in table) if table else not (ruled.changed or ruled.loses_rows):
                        continue
                    read = [] if ruled.is_emptied else values.rows(ruled.table, rows)
                    after = preview_rows(connection, schema, ruled, read)
                    for line in preview_lines(ruled, len(read), after, is_masked=not show_values):
                        typer.echo(line)


@rules.command()
def diff(
    before: Annotated[
        str,
        typer.Option(
            "--from",
            help="What to compare with: another scrub directory, a revision that git knows, or the manifest.json of a "
            "clean dump, whose rules are looked for in git.",
        ),
    ] = "HEAD",
    scrub: ScrubDirectory = _SCRUB_DIRECTORY,
    output: Annotated[
        Format, typer.Option("--format", help="How changes are written; github is as text.")
    ] = Format.TEXT,
) -> None:
    """Show what changed in the rules, the schema beside them and the scripts.

    Changes that release more than before come first, marked `!`: a column that is kept now, a weaker proof, a filter
    or a path that is gone.

    **Examples**

    - In a pull request: `postgres-etl rules diff --from origin/main`

    - Since the dump that is loaded: `postgres-etl rules diff --from manifest.json`

    **Exit status** — 0 shown, whether there are changes or not; 2 refused; 4 interrupted.
    """
    from etl_cli.rules.changes import changes  # noqa: PLC0415
    from etl_cli.rules.rule_sets import earlier_rule_set, rule_set  # noqa: PLC0415

    with ended_well():
        earlier, name = earlier_rule_set(scrub, before)
        found = changes(earlier, rule_set(scrub))
        for change in found:
            typer.echo(json.dumps(asdict(change), ensure_ascii=False) if output is Format.JSON else change.line)
        if output is not Format.JSON:
            more = sum(change.releases_more for change in found)
            typer.echo(f"{count_text(len(found), 'change')} since {name}, {more} of them may release more")


@rules.command()
def snapshot(
    scrub: ScrubDirectory = _SCRUB_DIRECTORY,
    source: SourceOption = None,
    dump: DumpOption = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Write nothing; exit 1 where the file is not what would be written.")
    ] = False,
    pg_bin: Programs = None,
) -> None:
    """Write the schema of a database as `schema.yaml` beside the rules, to be committed with them.

    It holds names, types and constraints, and no row; what comments, defaults and functions say is not in it either.

    **Examples**

    - After a migration: `postgres-etl rules snapshot --source production`

    - From a dump: `postgres-etl rules snapshot --dump nightly/`

    **Exit status** — 0 written, or as it should be; 1 --verify found a difference; 2 refused (nothing was written);
    4 interrupted.
    """
    from etl_cli.rules.schema_snapshot import SNAPSHOT_FILE, snapshot_text  # noqa: PLC0415
    from etl_cli.rules.schema_source import Origin, schema_of  # noqa: PLC0415

    status = ExitStatus.DONE
    with ended_well():
        against = named_schema(None, source, dump, otherwise=Against.LIVE)
        origin = Origin(against, source or "", dump, scrub)
        text, path = snapshot_text(schema_of(origin, pg_bin)), scrub / SNAPSHOT_FILE
        is_same = path.exists() and path.read_text(encoding="utf-8") == text
        if verify and not is_same:
            typer.echo(f"{path} is not the schema of the {origin.name}: write it with `postgres-etl rules snapshot`")
            status = ExitStatus.WORK_FAILED
        elif not verify:
            path.write_text(text, encoding="utf-8")
            typer.echo(f"{path} {'was already' if is_same else 'is now'} the schema of the {origin.name}")
    raise typer.Exit(status)


def _status(is_wrong: bool) -> ExitStatus:
    return ExitStatus.WORK_FAILED if is_wrong else ExitStatus.DONE
