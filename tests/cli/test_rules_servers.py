"""`postgres-etl rules` with real servers: one schema from three places, and expressions that Postgres itself tries."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from click.testing import Result
from etl_runtime.postgres import tool
from etl_runtime.scratch import ADMINISTRATOR, Scratch
from typer.testing import CliRunner

from etl_cli.main import app
from etl_cli.rules.check import check_rules, prepare_scratch
from etl_cli.rules.check_lengths import LEAST_FITTED, LENGTHS, length_of_call
from etl_cli.rules.expressions import parsed
from etl_cli.rules.findings import gathered
from etl_cli.rules.schema_definition import Lacking
from etl_cli.rules.schema_snapshot import parse_snapshot
from etl_cli.rules.scratch_server import scratch_server
from etl_local.sample.marketplace import generate

pytestmark = pytest.mark.end_to_end
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Sample:
    """A server with the marketplace, a connection string to it, and a dump of it."""

    scratch: Scratch
    dsn: str
    dump: Path


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    with scratch_server() as scratch:
        environment = scratch.tool_environment() | {"PATH": os.environ["PATH"], "PGDATABASE": "marketplace"}
        dsn = f"host={environment['PGHOST']} port=5432 user=scrubber dbname=marketplace"
        with scratch.connect(ADMINISTRATOR) as connection:
            connection.execute("CREATE DATABASE marketplace OWNER scrubber")
        generate(dsn, 0.02)
        dump = tmp_path_factory.mktemp("dumps") / "nightly"
        subprocess.run([tool("pg_dump"), "-Fd", f"--file={dump}"], env=environment, check=True)
        yield Sample(scratch, dsn, dump)


@pytest.fixture
def scrub(tmp_path: Path) -> Path:
    """The sample's rules, to be changed."""
    return Path(shutil.copytree(ROOT / "scrub", tmp_path / "scrub"))


def rules(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["rules", *map(str, arguments)], env={"COLUMNS": "200", "NO_COLOR": "1"})


def test_the_sample_s_snapshot_is_its_schema_live_and_dumped(sample: Sample) -> None:
    for place in ("--source", sample.dsn), ("--dump", sample.dump):
        done = rules("snapshot", "--scrub", ROOT / "scrub", "--verify", *place)
        assert (done.exit_code, done.output) == (0, "")


def test_the_sample_s_rules_fit_its_schema_wherever_it_is_had_from(sample: Sample) -> None:
    told = "0 errors, 0 warnings in {} against the {}\n"
    scrub = ROOT / "scrub"
    for place, name in (
        ((), f"snapshot {scrub}/schema.yaml"),
        (("--dump", sample.dump), f"dump {sample.dump}"),
    ):
        done = rules("check", "--scrub", scrub, *place)
        assert (done.output, done.exit_code) == (told.format(scrub, name), 0)


