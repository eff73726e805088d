"""The options that say which rules are meant, and where the schema is had from that they are held against."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from etl_cli.ending import RefusedError
from etl_cli.rules.against import Against

_SCHEMA = "Where the schema is had from"

ScrubDirectory = Annotated[
    Path, typer.Option("--scrub", help="Directory of scrub rules.", exists=True, file_okay=False)
]
SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source",
        help="A live database: a service of pg_service.conf, or a connection string without a password, which is taken "
        "from PGPASSWORD or ~/.pgpass. What it leaves out, the PG* variables say.",
        rich_help_panel=_SCHEMA,
    ),
]
DumpOption = Annotated[
    Path | None,
    typer.Option(
        "--dump", help="A directory archive (`pg_dump -Fd`) on this disk.", file_okay=False, rich_help_panel=_SCHEMA
    ),
]
AgainstOption = Annotated[
    Against | None,
    typer.Option(
        "--against",
        help="What to hold the rules against; what --source or --dump name, else the snapshot beside the rules.",
        rich_help_panel=_SCHEMA,
        show_default=False,
    ),
]
Programs = Annotated[
    Path | None,
    typer.Option(
        "--pg-bin",
        help="Directory of the Postgres programs to use, such as /usr/lib/postgresql/17/bin.",
        rich_help_panel=_SCHEMA,
    ),
]


def named_schema(
    against: Against | None, source: str | None, dump: Path | None, *, otherwise: Against = Against.SNAPSHOT
) -> Against:
    """Which schema the options name; `otherwise` where they name none.

    Raises:
        RefusedError: two things were.
    """
    named = [kind for kind, given in ((Against.LIVE, source), (Against.DUMP, dump)) if given is not None]
    if len(named) > 1:
        raise RefusedError("--source and --dump name two schemas: name one")
    if against is Against.DUMP and dump is None:
        raise RefusedError("--against dump needs --dump, the directory of one")
    if against is not None and named and named[0] is not against:
        raise RefusedError(
            f"--against {against} and --{'source' if source is not None else 'dump'} name two schemas: name one"
        )
    return against or (named[0] if named else otherwise)
