"""The transform with the owner's scripts: what they may do, what becomes of it, and what stops them."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.containers.clean_dump import CleanDump
from tests.containers.programs import Programs, Run
from tests.containers.source_database import CANARIES, RULES, TABLES

pytestmark = pytest.mark.end_to_end

Transform = Callable[..., tuple[Run, CleanDump]]
SCRIPTED = RULES.replace("note: \"CASE WHEN note IS NOT NULL THEN 'a note' END\"", "note: scripted")
NOTES = "UPDATE public.users SET note = 'note of ' || id WHERE note IS NOT NULL;\n"


@pytest.fixture
def scripts(rules: Path) -> Callable[..., None]:
    """Writes the scripts of a test, beside rules that leave `users.note` to them."""

    def write(*texts: str) -> None:
        (rules / "columns.yaml").write_text(SCRIPTED)
        for number, text in enumerate(texts, 1):
            (rules / f"{number}0.sql").write_text(text)

    return write


def _plan(clean: CleanDump, table: str) -> dict[str, object]:
    (step,) = [step for step in clean.manifest["plan"] if step["table"] == table]
    return dict(step)


def test_what_scripts_change_is_carried_and_the_rest_stays(
    transform: Transform, scripts: Callable[..., None], programs: Programs, raw_bucket: str
) -> None:
    scripts(
        NOTES,
        "\\echo hello\nDELETE FROM public.users WHERE id = 3;\n"
        "INSERT INTO public.catalogue VALUES (9999, 'new');\nDELETE FROM public.catalogue WHERE id = 1;\n",
    )
    run, clean = transform()
    raw = CleanDump.read(programs, raw_bucket)
    assert run.code == 0, run.text
    users = {row[0]: row for row in clean.rows("public.users")}
    assert len(users) == 199
    assert "3" not in users
    assert (users["1"][4], users["10"][4], users["1"][2]) == ("note of 1", r"\N", "Somebody 1")
    # The delete reached the orders of that user, by their foreign key.
    orders = clean.rows("public.orders")
    assert (len(orders), {row[2] for row in orders}, "3" in {row[1] for row in orders}) == (298, {""}, False)
    catalogue = clean.rows("public.catalogue")
    assert (len(catalogue), catalogue[-1], catalogue[0]) == (5000, ["9999", "new"], ["2", "title 2"])
    assert _plan(clean, "public.catalogue") == {
        "table": "public.catalogue",
        "path": "scripts",
        "reason": "a script changed it; line 13 keeps every column",
        "loaded": True,
        "rows_before": 5000,
        "rows_after": 5000,
    }
    assert clean.plan()["public.users"] == "scripts"
    assert clean.plan()["public.nothing"] == "untouched"
    name = raw.file("public.nothing")
    assert clean.objects[name] == raw.objects[name]
    proofs = {(p["table"], p["column"]): p["survivors"] for p in clean.manifest["proof"]["columns"]}
    assert proofs["public.users", "note"] == 0
    assert [canary for canary in CANARIES if canary in clean.script()] == []


def test_tables_out_of_the_scripts_reach_stay_in_s3(
    transform: Transform, scripts: Callable[..., None], programs: Programs, raw_bucket: str, moto_log: Path
) -> None:
    scripts(NOTES)
    before = len(moto_log.read_text())
    run, clean = transform()
    requests = moto_log.read_text()[before:]
    assert (run.code, clean.plan()["public.catalogue"]) == (0, "untouched")
    name = CleanDump.read(programs, raw_bucket).file("public.catalogue")
    assert f"GET /{raw_bucket}/dev/nightly/etl-dump/{name}" not in requests


def test_a_script_that_reaches_further_than_its_names_say_is_run_again_on_everything(
    transform: Transform, scripts: Callable[..., None]
) -> None:
    scripts(NOTES, "DO $$ BEGIN EXECUTE 'DELETE FROM public.cata' || 'logue WHERE id <= 10'; END $$;\n")
    run, clean = transform()
    assert run.code == 0, run.text
    assert [event["event"] for event in run.events].count("reached_further") == 1
    assert (clean.plan()["public.catalogue"], len(clean.rows("public.catalogue"))) == ("scripts", 4990)
    assert len(clean.rows("public.users")) == TABLES["public.users"]


def test_a_script_that_stops_for_want_of_rows_that_were_not_loaded_is_run_again_on_everything(
    transform: Transform, scripts: Callable[..., None]
) -> None:
    scripts(
        NOTES, "DO $$ DECLARE n int; BEGIN EXECUTE 'SELECT 1 / count(*) FROM public.cata' || 'logue' INTO n; END $$;\n"
    )
    run, clean = transform()
    assert run.code == 0, run.text
    assert clean.plan()["public.catalogue"] == "untouched"


STOPPED: dict[str, tuple[list[str], str]] = {
    "an error": (
        [NOTES, "SELECT 1;\n\nUPDATE public.userz SET note = 'x';\n"],
        'scrub script stopped: 20.sql:3: relation "public.userz" does not exist',
    ),
    "an error that quotes a row": (
        ["SELECT note::integer FROM public.users;\n"],
        "scrub script stopped: 10.sql:1: invalid text representation (22P02)",
    ),
    "a function that quotes a row": (
        [
            "DO $$ DECLARE n text; BEGIN SELECT note INTO n FROM public.users LIMIT 1;\n"
            "RAISE EXCEPTION 'no: %', n; END $$;\n"
        ],
        "scrub script stopped: 10.sql:2: raise exception (P0001)",
    ),
    "a value that a script takes for a table": (
        ["SELECT ('\"' || left(note, 11) || '\"')::regclass FROM public.users;\n"],
        "scrub script stopped: 10.sql:1: undefined table (42P01)",
    ),
    "rows that a script runs": (
        ["SELECT left(note, 11) FROM public.users WHERE id = 1 \\gexec\n"],
        "scrub script stopped: 10.sql:1: syntax error (42601)",
    ),
    "a unique value that stands twice": (
        ["UPDATE public.users SET email = 'x@y';\n"],
        'scrub script stopped: 10.sql:1: duplicate key value violates unique constraint "users_email_key"',
    ),
    "a commit": (
        [NOTES, "COMMIT;\n"],
        "scrub script stopped: a script ends the transaction (COMMIT or ROLLBACK); all scripts run in one",
    ),
    "a commit and another transaction": (
        [NOTES + "COMMIT; BEGIN;\n"],
        "scrub script stopped: a script ends the transaction (COMMIT or ROLLBACK); all scripts run in one",
    ),
    "a rollback": (
        [NOTES + "ROLLBACK; BEGIN;\n"],
        "scrub script stopped: a script ends the transaction (COMMIT or ROLLBACK); all scripts run in one",
    ),
    "another connection": (
        [NOTES + "\\connect -\n"],
        "scrub script stopped: a script ends the transaction (COMMIT or ROLLBACK); all scripts run in one",
    ),
    "a sequence": (
        [NOTES + "SELECT setval('public.users_id_seq', 7000);\n"],
        "scrub scripts changed more than rows, which is not carried over: sequence public.users_id_seq",
    ),
    "a definition": (
        [NOTES + "ALTER TABLE public.users ALTER COLUMN name DROP DEFAULT, ADD COLUMN extra text;\n"],
        "scrub scripts changed more than rows, which is not carried over: definitions (DDL)",
    ),
    "a table of their own": (
        [NOTES + "CREATE TABLE public.mine (id integer);\n"],
        "scrub scripts changed more than rows, which is not carried over: definitions (DDL)",
    ),
    "a trigger that stays off": (
        [NOTES + "ALTER TABLE public.orders DISABLE TRIGGER touched;\n"],
        "scrub scripts changed more than rows, which is not carried over: definitions (DDL)",
    ),
    "an error that is passed over": (
        ["\\set ON_ERROR_STOP off\nSELECT 1/0;\n" + NOTES],
        "scrub script stopped: 10.sql:2: division by zero",
    ),
    "a command that psql does not know": (
        [NOTES + "\\nonsense\n"],
        "scrub script stopped: 10.sql:2: psql cannot run it",
    ),
    "a condition that is not closed": (
        ["\\if false\n" + NOTES],
        "scrub script stopped: 10.sql:2: psql cannot run it",
    ),
    "a text that is not closed": (
        [NOTES + "SELECT 'x;\n"],
        "scrub script stopped: 10.sql:2: unterminated quoted string at or near \"'x;\"",
    ),
    "a column that is left to scripts and that none changes": (
        ["SELECT 1;\n"],
        "proof failed: original values survive in public.users.note in 180 rows; nothing is released",
    ),
    "a script that leaves before its end": (
        ["\\q\n" + NOTES],
        "proof failed: original values survive in public.users.note in 180 rows; nothing is released",
    ),
    "a right that a scrubber has not": (
        ["COPY public.users TO '/tmp/users';\n"],
        "scrub script stopped: 10.sql:1: permission denied to COPY to a file",
    ),
    "a program": (
        ["COPY public.users TO PROGRAM 'cat';\n"],
        "scrub script stopped: 10.sql:1: permission denied to COPY to or from an external program",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("texts", "error"), STOPPED.values(), ids=STOPPED.keys())
def test_scripts_that_do_not_do_stop_the_run_with_their_reason(
    transform: Transform, scripts: Callable[..., None], texts: list[str], error: str
) -> None:
    scripts(*texts)
    run, clean = transform()
    assert (run.code, run.error) == (65, error)
    assert clean.objects == {}


def test_scripts_may_use_what_leaves_no_trace(transform: Transform, scripts: Callable[..., None]) -> None:
    scripts(
        "CREATE TEMP TABLE chosen AS SELECT id FROM public.users;\nSAVEPOINT a;\nDELETE FROM public.users;\n"
        "ROLLBACK TO a;\nANALYZE public.users;\n\\set x 1\n\\o /dev/null\n" + NOTES,
        "ALTER TABLE public.orders DISABLE TRIGGER touched;\nALTER TABLE public.orders ENABLE TRIGGER touched;\n"
        "UPDATE public.users u SET note = 'chosen ' || c.id FROM chosen c WHERE c.id = u.id AND u.note IS NOT NULL;",
    )
    run, clean = transform()
    assert run.code == 0, run.text
    users = {row[0]: row[4] for row in clean.rows("public.users")}
    assert (len(users), users["1"], users["10"]) == (200, "chosen 1", r"\N")


def test_a_truncated_table_is_carried(transform: Transform, scripts: Callable[..., None]) -> None:
    scripts(NOTES, "TRUNCATE public.catalogue;\n")
    run, clean = transform()
    assert (run.code, clean.rows("public.catalogue"), clean.plan()["public.catalogue"]) == (0, [], "scripts")


def test_scripts_have_the_scrub_functions_and_their_key(transform: Transform, scripts: Callable[..., None]) -> None:
    scripts("UPDATE public.users SET note = scrub.email(email);\n")
    run, clean = transform()
    assert run.code == 0, run.text
    assert [row for row in clean.rows("public.users") if row[1] != row[4]] == []


def test_scripts_do_not_see_the_rows_of_a_skipped_table(
    transform: Transform, scripts: Callable[..., None], rules: Path
) -> None:
    scripts(NOTES, "INSERT INTO public.nothing SELECT FROM public.catalogue;\n")
    text = SCRIPTED.replace('public.catalogue: {keep: all, reason: "reference data"}', "public.catalogue: skip")
    (rules / "columns.yaml").write_text(text)
    run, clean = transform()
    assert (run.code, len(clean.rows("public.nothing"))) == (0, 2)


def test_sigterm_ends_scripts_and_server_and_wipes_the_disk(
    programs: Programs, raw_bucket: str, rules: Path, scripts: Callable[..., None], name: str
) -> None:
    scripts(NOTES + "SELECT pg_sleep(60);\n")
    bucket = programs.bucket(name)
    process = programs.start("transform", programs.transform_environment("nightly", raw_bucket, bucket, rules))
    run = programs.terminated(process, lambda: _of_ours(programs, "psql"))
    assert (run.code, run.error) == (143, "stopped by SIGTERM; nothing was released, run it again")
    assert programs.objects(bucket) == {}
    assert not _of_ours(programs, "")


def _of_ours(programs: Programs, word: str) -> bool:
    """Whether a process runs on the programs' disk, with this word in its command line."""
    place = str(programs.mount_point)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        if any(place in argument for argument in arguments) and word in arguments[0]:
            return True
    return False