def test_a_schema_that_went_on_is_told(sample: Sample, scrub: Path) -> None:
    with psycopg.connect(sample.dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE public.users ADD nickname text")
        try:
            verified = rules("snapshot", "--scrub", scrub, "--verify", "--source", sample.dsn)
            checked = rules("check", "--scrub", scrub, "--source", sample.dsn, "--format", "json")
            written = rules("snapshot", "--scrub", scrub, "--source", sample.dsn)
        finally:
            connection.execute("ALTER TABLE public.users DROP nickname")
    assert (verified.exit_code, written.exit_code) == (1, 0)
    assert "      nickname: text\n" in (scrub / "schema.yaml").read_text()
    assert checked.exit_code == 1
    findings = [json.loads(line) for line in checked.stdout.splitlines()]
    assert [(f["check"], f["severity"], f["message"]) for f in findings] == [
        ("unclassified", "error", "public.users.nickname (text) is not classified"),
        (
            "snapshot",
            "warning",
            "schema.yaml is not the schema of the live database: see `postgres-etl rules diff`, write it with "
            "`rules snapshot`",
        ),
    ]
    offline = rules("check", "--scrub", scrub, "--format", "github")
    line = (scrub / "columns.yaml").read_text().splitlines().index("  public.users:") + 1
    assert offline.stdout == (
        f"::error file={scrub}/columns.yaml,line={line},title=rules check%3A unclassified::"
        "public.users.nickname (text) is not classified\n"
    )


def test_a_draft_has_no_value_in_it_and_passes_once_it_is_decided(sample: Sample, tmp_path: Path) -> None:
    drafts: list[str] = []
    for number, place in enumerate((("--source", sample.dsn), ("--dump", str(sample.dump)))):
        directory = tmp_path / str(number)
        done = rules("init", "--scrub", directory, *place)
        assert done.exit_code == 0, done.output
        drafts.append((directory / "columns.yaml").read_text())
    assert drafts[0] == drafts[1]
    undecided = rules("check", "--scrub", tmp_path / "0")
    assert undecided.exit_code == 1
    assert "public.users.search is TODO: decide keep, scripted, json: or an SQL expression" in undecided.output
    with psycopg.connect(sample.dsn) as connection:
        people = connection.execute(
            "SELECT name, email_address, phone_number, split_part(name, ' ', 1) FROM public.users LIMIT 500"
        ).fetchall()
    words = {value for person in people for value in person if value}
    assert len(words) > 300
    assert [word for word in words if re.search(rf"\b{re.escape(word)}\b", drafts[0])] == []
    assert "      email_address: scrub.email(email_address)  # high: " in drafts[0]
    decided = re.sub(r"^( {10}.*): TODO ", r"\1: text ", drafts[0], flags=re.MULTILINE).replace("TODO", "keep")
    (tmp_path / "1" / "columns.yaml").write_text(decided)
    passed = rules("check", "--scrub", tmp_path / "1")
    assert (passed.exit_code, passed.output.partition(" in ")[0]) == (0, "0 errors, 0 warnings")


def test_a_preview_shows_what_the_rules_make_and_no_original(sample: Sample) -> None:
    arguments = ["preview", "--scrub", ROOT / "scrub", "--rows", "3", "--table", "public.users"]
    arguments += ["--table", "public.sessions", "--table", "public.briefs"]
    with psycopg.connect(sample.dsn) as connection:
        people = connection.execute(
            "SELECT name, email_address, phone_number FROM ONLY public.users LIMIT 3"
        ).fetchall()
    for place in (("--source", sample.dsn), ("--dump", str(sample.dump))):
        done = rules(*arguments, *place)
        assert done.exit_code == 0, done.output
        assert "public.sessions: truncate, no row comes out\n" in done.output
        assert "public.users: 3 rows looked at\n" in done.output
        assert re.search(r"  email_address\n(?:    ••• → [0-9a-f]{32}@(?:example|•••).com\n){3}", done.output)
        assert "  search: by a function of the database's own, which does not run here\n" in done.output
        assert not [word for person in people for word in person if word and word in done.output]
        refused = rules(*arguments, *place, "--show-values")
        assert refused.exit_code == 2
        assert "--show-values prints personal data: it goes to a terminal, and to no file or pipe" in refused.output
    unknown = rules("preview", "--scrub", ROOT / "scrub", "--source", sample.dsn, "--table", "public.nothing")
    assert (unknown.exit_code, unknown.output) == (
        2,
        "postgres-etl: public.nothing: no table that has rows and a rule\n",
    )


def test_a_draft_overwrites_no_rules(scrub: Path) -> None:
    done = rules("init", "--scrub", scrub, "--dump", scrub)
    assert (done.exit_code, done.output) == (
        2,
        f"postgres-etl: {scrub}/columns.yaml exists: `rules check` tells what it lacks; "
        "name another directory for a draft\n",
    )


SCHEMA = """\
version: 1
postgres: 17
extensions: {elsewhere: public}
types:
  public.mood: {enum: [good, bad]}
  public.document: {domain: jsonb}
functions:
  public.rank(who text, step integer DEFAULT): integer
tables:
  public.t:
    columns:
      id: bigint NOT NULL IDENTITY ALWAYS
      a: text
      code: uuid
      born: date
      mood: public.mood
      doc: public.document
      raw: json
      nick: public.citext
    primary_key: [id]
    checks:
      t_a_check: {columns: [a], expression: (length(a) > 3)}
"""


@pytest.fixture(scope="module")
def lacking(sample: Sample) -> Lacking:
    """The schema is made in the server's database; the extension and what it would give are not."""
    found = prepare_scratch(sample.scratch, parse_snapshot(SCHEMA, "schema.yaml"))
    assert found == Lacking(("elsewhere",), {("public.t", "nick"): "public.citext"})
    return found


RULES = """\
version: 1
tables:
  public.t:
    columns:
      id: keep
      a: {a}
      code: {code}
      born: keep
      mood: {mood}
      doc: {doc}
      raw: {raw}
      nick: {nick}
    where: {where}
elsewhere: {{enum_labels: keep, check_expressions: keep, function_bodies: keep, defaults: keep}}
"""
GOOD = {
    "a": "scrub.email(a)",
    "code": "scrub.uuid(code)",
    "mood": "{expression: \"CASE WHEN public.rank(a) > 1 THEN 'bad'::public.mood END\", proof: per_row}",
    "doc": "{json: {$.a.b: email}}",
    "raw": "{json: {$.a.b: email}}",
    "nick": "keep",
    "where": "born > '2000-01-01' AND t.id > 3",
}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        ({"a": "scrub.emial(a)"}, ["6 error public.t.a does not work: function scrub.emial(text) does not exist"]),
        ({"a": "scrub.email(b)"}, ['6 error public.t.a does not work: column "b" does not exist']),
        ({"a": "lower(a"}, ["6 error public.t.a does not work: syntax error at or near \"FROM\""]),
        ({"a": "now()"}, []),
        ({"a": "\"'xy'\""}, ["6 error public.t.a is given a constant that its constraint t_a_check refuses"]),
        ({"a": "\"'long'\""}, []),
        ({"a": "(SELECT max(a) FROM public.t)"}, [
            "6 error public.t.a reads public.t, and an expression sees its own row alone: use a script"
        ]),
        ({"a": "{expression: scripted, leaves: [$.x]}"}, [
            "6 error public.t.a is left to the scripts, and none sets it",
            "6 error public.t.a is text and has no leaves",
        ]),
        ({"code": "scrub.token(code::text, 32)"}, [
            '7 error public.t.code does not work: column "code" is of type uuid but expression is of type text; cast it'
        ]),
        ({"code": "scrub.token(code::text, 32)::uuid"}, []),
        ({"mood": "{expression: \"'fine'\", reason: x}"}, [
            '9 error public.t.mood does not work: invalid input value for enum public.mood: "fine"'
        ]),
        ({"doc": "{json: {$.a: emial}}"}, [
            "10 error public.t.doc does not work: scrub has no function 'emial' from text to text"
        ]),
        ({"a": "{json: {$.a: email}}"}, [
            "6 error public.t.a is text: json: is for the types json and jsonb, not for text"
        ]),
        ({"nick": "public.lower(nick)"}, [
            "12 warning public.t.nick cannot be checked: the Postgres here lacks elsewhere; name another with --pg-bin"
        ]),
        ({"where": "born"}, [
            "3 error where: of public.t does not work: argument of WHERE must be type boolean, not type date"
        ]),
        ({"where": "id IN (SELECT id FROM public.t)"}, [
            "3 error where: of public.t reads public.t, and a filter sees its own row alone: use a script"
        ]),
        ({"a": "TODO"}, ["6 error public.t.a is TODO: decide keep, scripted, json: or an SQL expression"]),
    ],
)  # fmt: skip
def test_every_expression_is_tried_in_a_real_postgres(
    sample: Sample, lacking: Lacking, tmp_path: Path, changed: dict[str, str], told: list[str]
) -> None:
    (tmp_path / "columns.yaml").write_text(RULES.format(**GOOD | changed))
    found = check_rules(tmp_path, parse_snapshot(SCHEMA, "schema.yaml"), sample.scratch, lacking)
    assert [f"{f.line} {f.severity} {f.message}" for f in gathered(found)] == told


