"""What may be shown of an error from Postgres or its tools: never the text of a row.

Postgres quotes values in DETAIL and CONTEXT lines, in some primary messages (`invalid input syntax for type integer:
"..."`), and in whatever a user's function raises. So a message is shown only where its whole form is known to name
objects alone, or where it speaks of a statement that holds no value; any other is replaced by the condition's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg

# Forms whose names come from the catalog, whatever the statement or the row was. No form begins with anything at all,
# since a value that is quoted in a message may hold the rest of it.
_CATALOG_FORMS = re.compile(
    r"""(?:
      permission\ denied\ (?:for|to)\ .*
    | must\ be\ (?:owner|superuser|able)\b.*
    | null\ value\ in\ column\ "[^"]*"\ of\ relation\ "[^"]*"\ violates\ not-null\ constraint
    | column\ "[^"]*"\ of\ relation\ "[^"]*"\ contains\ null\ values
    | new\ row\ for\ relation\ "[^"]*"\ violates\ (?:check\ constraint\ "[^"]*"|partition\ constraint)
    | check\ constraint\ "[^"]*"\ of\ relation\ "[^"]*"\ is\ violated\ by\ some\ row
    | value\ for\ domain\ \S+\ violates\ check\ constraint\ "[^"]*"
    | domain\ \S+\ does\ not\ allow\ null\ values
    | value\ too\ long\ for\ type\ [\w ]+\(\d+\)
    | no\ partition\ of\ relation\ "[^"]*"\ found\ for\ row
    | duplicate\ key\ value\ violates\ unique\ constraint\ "[^"]*"
    | conflicting\ key\ value\ violates\ exclusion\ constraint\ "[^"]*"
    | could\ not\ create\ (?:unique\ index|exclusion\ constraint)\ "[^"]*"
    | (?:insert|update)\ or\ (?:update|delete)\ on\ table\ "[^"]*"\ violates\ [\w ]*foreign\ key\ constraint\ "[^"]*".*
    | (?:new\ row\ violates|query\ would\ be\ affected\ by)\ row-level\ security\ policy\b.*
    | (?:integer|smallint|bigint|interval|timestamp|date)\ out\ of\ range | division\ by\ zero
    | numeric\ field\ overflow
    | canceling\ statement\ due\ to\ .* | terminating\ connection\ due\ to\ .* | server\ closed\ the\ connection.*
    | database\ "[^"]*"\ is\ being\ accessed\ by\ other\ users
    | deadlock\ detected | could\ not\ serialize\ access.* | out\ of\ memory | out\ of\ shared\ memory
    | could\ not\ \w+\ (?:file|directory|block|to)\b.*:\ No\ space\ left\ on\ device
    | sorry,\ too\ many\ clients\ already | remaining\ connection\ slots.* | too\ many\ connections\ for\ .*
    | cannot\ execute\ [A-Z ]+\ (?:in\ a\ read-only\ transaction|during\ recovery)
    | could\ not\ open\ extension\ control\ file\ .* | extension\ "[^"]*"\ is\ not\ available
    )""",
    re.VERBOSE,
)
# Forms whose names come from a statement; of a tool's statements, none holds a value but what a function makes of one.
_STATEMENT_FORMS = re.compile(
    r"""(?:
      (?:relation|table|column|schema|type|function|role|database|extension|index|constraint|sequence|view|operator
       |access\ method|trigger|language|collation|parameter|setting|tablespace|procedure|aggregate|cast|domain)\b
       .*\b(?:does\ not\ exist|already\ exists|is\ not\ unique|cannot\ be\ .*)
    | column\ .*\ of\ relation\ .*
    | syntax\ error\ at\ (?:or\ near\ .*|end\ of\ input)
    | (?:password|PAM)\ authentication\ failed\ for\ user.* | no\ pg_hba\.conf\ entry.*
    | connection\ to\ server\ at\ .* | could\ not\ translate\ host\ name.* | SSL\ .*
    | (?:query|execution)\ failed | unsupported\ version\ .* | server\ version:.* | aborting\ because.*
    | unrecognized\ configuration\ parameter.*
    )""",
    re.VERBOSE,
)
# The server that initdb runs says its lines in the form of a log.
_HEAD = re.compile(
    r"(?:(?:pg_dump|pg_restore|psql|initdb|postgres|createdb):|\d{4}-\d\d-\d\d [\d:.]+ \w+ \[\d+\])"
    r" (?P<kind>error|fatal|detail|hint|warning): +(?P<text>.*)",
    re.I,
)
_SEVERITY = re.compile(r"(?:ERROR|FATAL|PANIC):\s+")
_COPY = re.compile(r'COPY failed for table "([^"]*)": ')
_HIDDEN = "an error whose text is not shown as it may quote a row"


def _blocks(stderr: str) -> Iterator[tuple[str, bool]]:
    """The message of each error, and whether it arose inside of something: a function, a row that was copied.

    A value of several lines can make lines of any look, so only those that begin as a tool begins them are messages.
    """
    text, nested = "", False
    for line in stderr.splitlines():
        if head := _HEAD.fullmatch(line):
            if text:
                yield text, nested
            text, nested = head["text"] if head["kind"].lower() in ("error", "fatal", "detail") else "", False
        elif re.match(r"(?:CONTEXT|QUERY): ", line):
            nested = True
    if text:
        yield text, nested


def tool_errors(stderr: str, most: int = 3) -> str:
    """What to say of a Postgres tool's standard error: its first showable lines, joined; a fixed text where none is."""
    shown: list[str] = []
    tables: list[str] = []
    for text, nested in _blocks(stderr):
        copied = _COPY.match(text)
        # The first severity is the server's; a later one stands in what it quotes.
        message = _SEVERITY.split(text, maxsplit=1)[-1].removeprefix("query failed: ")
        safe = _CATALOG_FORMS.fullmatch(message) or (not copied and not nested and _STATEMENT_FORMS.fullmatch(message))
        if safe and message not in shown:
            shown.append(f'table "{copied[1]}": {message}' if copied else message)
        elif copied:
            tables.append(f'table "{copied[1]}": {_HIDDEN}')
    return "; ".join((shown or tables)[:most]) or _HIDDEN