# --- databases of another kind ------------------------------------------------------------------------------------


@pytest.fixture
def database(programs: Programs, name: str) -> Callable[..., str]:
    """Makes a database of the test's own, extracts it and gives the bucket with its raw dump."""

    def make(statements: str, options: str = "") -> str:
        programs.cluster.execute(f"CREATE DATABASE {name} TEMPLATE template0 {options}")  # type: ignore[arg-type]
        with psycopg.connect(programs.cluster.dsn(database=name), autocommit=True) as connection:
            connection.execute(statements)  # type: ignore[call-overload]
        bucket = programs.bucket(f"{name}-raw")
        run = programs.run("pg_dump", programs.extract_environment("nightly", name, bucket))
        programs.cluster.execute(f"DROP DATABASE {name}")  # type: ignore[arg-type]
        assert run.code == 0, run.text
        return bucket

    return make


@pytest.mark.parametrize("with_script", [False, True])
def test_a_database_of_another_encoding_keeps_it(
    transform: Transform, rules: Path, database: Callable[..., str], with_script: bool
) -> None:
    bucket = database(
        "SET client_encoding = 'UTF8'; CREATE TABLE people (id integer, name text, town text);"
        "INSERT INTO people VALUES (1, 'Zoë', 'Orléans'), (2, 'Øyvind', 'Århus')",
        "ENCODING 'LATIN1' LOCALE 'C'",
    )
    (rules / "columns.yaml").write_text(
        "version: 1\ntables:\n  public.people: {columns: {id: keep, name: \"'Jürgen ' || id\", town: keep}}\n"
    )
    if with_script:
        (rules / "10.sql").write_text("UPDATE public.people SET town = 'Köln' WHERE id = 2;\n", encoding="utf-8")
    run, clean = transform(EXTRACT_BUCKET=bucket)
    assert run.code == 0, run.text
    content = gzip.decompress(clean.objects[clean.file("public.people")]).decode("latin-1")
    assert content == f"1\tJürgen 1\tOrléans\n2\tJürgen 2\t{'Köln' if with_script else 'Århus'}\n\\.\n\n\n"
    assert clean.toc.encoding == "LATIN1"


