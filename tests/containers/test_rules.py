from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from etl_runtime.contract import ExitCode
from etl_runtime.faults import Fault
from etl_runtime.rules import ColumnRule, PathRule, PlaceRule, Rules, TableRule, json_expression
from etl_runtime.rules_document import RuleFault, parse_rules, read_rules

Read = Callable[[str], Rules]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def written(text: str) -> Rules:
        (tmp_path / "columns.yaml").write_text(text, encoding="utf-8")
        return read_rules(tmp_path)

    return written


def _message(read: Read, text: str) -> str:
    with pytest.raises(Fault) as stopped:
        read(text)
    assert stopped.value.code == ExitCode.CONFIG
    return stopped.value.message


WHOLE = """\
version: 1
tables:
  public.users:
    columns:
      id: keep
      email: scrub.email(email)
      notes: scripted
      phone: null
      fax: ~
      born: {expression: "date_trunc('year', born)", proof: per_row, reason: "years are shared"}
      country: {keep: all, reason: "a code"}
      profile:
        json:
          $.contact.email: email
          $.phones[*]: {function: scrub.phone, proof: per_row, reason: "few"}
          $.**."a b": {function: token, proof: none, reason: "a code"}
        reason: the rest is public
      log: {expression: scripted, proof: per_column, leaves: [$.**.email, $.who]}
    where: "created_at > '2020-01-01'"
    reason: recent users are enough
  public.sessions: truncate
  public.drafts: skip
  public.countries: {keep: all, reason: "reference data"}
  '"My Schema"."User Data"':
    columns: {"E Mail": "scrub.email(\\"E Mail\\")"}
  public.events_20*:
    columns: {id: keep}
elsewhere:
  comments: drop
  defaults: keep
  large_objects: {decision: stop, reason: "there are none"}
"""


def test_a_whole_document_is_read_with_its_lines(read: Read) -> None:
    assert read(WHOLE) == Rules(
        path="columns.yaml",
        tables=(
            TableRule(
                pattern="public.users",
                line=3,
                mode="columns",
                columns={
                    "id": ColumnRule("keep", 5),
                    "email": ColumnRule("expression", 6, "scrub.email(email)"),
                    "notes": ColumnRule("scripted", 7),
                    "phone": ColumnRule("expression", 8, "NULL"),
                    "fax": ColumnRule("expression", 9, "NULL"),
                    "born": ColumnRule("expression", 10, "date_trunc('year', born)", "per_row", "years are shared"),
                    "country": ColumnRule("keep", 11, reason="a code"),
                    "profile": ColumnRule(
                        "json",
                        13,
                        reason="the rest is public",
                        paths={
                            "$.contact.email": PathRule("email", 14),
                            "$.phones[*]": PathRule("scrub.phone", 15, "per_row", "few"),
                            '$.**."a b"': PathRule("token", 16, "none", "a code"),
                        },
                    ),
                    "log": ColumnRule("scripted", 18, proof="per_column", leaves=("$.**.email", "$.who")),
                },
                where="created_at > '2020-01-01'",
                reason="recent users are enough",
            ),
            TableRule("public.sessions", 21, "truncate"),
            TableRule("public.drafts", 22, "skip"),
            TableRule("public.countries", 23, "keep", reason="reference data"),
            TableRule(
                '"My Schema"."User Data"',
                24,
                "columns",
                {"E Mail": ColumnRule("expression", 25, 'scrub.email("E Mail")')},
            ),
            TableRule("public.events_20*", 26, "columns", {"id": ColumnRule("keep", 27)}),
        ),
        elsewhere={
            "comments": PlaceRule("drop", 29),
            "defaults": PlaceRule("keep", 30),
            "large_objects": PlaceRule("stop", 31, "there are none"),
        },
    )


def test_a_place_without_a_decision_stops(read: Read) -> None:
    assert read(WHOLE).place("sequences") == PlaceRule("stop", 0)