def statement_error(sqlstate: str, message: str, *, positioned: bool, nested: bool, raised: bool) -> str:
    """What to say of an error of a statement that people wrote: the message where it cannot quote a row.

    Args:
        sqlstate: The condition; class 42 says what is wrong with a statement.
        message: The primary message.
        positioned: The server points at a place in the statement, so it speaks of its text.
        nested: It arose inside a function, in a statement that one made, or in a row that was copied.
        raised: A function raised it, and may say anything.

    Returns:
        The message, or the condition's name.
    """
    of_statement = sqlstate.startswith("42") and positioned and not nested
    shown = not raised and "\n" not in message and (of_statement or _CATALOG_FORMS.fullmatch(message))
    return message if shown else condition_text(sqlstate)


def error_text(error: psycopg.Error) -> str:
    """What to say of an error that psycopg raised: its message where that names objects alone, else its condition.

    Connection errors have no SQLSTATE and no row in them; their first line is shown.
    """
    diagnostic = error.diag
    if diagnostic.sqlstate is None:
        lines = str(error).splitlines()
        if not lines or not isinstance(error, psycopg.OperationalError):
            return f"a connection error ({type(error).__name__})"
        return _SEVERITY.split(lines[0].removeprefix("connection failed: "), maxsplit=1)[-1]
    message = diagnostic.message_primary or ""
    shown = statement_error(
        diagnostic.sqlstate,
        message,
        positioned=diagnostic.statement_position is not None,
        nested=diagnostic.context is not None or diagnostic.internal_query is not None,
        raised=diagnostic.source_function == "exec_stmt_raise",
    )
    place = ".".join(part for part in (diagnostic.schema_name, diagnostic.table_name, diagnostic.column_name) if part)
    return f"{shown} in {place}" if place and shown != message else shown


def condition_text(sqlstate: str) -> str:
    """The name of an SQLSTATE's condition, such as `invalid text representation (22P02)`.

    Source: https://www.postgresql.org/docs/current/errcodes-appendix.html, as psycopg names its classes.
    """
    try:
        name = psycopg.errors.lookup(sqlstate).__name__
    except KeyError:
        return f"SQLSTATE {sqlstate}"
    return f"{re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', name).lower()} ({sqlstate})"
