"""What may be shown of an error from Postgres or its tools: never the text of a row.

Postgres quotes values in DETAIL and CONTEXT lines, in some primary messages (`invalid input syntax for type integer:
"..."`), and in whatever a user's function raises. So a message is shown only where its form is known to name objects
alone; any other is replaced by the condition's name.
"""

from __future__ import annotations

import re

import psycopg

_NAMES_ONLY = re.compile(
    r"""^(?:
      permission\ denied\ (?:for|to)\ .*
    | must\ be\ (?:owner|superuser|able).*
    | (?:relation|table|column|schema|type|function|role|database|extension|index|constraint|sequence|view|operator
       |access\ method|trigger|language|collation|parameter|setting|tablespace|procedure|aggregate|cast|domain)\b
       .*\b(?:does\ not\ exist|already\ exists|is\ not\ unique|cannot\ be\ .*)
    | column\ .*\ of\ relation\ .*
    | .*\ violates\ (?:not-null|foreign\ key|unique|check|exclusion)\ constraint.*
    | null\ value\ in\ column\ .*
    | missing\ FROM-clause\ entry.*
    | column\ reference\ .*\ is\ ambiguous
    | could\ not\ open\ extension\ control\ file.* | extension\ .*\ is\ not\ available
    | syntax\ error\ at\ (?:or\ near\ .*|end\ of\ input)
    | unterminated\ .*
    | .*password\ authentication\ failed\ for\ user.*
    | .*no\ pg_hba\.conf\ entry.*
    | connection\ to\ server.*
    | could\ not\ translate\ host\ name.*
    | server\ closed\ the\ connection.* | terminating\ connection\ due\ to.* | SSL\ .* | .*certificate.*
    | canceling\ statement\ due\ to.*
    | deadlock\ detected | could\ not\ serialize\ access.* | out\ of\ memory | out\ of\ shared\ memory
    | .*No\ space\ left\ on\ device.* | sorry,\ too\ many\ clients\ already | remaining\ connection\ slots.*
    | query\ would\ be\ affected\ by\ row-level\ security\ policy.*
    | cannot\ execute\ .*\ in\ a\ read-only\ transaction
    | (?:query|execution)\ failed | unsupported\ version\ .* | server\ version:.* | aborting\ because.*
    | unrecognized\ configuration\ parameter.*
    | (?:INSERT|UPDATE)\ has\ more\ .*
    )$""",
    re.VERBOSE,
)
_TOOL_PREFIX = re.compile(
    r"^(?:pg_dump|pg_restore|psql|initdb|postgres|createdb): (?:error|fatal|warning|hint|detail): ", re.I
)
_SEVERITY = re.compile(r"(?:ERROR|FATAL|PANIC):\s+")
_NOISE = re.compile(
    r"^\s*(?:DETAIL|CONTEXT|HINT|STATEMENT|QUERY|LINE \d+|Command was|LOCATION|NOTICE|WARNING|INFO)\b.*"
)


def _shown(message: str) -> str:
    message = message.strip()
    return message if _NAMES_ONLY.match(message) and "\n" not in message else ""


def tool_errors(stderr: str, most: int = 3) -> str:
    """What to say of a Postgres tool's standard error: its first showable lines, joined; a fixed text where none is."""
    shown: list[str] = []
    for line in stderr.splitlines():
        if _NOISE.match(line):
            continue
        text = _TOOL_PREFIX.sub("", line)
        message = _SEVERITY.split(text)[-1] if _SEVERITY.search(text) else text
        if (safe := _shown(message)) and safe not in shown:
            shown.append(safe)
    return "; ".join(shown[:most]) or "an error whose text is not shown as it may quote a row"


def error_text(error: psycopg.Error) -> str:
    """What to say of an error that psycopg raised: its message where that names objects alone, else its condition.

    Connection errors have no SQLSTATE and no row in them; their first line is shown.
    """
    diagnostic = error.diag
    if diagnostic.sqlstate is None:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        text = re.sub(r"^connection failed: ", "", text)
        return _shown(_SEVERITY.split(text)[-1]) or _shown(text) or f"a connection error ({type(error).__name__})"
    named = condition_text(diagnostic.sqlstate)
    message = _shown(diagnostic.message_primary or "")
    place = ".".join(part for part in (diagnostic.schema_name, diagnostic.table_name, diagnostic.column_name) if part)
    return message or named + (f" in {place}" if place else "")


def condition_text(sqlstate: str) -> str:
    """The name of an SQLSTATE's condition, such as `invalid text representation (22P02)`.

    Source: https://www.postgresql.org/docs/current/errcodes-appendix.html, as psycopg names its classes.
    """
    try:
        name = psycopg.errors.lookup(sqlstate).__name__
    except KeyError:
        return f"SQLSTATE {sqlstate}"
    return f"{re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', name).lower()} ({sqlstate})"
