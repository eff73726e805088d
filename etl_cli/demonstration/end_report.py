"""The end report of a demonstration, for people: calm, and as wide as the terminal allows."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from etl_cli.demonstration.examples import HIDDEN, TableExample
from etl_cli.demonstration.findings import Findings, services
from etl_cli.events import Stage
from etl_cli.quantities import bytes_text, count_text, seconds_text

_SERVICES = {
    "cloudwatch": "CloudWatch",
    "ec2": "EC2",
    "ecs": "ECS",
    "iam": "IAM",
    "kms": "KMS",
    "kubernetes": "Kubernetes",
    "s3": "S3",
    "sfn": "Step Functions",
    "sns": "SNS",
    "sqs": "SQS",
    "secretsmanager": "Secrets Manager",
    "vpc": "VPC",
}
_LONGEST_NAME = 18
_CONTEXT = 12
_SHORT = 30


def print_end_report(console: Console, findings: Findings) -> None:
    """Print all of it; in a file without the blanks that fill a terminal's lines."""
    for part in _parts(findings):
        if console.is_terminal:
            console.print(part)
            continue
        with console.capture() as captured:
            console.print(part)
        console.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _parts(findings: Findings) -> Iterator[RenderableType]:
    yield _title("What was deployed")
    yield _body(_deployed(findings))
    yield _title("What ran")
    yield _body(_stages(findings))
    yield _title("What was scrubbed")
    yield _body(_proof(findings))
    for example in findings.examples:
        yield _body(_example(example))
    yield _title("What was not touched")
    yield _body(_untouched(findings))
    yield _title("What else differs")
    yield _body(_otherwise(findings))
    for fault in findings.faults:
        yield Text(f"fault: {fault}", style="bold red")


def _title(text: str) -> RenderableType:
    return Text(f"\n{text}", style="bold")


def _body(renderable: RenderableType) -> RenderableType:
    return Padding(renderable, (0, 0, 0, 2))


def _deployed(findings: Findings) -> Text:
    counts = services(findings.deployed)
    each = " · ".join(f"{count} {_SERVICES.get(name, name)}" for name, count in sorted(counts.items()))
    return Text(f"{count_text(counts.total(), 'resource')}, by the Pulumi program itself: {each}")


def _stages(findings: Findings) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("")
    for name in ("time", "bytes", "rows", "tables"):
        table.add_column(name, justify="right", no_wrap=True)
    for stage in findings.report.pipeline.stages.values():
        seconds = stage.seconds(findings.report.ended_at)
        totals = stage.totals
        table.add_row(
            stage.stage,
            "" if seconds is None else seconds_text(seconds),
            "" if totals.bytes is None else bytes_text(totals.bytes),
            "" if totals.rows is None else count_text(totals.rows),
            "" if totals.tables is None else count_text(totals.tables),
        )
    return table


def _proof(findings: Findings) -> Text:
    proved = [column for column in findings.proved if column.get("proof") != "none"]
    unproved = len(findings.proved) - len(proved)
    columns = {(column["table"], column["column"]) for column in proved}
    tables = {table for table, _ in columns}
    originals = sum(int(column["originals"]) for column in proved)
    survivors = sum(int(column["survivors"]) for column in proved)
    transform = findings.report.pipeline.stages[Stage.TRANSFORM]
    copied = (transform.totals.bytes or 0) - findings.rewritten_bytes
    return Text.assemble(
        f"{count_text(len(columns), 'column')} of {count_text(len(tables), 'table')}. ",
        f"{count_text(unproved)} more left unproved by the rules. " if unproved else "",
        f"{count_text(originals, 'original value')} looked up in what was released: ",
        (f"{count_text(survivors)} left", "bold red" if survivors else "bold green"),
        f".\n{bytes_text(findings.rewritten_bytes)} were written anew; the other {bytes_text(copied)} were copied "
        "inside S3, unread.",
    )


def _example(example: TableExample) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False, expand=True)
    names = max(len(column.column) for column in example.columns)
    table.add_column(style="cyan", no_wrap=True, overflow="ellipsis", width=min(names, _LONGEST_NAME))
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis", style="dim")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for column in example.columns:
        for number, (before, after) in enumerate(column.values):
            shown = differing(before, after) if column.is_paired else (before, after)
            table.add_row("" if number else column.column, *map(_value, shown))
        if not column.values:
            table.add_row(column.column, Text("no value", style="dim italic"), "")
    heading = Text.assemble("\n", (example.table, "bold cyan"))
    if not all(column.is_paired for column in example.columns):
        heading.append("  without a kept key: left and right are of different rows", style="dim")
    return Group(heading, table)


def differing(before: str | None, after: str | None) -> tuple[str | None, str | None]:
    """Two long values from a little before the place where they begin to differ, so that a cut shows what changed."""
    if before is None or after is None:
        return before, after
    shorter = min(len(before), len(after))
    same = next((place for place in range(shorter) if before[place] != after[place]), shorter)
    if same <= _CONTEXT * 2 or max(len(before), len(after)) <= _SHORT:
        return before, after
    return f"…{before[same - _CONTEXT :]}", f"…{after[same - _CONTEXT :]}"


def _value(value: str | None) -> Text:
    if value is None:
        return Text("null", style="dim italic")
    return Text(value, style="dim") if value in ("", HIDDEN) else Text(value)


def _untouched(findings: Findings) -> Text:
    untouched = findings.untouched
    rows = sum(table.source_rows for table in untouched)
    names = ", ".join(table.table for table in untouched)
    return Text.assemble(
        f"{count_text(len(untouched), 'table')} with {count_text(rows, 'row')}, ",
        ("the same in source and target, row by row (SHA-256)", "green"),
        (f": {names}" if names else "", "dim"),
    )


def _otherwise(findings: Findings) -> Text:
    scrubbed = {(str(column["table"]), str(column["column"])) for column in findings.proved}
    changed = findings.comparison.changed_tables
    fewer = [f"{t.table} {t.source_rows:,} → {t.target_rows:,}" for t in changed if t.source_rows != t.target_rows]
    followed = [
        f"{table.table}.{column.name}"
        for table in changed
        for column in table.columns
        if table.target_rows and (table.table, column.name) not in scrubbed
    ]
    equal = [kind for kind in findings.comparison.objects if kind.equal and kind.target_count]
    lines = [f"rows left out: {', '.join(fewer)}"] if fewer else []
    lines += [f"changed by a script, or computed from what was: {', '.join(followed)}"] if followed else []
    dropped = [count_text(count, kind) for kind, count in findings.dropped.items()]
    lines += [f"dropped by the rules: {', '.join(dropped)}"] if dropped else []
    same = f"equal are {', '.join(count_text(kind.target_count, kind.kind) for kind in equal)}" if equal else ""
    lines.append("; ".join(filter(None, ("" if findings.faults else "nothing else", same))))
    return Text("\n".join(filter(None, lines)))
