"""Every expression is made in a real Postgres over empty tables: it has to parse, and its type to fit the column."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import psycopg
from etl_runtime.postgres import Connection
from etl_runtime.rules import ColumnRule, json_expression
from etl_runtime.toc import quoted
from etl_runtime.trusted_sql import trusted

from etl_cli.rules.expressions import Spread, columns_named, tables_named
from etl_cli.rules.findings import Finding
from etl_cli.rules.inspection import Inspection, RuledTable
from etl_cli.rules.schema_definition import Lacking

_OF_AN_EXTENSION = (psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedObject)


def check_types(inspection: Inspection, connection: Connection, lacking: Lacking) -> Iterator[Finding]:
    """Expressions, JSON paths and row filters that Postgres refuses, or whose type does not fit.

    Args:
        inspection: The rules and the schema.
        connection: To a scratch database that has the schema and the `scrub` functions.
        lacking: What could not be made in it.
    """
    for table in inspection.kept:
        for name, (column, rule) in table.changed.items():
            subject = f"{table.table.name}.{name}"
            if rule.leaves and inspection.schema.base_type(column.type) not in ("json", "jsonb"):
                yield inspection.error("mistyped", rule.line, subject, f"is {column.type} and has no leaves")
            if not rule.is_computed:
                continue
            try:
                expression = _sql(rule, name, inspection.schema.base_type(column.type))
            except ValueError as error:
                yield inspection.error("mistyped", rule.line, subject, f"is {column.type}: {error}")
                continue
            problem = _problem(connection, table, name, expression)
            if problem is not None:
                yield _refused(
                    inspection, lacking, table, rule.line, subject, problem, {name, *columns_named(expression)}
                )
                continue
            for other in tables_named(expression):
                yield inspection.error(
                    "mistyped",
                    rule.line,
                    subject,
                    f"reads {other}, and an expression sees its own row alone: use a script",
                )
            yield from _against_checks(inspection, connection, table, name, expression)
        if table.rule.where:
            problem = _planned(connection, f"SELECT FROM ONLY {_source(table)} WHERE ({table.rule.where})")
            subject = f"where: of {table.table.name}"
            if problem is not None:
                yield _refused(
                    inspection, lacking, table, table.rule.line, subject, problem, {*columns_named(table.rule.where)}
                )
            for other in tables_named(table.rule.where):
                yield inspection.error(
                    "mistyped",
                    table.rule.line,
                    subject,
                    f"reads {other}, and a filter sees its own row alone: use a script",
                )


def _sql(rule: ColumnRule, name: str, base_type: str) -> str:
    return json_expression(name, rule.paths, base_type) if rule.kind == "json" else rule.expression


def _source(table: RuledTable) -> str:
    _, name = table.table.parts
    return f"{table.table.name} AS {quoted(name)}"


def _problem(connection: Connection, table: RuledTable, column: str, expression: str) -> psycopg.Error | None:
    """What Postgres says of giving the column what the expression makes of a row."""
    return _planned(
        connection,
        f"INSERT INTO {table.table.name} ({quoted(column)}) OVERRIDING SYSTEM VALUE"
        f" SELECT ({expression}) FROM ONLY {_source(table)}",
    )


def _planned(connection: Connection, statement: str) -> psycopg.Error | None:
    try:
        connection.execute(trusted(f"EXPLAIN {statement}"))
    except psycopg.Error as error:
        return error
    return None


def _refused(
    inspection: Inspection,
    lacking: Lacking,
    table: RuledTable,
    line: int,
    subject: str,
    problem: psycopg.Error,
    names: Collection[str],
) -> Finding:
    """What Postgres says, unless it may say so for want of an extension: `names` are the columns that it is about."""
    said = problem.diag.message_primary or "is refused"
    unknown = isinstance(problem, _OF_AN_EXTENSION) and "scrub" not in said
    stood_in = {
        type_name for (of, name), type_name in lacking.columns.items() if of == table.table.name and name in names
    }
    if stood_in or (unknown and lacking.extensions):
        wanted = ", ".join(lacking.extensions) or ", ".join(sorted(stood_in))
        return inspection.warning(
            "mistyped",
            line,
            subject,
            f"cannot be checked: the Postgres here lacks {wanted}; name another with --pg-bin",
        )
    if isinstance(problem, psycopg.errors.DatatypeMismatch) and " but expression is of type " in said:
        said += "; cast it"
    return inspection.error("mistyped", line, subject, f"does not work: {said}")


def _against_checks(
    inspection: Inspection, connection: Connection, table: RuledTable, column: str, expression: str
) -> Iterator[Finding]:
    """A constant that a CHECK of its column alone refuses."""
    if table.spread(column) is not Spread.CONSTANT:
        return
    type_name = table.table.columns[column].type
    for name, check in table.table.checks.items():
        if set(check.columns) != {column}:
            continue
        query = f"SELECT ({check.expression}) FROM (SELECT ({expression})::{type_name}) AS row ({quoted(column)})"
        try:
            found = connection.execute(trusted(query)).fetchone()
        except psycopg.Error:
            continue
        if found is not None and found[0] is False:
            line = table.column_rule(column).line
            subject = f"{table.table.name}.{column}"
            yield inspection.error("mistyped", line, subject, f"is given a constant that its constraint {name} refuses")