def test_rows_that_broke_a_check_before_it_was_made_are_no_fault_of_the_rules(
    transform: Transform, rules: Path, database: Callable[..., str]
) -> None:
    """A check that is NOT VALID binds new rows alone, in the scratch as in the source."""
    bucket = database(
        "CREATE TABLE people (id integer, name text); INSERT INTO people VALUES (-1, 'canary-note');"
        "ALTER TABLE people ADD CONSTRAINT positive CHECK (id > 0) NOT VALID"
    )
    (rules / "columns.yaml").write_text(
        "version: 1\ntables:\n  public.people: {columns: {id: keep, name: scripted}}\n"
        "elsewhere: {check_expressions: keep}\n"
    )
    (rules / "10.sql").write_text("DELETE FROM public.people WHERE id > 7;\n")
    run, _ = transform(EXTRACT_BUCKET=bucket)
    assert run.error.startswith("proof failed")
    (rules / "columns.yaml").write_text(
        "version: 1\ntables:\n  public.people: {columns: {id: keep, name: \"'x'\"}}\n"
        "elsewhere: {check_expressions: keep}\n"
    )
    run, clean = transform(EXTRACT_BUCKET=bucket)
    assert (run.code, clean.rows("public.people")) == (0, [["-1", "x"]])


def test_row_security_of_the_source_hides_no_row_from_the_scripts(
    transform: Transform, rules: Path, database: Callable[..., str], programs: Programs, name: str
) -> None:
    """A policy is for roles that the scratch has not, and where it is forced it binds a table's owner too."""
    programs.cluster.create_role(f"app_{name}", "NOSUPERUSER")
    bucket = database(
        "CREATE TABLE people (id integer, name text); INSERT INTO people VALUES (1, 'canary-note'), (2, 'canary-note');"
        f"CREATE POLICY mine ON people TO app_{name} USING (id = 1);"
        "ALTER TABLE people ENABLE ROW LEVEL SECURITY; ALTER TABLE people FORCE ROW LEVEL SECURITY"
    )
    (rules / "columns.yaml").write_text(
        "version: 1\ntables:\n  public.people: {columns: {id: keep, name: scripted}}\n"
        "elsewhere: {check_expressions: keep}\n"
    )
    (rules / "10.sql").write_text("UPDATE public.people SET name = 'x' || id;\n")
    run, clean = transform(EXTRACT_BUCKET=bucket)
    assert run.code == 0, run.text
    assert clean.rows("public.people") == [["1", "x1"], ["2", "x2"]]
    assert {entry.description for entry in clean.toc.entries} >= {"POLICY", "ROW SECURITY"}