def test_a_table_s_own_rule_goes_before_its_family_s(read: Read) -> None:
    rules = read(
        "version: 1\ntables:\n"
        "  public.events_*: {columns: {id: keep}}\n"
        "  public.events_1: truncate\n"
        "  'public.\"Events\"': truncate\n"
    )
    found = [rules.table("public", name) for name in ("events_1", "events_2", "Events", "events", "EVENTS_3")]
    assert [rule and rule.line for rule in found] == [4, 3, 5, None, None]
    assert rules.table("other", "events_2") is None


def test_a_table_in_two_families_is_a_fault(read: Read) -> None:
    rules = read("version: 1\ntables:\n  public.a*: truncate\n  public.*b: truncate\n")
    assert rules.table("public", "ac") is rules.tables[0]
    with pytest.raises(Fault) as stopped:
        rules.table("public", "ab")
    assert (stopped.value.code, stopped.value.message) == (
        ExitCode.CONFIG,
        "columns.yaml: public.ab is in two families: line 3 and line 4",
    )


_KEYS = "it has columns, where, keep, reason"
_PLACES = (
    "large_objects, comments, defaults, enum_labels, check_expressions, function_bodies, materialized_views, "
    "foreign_servers, sequences"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns.yaml is empty: it classifies every table and column"),
        ("# nothing yet\n", "columns.yaml is empty: it classifies every table and column"),
        ("- version: 1", "columns.yaml:1: columns.yaml must be a mapping; columns.yaml:1: version must be 1"),
        ("tables: {}", "columns.yaml:1: version must be 1"),
        ("\nversion: 2", "columns.yaml:2: version must be 1"),
        ("version: [1]", "columns.yaml:1: version must be text; columns.yaml:1: version must be 1"),
        ("version: 1\ntable: {}",
         "columns.yaml:2: columns.yaml has no key 'table'; it has version, tables, elsewhere"),
        ("version: 1\ntables: [public.a]", "columns.yaml:2: tables must be a mapping"),
        ("version: 1\ntables:\n  public.a: truncate\n  public.a: skip",
         "columns.yaml:4: public.a stands twice in tables"),
        ("version: 1\ntables:\n  public.a: truncate\n  'public.\"a\"': skip",
         "columns.yaml:4: public.a stands twice in tables"),
        ("version: 1\ntables:\n  users: truncate", "columns.yaml:3: 'users' must be schema.table"),
        ("version: 1\ntables:\n  a.b.c: truncate", "columns.yaml:3: 'a.b.c' must be schema.table"),
        ("version: 1\ntables:\n  public.a: keep",
         "columns.yaml:3: public.a must be truncate, skip, or a mapping such as {keep: all, reason: …}"),
        ("version: 1\ntables:\n  public.a:",
         "columns.yaml:3: public.a must be truncate, skip, or a mapping such as {keep: all, reason: …}"),
        ("version: 1\ntables:\n  public.a: [x]",
         "columns.yaml:3: public.a must be a mapping; "
         "columns.yaml:3: public.a must say columns:, keep: all, truncate or skip"),
        ("version: 1\ntables:\n  public.a:\n    colums: {}",
         f"columns.yaml:4: public.a has no key 'colums'; {_KEYS}; "
         "columns.yaml:3: public.a must say columns:, keep: all, truncate or skip"),
        ("version: 1\ntables:\n  public.a: {keep: all}",
         "columns.yaml:3: public.a: keep: all keeps columns yet to come as well; say why with reason:"),
        ("version: 1\ntables:\n  public.a: {keep: some, reason: x}",
         "columns.yaml:3: public.a: keep takes the word all, and no columns or where beside it"),
        ("version: 1\ntables:\n  public.a: {keep: all, reason: x, where: y}",
         "columns.yaml:3: public.a: keep takes the word all, and no columns or where beside it"),
        ("version: 1\ntables:\n  public.a: {columns: {id: keep}, where: [x]}", "columns.yaml:3: where must be text"),
        ("version: 1\ntables:\n  public.a:\n    columns: [id]",
         "columns.yaml:4: columns of public.a must be a mapping"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: keep\n      id: NULL",
         "columns.yaml:6: id stands twice in columns of public.a"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: ''",
         "columns.yaml:5: public.a.id must be keep, scripted or an SQL expression"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {proof: per_row}",
         "columns.yaml:5: public.a.id must have one of expression, json and keep"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {keep: all, expression: x}",
         "columns.yaml:5: public.a.id must have one of expression, json and keep"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {expression: x, proof: no}",
         "columns.yaml:5: proof of public.a.id must be one of everywhere, per_column, per_row, none"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {expression: x, proof: none}",
         "columns.yaml:5: public.a.id is not proved; say why with reason:"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {keep: all, proof: per_row}",
         "columns.yaml:5: proof of public.a.id stands nowhere: what is kept is not proved"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {expression: keep, proof: per_row}",
         "columns.yaml:5: public.a.id is kept, and what is kept is not proved"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {json: {$.a: email}, proof: per_row}",
         "columns.yaml:5: proof of public.a.id stands at each of its paths"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {expression: scripted, leaves: $.a}",
         "columns.yaml:5: leaves of public.a.id must be a list of JSON paths"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {expression: scripted, leaves: []}",
         "columns.yaml:5: leaves of public.a.id must be a list of JSON paths"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id:\n        expression: x\n"
         "        leaves:\n          - $.a\n          - a.b",
         "columns.yaml:9: a leaf of public.a.id: 'a.b' is not a JSON path that scrub.json understands, "
         "such as $.contacts[*].email"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {json: {}}",
         "columns.yaml:5: json of public.a.id has no path; keep the column, or name what is personal in it"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {json: email}",
         "columns.yaml:5: json of public.a.id must be a mapping"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id:\n        json:\n          $..a: email",
         "columns.yaml:7: a path of public.a.id: '$..a' is not a JSON path that scrub.json understands, "
         "such as $.contacts[*].email"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id:\n        json:\n          $.a: email\n"
         "          $.a: text",
         "columns.yaml:8: $.a stands twice in json of public.a.id"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {json: {$.a: {proof: per_row}}}",
         "columns.yaml:5: $.a of public.a.id must have a function"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {json: {$.a: {function: email, proof: none}}}",
         "columns.yaml:5: $.a of public.a.id is not proved; say why with reason:"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {json: {$.a: lower(x)}}",
         "columns.yaml:5: $.a of public.a.id must be the name of a function that scrub.json knows, such as email"),
        ("version: 1\ntables:\n  public.a: TODO",
         "columns.yaml:3: public.a is TODO: decide its columns:, keep: all, truncate or skip"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: TODO  # a name?",
         "columns.yaml:5: public.a.id is TODO: decide keep, scripted, json: or an SQL expression"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {expression: TODO, reason: x}",
         "columns.yaml:5: public.a.id is TODO: decide keep, scripted, json: or an SQL expression"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {json: {$.a: TODO}}",
         "columns.yaml:5: $.a of public.a.id is TODO: decide its function"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {expression: x, prof: per_row}",
         "columns.yaml:5: public.a.id has no key 'prof'; it has expression, json, keep, proof, leaves, "
         "reason"),
        ("version: 1\ntables:\n  public.a:\n    columns:\n      id: {expression: [x]}",
         "columns.yaml:5: public.a.id must be text; "
         "columns.yaml:5: public.a.id must be keep, scripted or an SQL expression"),
        ("version: 1\nelsewhere:\n  commets: keep",
         f"columns.yaml:3: elsewhere has no key 'commets'; it has {_PLACES}"),
        ("version: 1\nelsewhere:\n  comments: maybe",
         "columns.yaml:3: elsewhere.comments must be one of keep, drop, stop"),
        ("version: 1\nelsewhere:\n  comments: TODO",
         "columns.yaml:3: elsewhere.comments is TODO: decide keep, drop (comments, large objects) or stop"),
        ("version: 1\nelsewhere:\n  comments:", "columns.yaml:3: elsewhere.comments must be one of keep, drop, stop"),
        ("version: 1\nelsewhere:\n  defaults: drop", "columns.yaml:3: elsewhere.defaults must be one of keep, stop"),
        ("version: 1\nelsewhere:\n  defaults: {reason: x}",
         "columns.yaml:3: elsewhere.defaults must be one of keep, stop"),
        ("version: 1\nelsewhere:\n  defaults: {decision: keep, why: x}",
         "columns.yaml:3: defaults has no key 'why'; it has decision, reason"),
        ("version: 1\ntables:\n  ? [a, b]\n  : truncate",
         "columns.yaml:3: a key of tables must be text; columns.yaml:3: '' must be schema.table"),
        ("version: 1\ntables: {a.b: truncate", "columns.yaml:2: not YAML: expected ',' or '}', but got '<stream end>'"),
        ("version: 1\n\ttables: {}", "columns.yaml:2: not YAML: found character '\\t' that cannot start any token"),
        ("version: 1\n---\nversion: 1", "columns.yaml:2: not YAML: but found another document"),
        ("version: *one", "columns.yaml:1: not YAML: found undefined alias 'one'"),
        ("version: 1\n# \x07", "columns.yaml: not YAML: it holds a character that YAML forbids"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_file_and_line(read: Read, text: str, message: str) -> None:
    assert _message(read, text) == message


def test_every_fault_is_told_at_once(read: Read) -> None:
    message = _message(
        read, "version: 2\ntables:\n  users: truncate\n  public.a: keep\nelsewhere:\n  defaults: drop\nextra: 1\n"
    )
    assert [part.split()[0] for part in message.split("; columns.yaml")] == [
        "columns.yaml:7:",
        ":1:",
        ":3:",
        ":4:",
        ":6:",
    ]


def test_a_directory_without_rules_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault) as stopped:
        read_rules(tmp_path)
    assert (stopped.value.code, stopped.value.message) == (
        ExitCode.CONFIG,
        f"{tmp_path}/columns.yaml does not exist: a scrub directory has a columns.yaml",
    )


def test_rules_that_are_not_utf_8_are_a_fault(tmp_path: Path) -> None:
    (tmp_path / "columns.yaml").write_bytes(b"version: 1 # caf\xe9\n")
    with pytest.raises(Fault) as stopped:
        read_rules(tmp_path)
    assert (stopped.value.code, stopped.value.message) == (
        ExitCode.CONFIG,
        f"{tmp_path}/columns.yaml is not UTF-8 text",
    )


def test_an_alias_stands_for_what_it_names(read: Read) -> None:
    rules = read("version: 1\ntables:\n  public.a: &shape\n    columns: {id: keep, at: now()}\n  public.b: *shape\n")
    assert [(rule.pattern, rule.line, list(rule.columns)) for rule in rules.tables] == [
        ("public.a", 3, ["id", "at"]),
        ("public.b", 5, ["id", "at"]),
    ]


def test_what_can_be_made_out_is_there_beside_the_faults() -> None:
    rules, faults = parse_rules(
        "version: 1\ntables:\n  public.a: {columns: {id: keep, name: TODO}}\n  public.b: truncate\n"
    )
    assert faults == (RuleFault(3, "public.a.name is TODO: decide keep, scripted, json: or an SQL expression"),)
    assert [rule.pattern for rule in rules.tables] == ["public.a", "public.b"]


@pytest.mark.parametrize(
    ("type_name", "expression"),
    [
        ("jsonb", """scrub.json("it's", '{"$.a": "email", "$.\\"o''k\\"": "text"}')"""),
        ("json", """scrub.json_text("it's", '{"$.a": "email", "$.\\"o''k\\"": "text"}')"""),
    ],
)
def test_json_paths_become_one_expression_of_the_column_s_type(type_name: str, expression: str) -> None:
    paths = {"$.a": PathRule("email", 1), '$."o\'k"': PathRule("text", 2)}
    assert json_expression("it's", paths, type_name) == expression


@pytest.mark.parametrize(("type_name", "told"), [("text", "text"), ("", "what cannot be told")])
def test_json_paths_are_for_no_other_type(type_name: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"json: is for the types json and jsonb, not for {told}"):
        json_expression("a", {"$.a": PathRule("email", 1)}, type_name)
