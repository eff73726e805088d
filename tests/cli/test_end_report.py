"""The demonstration's end report: what it says of a run, whole, and what it counts as a fault."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta

import pytest
from etl_runtime.contract import DumpPrefix
from etl_runtime.rules import DROPPABLE_PLACES, PlaceRule, Rules
from rich.console import Console

from etl_cli.demonstration.end_report import differing, print_end_report
from etl_cli.demonstration.examples import ColumnExample, TableExample
from etl_cli.demonstration.findings import KINDS_OF_PLACES, Findings
from etl_cli.events import Ended, Stage, Started, State, Totals
from etl_cli.pipeline import Pipeline
from etl_cli.run_report import RunReport
from etl_local.comparison import ColumnComparison, Comparison, ObjectComparison, TableComparison
from etl_local.comparison.catalog import OBJECT_KINDS

from .conftest import START, manifest


def _report() -> RunReport:
    pipeline = Pipeline.of("dev", "dev-1")
    for number, stage in enumerate(Stage):
        begun = START + timedelta(seconds=10 * number)
        pipeline.apply(Started(at=begun, stage=stage, work="x"))
        ended = begun + timedelta(seconds=2.5 + number)
        pipeline.apply(Ended(at=ended, stage=stage, state=State.SUCCEEDED, totals=Totals(3000, 30 - number, 2)))
    ended_at = START + timedelta(seconds=30)
    prefix = DumpPrefix("dev", "dev-1", "etl-dump")
    return RunReport(pipeline=pipeline, prefix=prefix, started_at=START, ended_at=ended_at)


def _equal(kind: str, count: int) -> ObjectComparison:
    return ObjectComparison(kind, count, count, (), (), ())


@pytest.fixture
def findings() -> Findings:
    users = TableComparison(
        "public.users", ("id",), 10, 9, False, (ColumnComparison("email", 9), ColumnComparison("domain", 9)), 1
    )
    orders = TableComparison("public.orders", ("id",), 20, 20, True)
    return Findings(
        deployed={
            "aws:s3/bucket:Bucket": 2,
            "aws:sqs/queue:Queue": 2,
            "aws:sfn/stateMachine:StateMachine": 2,
            "kubernetes:batch/v1:Job": 1,
            "etl:index:PrivateBucket": 2,
            "pulumi:providers:aws": 1,
        },
        report=_report(),
        clean=manifest("dev-1", "clean"),
        rules=Rules("columns.yaml", (), {}),
        comparison=Comparison(
            (orders, users), (), (), (_equal("index", 4), _equal("policy", 1), _equal("view", 0)), 0.5
        ),
        examples=[
            TableExample(
                "public.users",
                (
                    ColumnExample(
                        "email", (("ada.example@example.com", "5c9@example.com"), ("bob@example.com", None)), True
                    ),
                    ColumnExample("a_very_long_name_of_a_column", (("••••", "x" * 90),), False),
                    ColumnExample("photo", (), True),
                ),
            )
        ],
    )


def printed(findings: Findings, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False, _environ={})
    print_end_report(console, findings)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_report_says_what_was_deployed_ran_was_scrubbed_and_was_not(findings: Findings) -> None:
    assert printed(findings, 80) == [
        "",
        "What was deployed",
        "  7 resources, by the Pulumi program itself: 1 Kubernetes · 2 S3 · 2 Step",
        "  Functions · 2 SQS",
        "",
        "What ran",
        "              time  bytes  rows  tables",
        "  extract    2.5 s   3 kB    30       2",
        "  transform  3.5 s   3 kB    29       2",
        "  load       4.5 s   3 kB    28       2",
        "",
        "What was scrubbed",
        "  1 column of 1 table. 10 original values looked up in what was released: 0",
        "  left.",
        "  1 kB were written anew; the other 2 kB were copied inside S3, unread.",
        "",
        "  public.users  without a kept key: left and right are of different rows",
        "  email               ada.example@example.com      5c9@example.com",
        "                      bob@example.com              null",
        "  a_very_long_name_…  ••••                         xxxxxxxxxxxxxxxxxxxxxxxxxxxx…",
        "  photo               no value",
        "",
        "What was not touched",
        "  1 table with 20 rows, the same in source and target, row by row (SHA-256):",
        "  public.orders",
        "",
        "What else differs",
        "  rows left out: public.users 10 → 9",
        "  changed by a script, or computed from what was: public.users.domain",
        "  nothing else; equal are 4 indexes, 1 policy",
    ]


def test_a_narrow_terminal_gets_every_line_within_its_width(findings: Findings) -> None:
    assert max(map(len, printed(findings, 40))) <= 40


def test_a_demonstration_that_went_well_has_no_faults(findings: Findings) -> None:
    assert findings.faults == []


def test_what_must_not_be_is_a_fault(findings: Findings) -> None:
    orders, users = findings.comparison.tables
    index = ObjectComparison("index", 3, 2, ("public.by_email",), (), ("public.by_name",))
    comparison = replace(
        findings.comparison,
        tables=(replace(orders, identical=False), users),
        missing_tables=("public.gone",),
        unexpected_tables=("public.new",),
        objects=(index,),
    )
    cleaning = findings.clean.cleaning
    assert cleaning is not None
    survivor = {"table": "public.users", "column": "email", "originals": 10, "survivors": 2}
    proof = {"result": "failed", "columns": [survivor]}
    broken = replace(
        findings, comparison=comparison, clean=replace(findings.clean, cleaning=replace(cleaning, proof=proof))
    )
    assert broken.faults == [
        "public.orders should be untouched and differs",
        "public.gone is missing in the target",
        "public.new is in the target and not in the source",
        "index public.by_email is missing in the target",
        "index public.by_name is another in the target",
        "the clean dump has no proof",
        "public.users.email still holds originals",
    ]
    assert printed(broken, 100)[-7:] == [f"fault: {fault}" for fault in broken.faults]


@pytest.fixture
def dropping(findings: Findings) -> Findings:
    """Findings of a run by rules that drop all that rules may drop."""
    places = {place: PlaceRule("drop", 1) for place in DROPPABLE_PLACES}
    comment = ObjectComparison("comment", 3, 0, ("on table public.a", "on table public.b", "on type public.c"), (), ())
    large_object = ObjectComparison("large object", 2, 0, ("16401", "16402"), (), ())
    comparison = replace(findings.comparison, objects=(_equal("index", 4), comment, large_object))
    return replace(findings, rules=Rules("columns.yaml", (), places), comparison=comparison)


def test_what_the_rules_drop_is_no_fault_and_is_counted(dropping: Findings) -> None:
    assert dropping.faults == []
    assert printed(dropping, 100)[-2:] == [
        "  dropped by the rules: 3 comments, 2 large objects",
        "  nothing else; equal are 4 indexes",
    ]
    assert dropping.document()["dropped"] == {"comment": 3, "large object": 2}


def test_what_the_rules_drop_and_the_target_has_all_the_same_is_a_fault(dropping: Findings) -> None:
    kept = ObjectComparison("comment", 3, 1, ("on table public.a", "on table public.b"), (), ())
    broken = replace(dropping, comparison=replace(dropping.comparison, objects=(kept,)))
    assert broken.faults == ["1 comment in the target, which the rules drop"]


def test_a_comment_that_goes_with_a_dropped_large_object_is_no_fault(dropping: Findings) -> None:
    rules = Rules("columns.yaml", (), {"large_objects": PlaceRule("drop", 1)})
    comment = ObjectComparison("comment", 3, 1, ("on large object 16401", "on table public.users"), (), ())
    found = replace(dropping, rules=rules, comparison=replace(dropping.comparison, objects=(comment,)))
    assert found.faults == ["comment on table public.users is missing in the target"]
    assert found.dropped == {"comment": 1}


def test_what_the_rules_keep_and_the_target_lacks_is_a_fault(dropping: Findings) -> None:
    broken = replace(dropping, rules=Rules("columns.yaml", (), {"comments": PlaceRule("drop", 1)}))
    assert broken.faults == [
        "large object 16401 is missing in the target",
        "large object 16402 is missing in the target",
    ]
    assert not [line for line in printed(broken, 100) if "nothing else" in line]


def test_each_place_that_rules_may_drop_is_a_kind_that_is_compared() -> None:
    assert set(KINDS_OF_PLACES) == DROPPABLE_PLACES
    assert set(KINDS_OF_PLACES.values()) <= OBJECT_KINDS


def test_long_values_are_shown_from_where_they_begin_to_differ() -> None:
    same = '{"title": "Developer", "summary": "as it was", "contact": "'
    assert differing(f'{same}Ada"}}', f'{same}Fern"}}') == ('…"contact": "Ada"}', '…"contact": "Fern"}')
    assert differing("ada@example.com", "ada@example.org") == ("ada@example.com", "ada@example.org")
    assert differing(None, "x") == (None, "x")


def test_machines_get_the_same_findings(findings: Findings) -> None:
    document = findings.document()
    assert {key: document[key] for key in ("deployed", "rewritten_bytes", "tables", "objects", "faults")} == {
        "deployed": {"s3": 2, "sqs": 2, "sfn": 2, "kubernetes": 1},
        "rewritten_bytes": 1000,
        "tables": [
            {
                "table": "public.orders",
                "path": "untouched",
                "identical": True,
                "source_rows": 20,
                "target_rows": 20,
                "changed_columns": {},
            },
            {
                "table": "public.users",
                "path": "expressions",
                "identical": False,
                "source_rows": 10,
                "target_rows": 9,
                "changed_columns": {"email": 9, "domain": 9},
            },
        ],
        "objects": {"index": 4, "policy": 1, "view": 0},
        "faults": [],
    }
