"""What a run of the whole pipeline leaves behind: source against target, table by table."""

from __future__ import annotations

import contextlib
import json
import re
import time

import psutil
import psycopg
import pytest
from etl_runtime.contract import rules_digest
from etl_runtime.rules import Rules, TableRule
from etl_runtime.rules_document import read_rules

from etl_local.comparison.catalog import OBJECT_KINDS
from tests.end_to_end.outcome import EXECUTION_NAME, ROOT, Outcome, command

pytestmark = pytest.mark.end_to_end

DELETED_FROM_BY_SCRIPTS = {
    "public.brief_clarification_questions",
    "public.brief_responses",
    "public.brief_users",
    "public.briefs",
    "public.newsletter_subscriptions",
    "public.notifications",
    "public.support_messages",
    "public.users",
}
"""Tables that lose rows, or a reference, by the sample's scripts, by their cascades or by a row filter."""


NULLED_REFERENCES = {
    "public.brief_responses": "responder_id",
    "public.briefs": "copied_from",
    "public.support_messages": "user_id",
}
"""References that the schema's own ON DELETE SET NULL clears where scripts delete what they lead to."""
COMPUTED = {("public.users", "email_domain")}
"""Columns that the target's own server generates from scrubbed ones."""
EVERY_KIND = OBJECT_KINDS - {"extension", "policy"}
"""Kinds of which the sample holds at least one object."""


def _rule(rules: Rules, table: str) -> TableRule:
    schema, _, name = table.partition(".")
    rule = rules.table(schema, name.strip('"'))
    assert rule is not None, f"{table} is not classified"
    return rule


def _allowed_columns(rules: Rules, table: str) -> set[str]:
    return {name for name, rule in _rule(rules, table).columns.items() if rule.kind != "keep"}


def test_tables_that_no_rule_and_no_script_changes_are_identical(outcome: Outcome) -> None:
    untouched = {step["table"] for step in outcome.manifest("load_bucket")["plan"] if step["path"] == "untouched"}
    identical = {table.table for table in outcome.comparison.identical_tables}
    assert untouched <= identical
    assert {"public.services", "public.service_revisions", "public.frameworks"} <= untouched


def test_only_scrubbed_columns_and_filtered_rows_differ(outcome: Outcome) -> None:
    rules = read_rules(ROOT / "scrub")
    for table in outcome.comparison.changed_tables:
        if _rule(rules, table.table).mode == "truncate":
            assert table.target_rows == 0, table.table
            continue
        kept = {column.name for column in table.columns} - _allowed_columns(rules, table.table)
        followed = {column for name, column in {*COMPUTED, *NULLED_REFERENCES.items()} if name == table.table}
        assert kept == followed, table.table
        if table.removed_rows:
            assert table.table in DELETED_FROM_BY_SCRIPTS, table.table
        assert not table.added_rows, table.table


def test_a_reference_that_differs_was_cleared_and_no_other_was_set(outcome: Outcome) -> None:
    for table, column in NULLED_REFERENCES.items():
        query = f"SELECT id, {column} FROM {table}".encode()
        with (
            psycopg.connect(outcome.standin.source_dsn) as source,
            psycopg.connect(outcome.standin.target_dsn) as target,
        ):
            originals = dict(source.execute(query).fetchall())
            differing = {key: value for key, value in target.execute(query) if value != originals[key]}
        assert differing, table
        assert set(differing.values()) == {None}, table


def test_every_scrubbed_column_that_had_values_has_changed(outcome: Outcome) -> None:
    changed = set(outcome.comparison.changed_columns)
    emptied = {table.table for table in outcome.comparison.tables if table.source_rows and not table.target_rows}
    unchanged = [
        f"{proof['table']}.{proof['column']}"
        for proof in outcome.manifest("load_bucket")["proof"]["columns"]
        if proof["originals"] and f"{proof['table']}.{proof['column']}" not in changed
    ]
    assert (unchanged, emptied) == ([], {"public.sessions"})


def test_every_table_index_constraint_sequence_view_and_trigger_arrives(outcome: Outcome) -> None:
    comparison = outcome.comparison
    assert (comparison.missing_tables, comparison.unexpected_tables) == ((), ())
    differing = {
        kind.kind: (kind.missing, kind.unexpected, kind.different) for kind in comparison.objects if not kind.equal
    }
    assert differing == {}
    counted = {kind.kind: kind.source_count for kind in comparison.objects}
    assert {kind for kind, count in counted.items() if count} >= EVERY_KIND