def test_an_extension_that_only_a_superuser_may_create_is_there_for_expressions(
    transform: Transform, rules: Path, database: Callable[..., str]
) -> None:
    bucket = database(
        'CREATE SCHEMA "Own Place"; CREATE EXTENSION vector SCHEMA "Own Place";'
        'CREATE TABLE people (id integer, face "Own Place".vector(3)); CREATE TABLE "Own Place".more (id integer);'
        "INSERT INTO people VALUES (1, '[1,2,3]'), (2, '[4,5,6]')"
    )
    (rules / "columns.yaml").write_text(
        "version: 1\ntables:\n  public.people: {columns: {id: keep, face: \"'[0,0,0]'\"}}\n"
        "  '\"Own Place\".more': {columns: {id: keep}}\nelsewhere: {comments: keep}\n"
    )
    run, clean = transform(EXTRACT_BUCKET=bucket)
    assert run.code == 0, run.text
    assert clean.rows("public.people") == [["1", "[0,0,0]"], ["2", "[0,0,0]"]]


def test_a_dump_with_a_schema_of_our_name_is_refused(
    transform: Transform, rules: Path, database: Callable[..., str]
) -> None:
    bucket = database("CREATE SCHEMA scrub; CREATE TABLE people (id integer)")
    (rules / "columns.yaml").write_text("version: 1\ntables:\n  public.people: {columns: {id: '1'}}\n")
    run, clean = transform(EXTRACT_BUCKET=bucket)
    assert (run.code, run.error, clean.objects) == (
        78,
        "the dump has a schema scrub or postgres_etl_stage, which are ours; rename it",
        {},
    )


