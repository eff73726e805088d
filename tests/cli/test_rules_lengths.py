"""`postgres-etl rules check`: what an expression gives, beside what its column takes."""

from __future__ import annotations

import pytest
from etl_runtime.rules_document import parse_rules

from etl_cli.rules.check_lengths import check_lengths
from etl_cli.rules.findings import gathered
from etl_cli.rules.inspection import Inspection
from etl_cli.rules.schema_snapshot import parse_snapshot


def told(type_name: str, rule: str) -> list[str]:
    schema = (
        "version: 1\npostgres: 17\ntypes:\n  public.short: {domain: character varying(30)}\n"
        f"tables:\n  public.t:\n    columns: {{a: {type_name}, b: text}}\n"
    )
    rules, faults = parse_rules(f"version: 1\ntables:\n  public.t: {{columns: {{a: {rule}, b: keep}}}}\n")
    assert faults == ()
    found = check_lengths(Inspection(rules, parse_snapshot(schema, "schema.yaml"), "columns.yaml"))
    return [f"{f.line} {f.severity} {f.message.removeprefix('public.t.a ')}" for f in gathered(found)]


@pytest.mark.parametrize(
    ("type_name", "rule", "finding"),
    [
        ("character varying(44)", "scrub.email(a)", ""),
        ("character varying(43)", "scrub.email(a)",
         "error is given 44 characters and takes 43: scrub.email(…, 43) fits"),
        ("character varying(43)", '"scrub.email(a, 43)"', ""),
        ("character varying(30)", '"scrub.email(a, 40)"',
         "error is given 40 characters and takes 30: scrub.email(…, 30) fits"),
        ("public.short", "scrub.email(a::text)",
         "error is given 44 characters and takes 30: scrub.email(…, 30) fits"),
        ("character(20)", "scrub.email(a)",
         "error is given 44 characters and takes 20: scrub.token(…, 20) fits"),
        ("character varying(10)", "scrub.url(a)", "error is given 52 characters and takes 10"),
        ("character varying(20)", "scrub.person_name(a)",
         "warning is given up to 25 characters and takes 20: scrub.token(…, 20) fits"),
        ("character varying(16)", '"scrub.token(a, 32)"',
         "error is given 32 characters and takes 16: scrub.token(…, 16) fits"),
        ("character varying(20)", "\"scrub.token(a, 16) || '@example.com'\"",
         "error is given 28 characters and takes 20"),
        ("character varying(5)", "\"'redacted'\"", "error is given 8 characters and takes 5"),
        ("character varying(5)", "\"coalesce(scrub.postcode(a), '')\"", "error is given 8 characters and takes 5"),
        ("character varying(20)", '"left(scrub.email(a), 20)"', ""),
        ("character varying(20)", '"scrub.email(a)::varchar(20)"', ""),
        ("character varying(20)", '"scrub.email(a)::public.other"', ""),
        ("character varying(20)", "scrub.text(a)", ""),
        ("character varying(20)", "b", ""),
        ("character varying(20)", "a || b", ""),
        ("character varying(20)", "a || '!'", "warning is given up to 21 characters and takes 20"),
        ("character varying(20)", "'NULL'", ""),
        ("character varying(20)", "scripted", ""),
        ("text", "scrub.email(a)", ""),
    ],
)  # fmt: skip
def test_what_is_longer_than_its_column_is_told_with_what_fits(type_name: str, rule: str, finding: str) -> None:
    assert told(type_name, rule) == ([f"3 {finding}"] if finding else [])