def test_no_address_of_a_source_user_is_anywhere_in_the_target(outcome: Outcome) -> None:
    with psycopg.connect(outcome.standin.source_dsn) as source:
        rows = source.execute("SELECT email_address FROM public.users WHERE email_address IS NOT NULL").fetchall()
    originals = {row[0] for row in rows}
    assert len(originals) > 100
    found: set[str] = set()
    with psycopg.connect(outcome.standin.target_dsn) as target:
        tables = target.execute(
            "SELECT oid::regclass FROM pg_class WHERE relkind IN ('r', 'm')"
            " AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
        ).fetchall()
        for (table,) in tables:
            with target.cursor().copy(f"COPY (SELECT * FROM {table}) TO STDOUT") as copy:
                text = b"".join(bytes(part) for part in copy).decode()
            found |= originals & set(re.findall(r"[\w.+-]+@[\w.-]+", text))
    assert found == set()


@pytest.mark.usefixtures("outcome")
def test_nothing_listens_where_another_machine_reaches_it() -> None:
    ours = psutil.Process()
    listening: set[tuple[str, str]] = set()
    for process in (ours, *ours.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # one that ended a moment ago
            listening |= {
                (process.name(), connection.laddr[0])
                for connection in process.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            }
    assert len(listening) > 1
    assert {address for _, address in listening} <= {"127.0.0.1", "::1"}, listening


def test_the_clean_manifest_says_what_was_done_to_which_dump_by_which_rules(outcome: Outcome) -> None:
    raw, clean = outcome.manifest("extract_bucket"), outcome.manifest("load_bucket")
    assert (raw["stage"], clean["stage"], clean["proof"]["result"]) == ("raw", "clean", "passed")
    assert clean["execution_id"] == raw["execution_id"]
    assert clean["execution_id"].endswith(f":{EXECUTION_NAME}")
    assert clean["rules_sha256"] == rules_digest(ROOT / "scrub")
    assert all(proof["survivors"] == 0 for proof in clean["proof"]["columns"])
    untouched = {step["table"] for step in clean["plan"] if step["path"] == "untouched"}
    digests = {file["table"]: file["sha256"] for file in raw["files"] if file["table"]}
    copied = {file["table"]: file["sha256"] for file in clean["files"] if file["table"] in untouched}
    assert copied == {table: digests[table] for table in untouched}


def test_running_a_finished_execution_again_changes_nothing_and_says_so(outcome: Outcome) -> None:
    with psycopg.connect(outcome.standin.target_dsn) as target:
        before = target.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
    again = command(outcome.standin, "run", "dev", "--execution-name", EXECUTION_NAME)
    assert again.returncode == 0, again.stdout + again.stderr
    with psycopg.connect(outcome.standin.target_dsn) as target:
        assert target.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone() == before


def test_a_stage_can_be_run_by_itself_from_the_execution_name_alone(outcome: Outcome) -> None:
    for stage in ("extract", "transform", "load"):
        done = command(outcome.standin, "run", "dev", "--execution-name", "staged-1", "--stage", stage)
        assert done.returncode == 0, f"{stage}: {done.stdout}{done.stderr}"


def test_status_shows_both_dumps_as_proved(outcome: Outcome) -> None:
    shown = command(outcome.standin, "status", EXECUTION_NAME, "--environment", "dev")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert EXECUTION_NAME in shown.stdout
    assert "passed" in shown.stdout or "proved" in shown.stdout


def test_a_dump_that_does_not_exist_is_not_loaded(outcome: Outcome) -> None:
    done = command(outcome.standin, "run", "dev", "--execution-name", "nobody-made-this", "--stage", "load")
    assert done.returncode != 0
    assert "nobody-made-this" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_load_machine_itself_names_a_dump_that_does_not_exist(outcome: Outcome) -> None:
    machine = outcome.standin.outputs["load_state_machine_arn"]
    client = outcome.client("stepfunctions")
    document = json.dumps({"LOAD_FILENAME": "dev/nobody-made-this/etl-dump"})
    execution = client.start_execution(stateMachineArn=machine, name="of-nothing", input=document)["executionArn"]
    while (ended := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
        time.sleep(0.1)
    assert (ended["error"], ended["cause"]) == (
        "Load.DumpMissing",
        "There is no manifest at LOAD_FILENAME in the load bucket, or this machine may not read it: "
        "name a dump that was cleaned and has not expired.",
    )


def test_an_unknown_load_environment_is_refused_before_anything_starts(outcome: Outcome) -> None:
    done = command(outcome.standin, "run", "qa")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "qa" in done.stderr
    assert "dev" in done.stderr