@pytest.mark.usefixtures("lacking")
@pytest.mark.parametrize("name", LENGTHS)
def test_each_function_gives_as_many_characters_as_the_check_of_lengths_says(sample: Sample, name: str) -> None:
    value = "md5(n::text)::uuid" if name == "uuid" else "'0' || n"
    calls = [f"scrub.{name}({value})"]
    if name in LEAST_FITTED:
        calls += [f"scrub.{name}({value}, {most})" for most in (LEAST_FITTED[name], LEAST_FITTED[name] + 9)]
    with sample.scratch.connect() as connection:
        for call in calls:
            query = f"SELECT min(length({call}::text)), max(length({call}::text)) FROM generate_series(1, 3000) AS n"
            found = connection.execute(query).fetchone()  # pyright: ignore[reportArgumentType]
            told = length_of_call(parsed(call), "", 0)
            assert found is not None
            assert told is not None
            assert told.least <= found[0] <= found[1] <= told.most, call
        if name in LEAST_FITTED:
            with pytest.raises(psycopg.errors.InvalidParameterValue):
                connection.execute(f"SELECT scrub.{name}('x', {LEAST_FITTED[name] - 1})")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--source", "postgresql://me:secret@db.example.com/shop"],
         "--source holds a password, which every process here can read: use PGPASSWORD or ~/.pgpass"),
        (["--source", "host=x password=secret"],
         "--source holds a password, which every process here can read: use PGPASSWORD or ~/.pgpass"),
        (["--source", "postgresql://me:secret@[::1/shop"],
         "--source is neither a service's name nor a connection string"),
        (["--source", "no-such-service"], 'definition of service "no-such-service" not found'),
        (["--source", "host=127.0.0.1 port=1"], "the source cannot be reached: "),
        (["--dump", "."], ". has no toc.dat that can be read: a dump is a directory, as pg_dump -Fd writes"),
        (["--against", "dump"], "--against dump needs --dump, the directory of one"),
        (["--source", "x", "--dump", "."], "--source and --dump name two schemas: name one"),
        (["--source", "x", "--against", "snapshot"], "--against snapshot and --source name two schemas: name one"),
        ([], "schema.yaml does not exist: write it with `postgres-etl rules snapshot --source …`, and commit it"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused_by_name_and_no_password_is_repeated(
    tmp_path: Path, arguments: list[str], told: str
) -> None:
    (tmp_path / "columns.yaml").write_text("version: 1\n")
    done = rules("check", "--scrub", tmp_path, *arguments)
    assert done.exit_code == 2
    assert told in done.output
    assert "secret" not in done.output


@pytest.mark.parametrize("text", ["", "version: 2", "version: 1\npostgres: 17\ntables: {a.b: {columns: {a: }}}", "{"])
def test_a_file_that_is_no_snapshot_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "columns.yaml").write_text("version: 1\n")
    (tmp_path / "schema.yaml").write_text(text)
    done = rules("check", "--scrub", tmp_path)
    assert (done.exit_code, done.output) == (
        2,
        f"postgres-etl: {tmp_path}/schema.yaml is no snapshot of a schema: "
        "write it anew with `postgres-etl rules snapshot`\n",
    )