def test_a_hostile_definition_runs_nothing_as_a_superuser(
    transform: Transform, rules: Path, database: Callable[..., str], tmp_path: Path
) -> None:
    """A materialized view of the source's can hold a function that would run as whoever restores it."""
    bucket = database(
        "CREATE TABLE people (id integer, name text); INSERT INTO people VALUES (1, 'canary-note');"
        "CREATE FUNCTION worse() RETURNS void LANGUAGE plpgsql AS $$ BEGIN IF current_database() = 'scratch' THEN BEGIN"
        f" COPY (SELECT 1) TO PROGRAM 'touch {tmp_path}/evil'; EXCEPTION WHEN insufficient_privilege THEN END;"
        " END IF; END $$;"
        "CREATE FUNCTION evil(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM public.worse(); RETURN $1; END $$;"
        "CREATE INDEX evil ON people (evil(id)); CREATE MATERIALIZED VIEW bad AS SELECT evil(id) FROM people;"
        "ALTER TABLE people ADD CHECK (evil(id) = 1)"
    )
    (rules / "columns.yaml").write_text(
        "version: 1\ntables:\n  public.people: {columns: {id: keep, name: scripted}}\n"
        "elsewhere: {check_expressions: keep, function_bodies: keep, materialized_views: keep}\n"
    )
    (rules / "10.sql").write_text("UPDATE public.people SET name = 'x';\n")
    run, clean = transform(EXTRACT_BUCKET=bucket)
    assert (run.code, clean.rows("public.people")) == (0, [["1", "x"]])
    assert not (tmp_path / "evil").exists()
