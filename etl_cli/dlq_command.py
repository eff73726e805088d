"""`postgres-etl dlq`: the dead letters, which are messages of which no Job came."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from etl_cli import options
from etl_cli.ending import RefusedError, ended_well
from etl_cli.events import Stage
from etl_cli.quantities import count_text
from etl_cli.stack_outputs import Deployment

if TYPE_CHECKING:
    from pathlib import Path

    from etl_runtime.dead_letters import DeadLetterQueue

    from etl_cli.letters import Letter

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

Names = Annotated[
    list[str], typer.Argument(help="Ids, beginnings of ids, or execution names.", metavar="LETTER…", show_default=False)
]
_EXIT_STATUS = (
    "**Exit status** — 0 done; 2 refused (no such letter, no such stack, no right); 4 interrupted; "
    "75 AWS could not be asked."
)


@contextmanager
def _opened(outputs: Path | None, profile: str | None) -> Generator[tuple[DeadLetterQueue, str, list[Letter]]]:
    """The queue of dead letters, the URL of the queue that they came from, and the letters, held meanwhile.

    Raises:
        CommandError: AWS refused or could not be asked.
    """
    # boto3 takes a second to load, which --help and completion need not wait for.
    from etl_runtime.dead_letters import DeadLetterQueue  # noqa: PLC0415

    from etl_cli.aws import AWS_ERRORS, Account, command_error  # noqa: PLC0415
    from etl_cli.letters import Letter  # noqa: PLC0415

    stack = Deployment.read(outputs, None).of(Stage.EXTRACT)
    account = Account(profile, stack.text("region"))
    account.check(stack.text("extract_state_machine_arn"))
    queue = DeadLetterQueue(account.sqs, stack.text("dead_letter_queue_url"))
    try:
        if hidden := queue.hidden():
            typer.echo(f"{count_text(hidden, 'letter')} cannot be seen: somebody else looks just now", err=True)
        with queue.held() as letters:
            yield queue, stack.text("dump_queue_url"), [Letter.read(letter) for letter in letters]
    except AWS_ERRORS as error:
        raise command_error("the dead letters", error) from None


@app.command("list", epilog=_EXIT_STATUS)
def list_letters(
    as_json: options.AsJson = False,
    outputs: options.Outputs = None,
    extract_outputs: options.ExtractOutputs = None,
    extract_profile: options.ExtractProfile = None,
) -> None:
    """Show the dead letters, the oldest first: what each is of, and why it is here.

    Looks only. Of a message nothing is shown but the keys of dumps: it may be anybody's.

    **Examples**

    - What waits for a decision: `postgres-etl dlq list --outputs outputs.json`
    """
    with ended_well(as_json=as_json), _opened(extract_outputs or outputs, extract_profile) as (_, _, letters):
        now = datetime.now(UTC)
        for letter in letters:
            typer.echo(json.dumps(letter.document(now)) if as_json else letter.line(now))
        if not letters and not as_json:
            typer.echo("no dead letters")


@app.command(epilog=_EXIT_STATUS)
def show(
    names: Names,
    as_json: options.AsJson = False,
    outputs: options.Outputs = None,
    extract_outputs: options.ExtractOutputs = None,
    extract_profile: options.ExtractProfile = None,
) -> None:
    """Show dead letters in full: dump, version, execution, reason, receives, age.

    **Examples**

    - By execution: `postgres-etl dlq show nightly-41`

    - By the beginning of an id: `postgres-etl dlq show 5fea7756`
    """
    from etl_cli.letters import chosen  # noqa: PLC0415

    with ended_well(as_json=as_json), _opened(extract_outputs or outputs, extract_profile) as (_, _, letters):
        now = datetime.now(UTC)
        for number, letter in enumerate(chosen(letters, names)):
            if as_json:
                typer.echo(json.dumps(letter.document(now)))
            else:
                typer.echo("\n".join(["", *letter.lines(now)] if number else letter.lines(now)))


@app.command(epilog=_EXIT_STATUS)
def redrive(
    names: Annotated[list[str] | None, typer.Argument(metavar="[LETTER…]", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    as_json: options.AsJson = False,
    outputs: options.Outputs = None,
    extract_outputs: options.ExtractOutputs = None,
    extract_profile: options.ExtractProfile = None,
) -> None:
    """Send dead letters to the dump queue anew, once what was wrong has been put right.

    Safe to repeat: a dump whose Job or clean dump is there gets no second one, and a letter that is as bad as before
    is back in a moment, with its reason.

    **Examples**

    - What would be done: `postgres-etl dlq redrive --all --dry-run`

    - One dump: `postgres-etl dlq redrive nightly-41`
    """
    from etl_cli.letters import chosen  # noqa: PLC0415

    with ended_well(as_json=as_json):
        if every == bool(names):
            raise RefusedError("name the letters to redrive, or all of them with --all")
        with _opened(extract_outputs or outputs, extract_profile) as (queue, dump_queue_url, letters):
            now = datetime.now(UTC)
            meant = letters if every else chosen(letters, names or [])
            for letter in meant:
                if not dry_run:
                    queue.redrive(letter.letter, dump_queue_url)
                document = {**letter.document(now), "event": "would_redrive" if dry_run else "redriven"}
                said = "would redrive" if dry_run else "redriven"
                typer.echo(json.dumps(document) if as_json else f"{said}  {letter.line(now)}")
            if not meant and not as_json:
                typer.echo("no dead letters")
