"""All checks of a scrub directory against a schema, gathered."""

from __future__ import annotations

import secrets
from itertools import chain
from pathlib import Path

import psycopg
from etl_runtime import scrub_functions
from etl_runtime.contract import RULES_FILE
from etl_runtime.rules_document import parse_rules
from etl_runtime.scratch import ADMINISTRATOR, Scratch

from etl_cli.ending import CommandError, RefusedError
from etl_cli.rules.check_classification import check_classification
from etl_cli.rules.check_keys import check_keys
from etl_cli.rules.check_lengths import check_lengths
from etl_cli.rules.check_references import check_references
from etl_cli.rules.check_scripts import check_scripts
from etl_cli.rules.check_types import check_types
from etl_cli.rules.findings import Finding, Severity, gathered
from etl_cli.rules.inspection import Inspection
from etl_cli.rules.schema import Schema
from etl_cli.rules.schema_definition import Lacking, make_schema
from etl_cli.rules.script_effects import read_effects


def prepare_scratch(scratch: Scratch, schema: Schema) -> Lacking:
    """Make a schema and the `scrub` functions, with a key of the moment, in a scratch server's empty database.

    Raises:
        CommandError: it cannot be made.
    """
    try:
        lacking = make_schema(scratch, schema)
        with scratch.connect(ADMINISTRATOR) as connection:
            scrub_functions.install(connection, secrets.token_hex(32))
    except psycopg.Error as error:
        raise CommandError(f"the schema cannot be made here: {error.diag.message_primary or 'no connection'}") from None
    return lacking


def check_rules(directory: Path, schema: Schema, scratch: Scratch, lacking: Lacking) -> list[Finding]:
    """Everything that is wrong with a scrub directory, at once.

    Args:
        directory: With columns.yaml and scripts.
        schema: What the rules are for.
        scratch: A server with the schema, see `prepare_scratch`.
        lacking: What could not be made in it.

    Raises:
        RefusedError: there is no columns.yaml that can be read.
    """
    path = directory / RULES_FILE
    try:
        rules, faults = parse_rules(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{path} cannot be read: {type(error).__name__}") from None
    malformed = [Finding("rules", Severity.ERROR, str(path), fault.line, "", fault.problem) for fault in faults]
    if faults and not rules.tables:
        return gathered(malformed)
    inspection = Inspection(rules, schema, str(path))
    effects = read_effects(directory, schema)
    with scratch.connect() as connection:
        typed = list(check_types(inspection, connection, lacking))
    # What is not decided is said once, by the reader.
    undecided = {fault.line for fault in faults} - {0}
    found = chain(
        (finding for finding in (*check_classification(inspection), *typed) if finding.line not in undecided),
        check_keys(inspection),
        check_lengths(inspection),
        check_references(inspection, effects),
        check_scripts(inspection, effects),
    )
    return gathered([*malformed, *found])
