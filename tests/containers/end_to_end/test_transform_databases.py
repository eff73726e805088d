"""The transform of databases that are not as others are."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from etl_local.clusters import ClusterTemplate, PostgresCluster
from tests.containers.end_to_end.clean_dump import CleanDump
from tests.containers.end_to_end.programs import Programs, Run
from tests.containers.end_to_end.source_database import ROWS, SCHEMA, change_rules

pytestmark = pytest.mark.end_to_end

Transform = Callable[..., tuple[Run, CleanDump]]


@pytest.mark.parametrize("with_script", [False, True])
def test_a_database_of_another_encoding_keeps_it(
    transform: Transform, rules: Path, raw_of: Callable[..., str], with_script: bool
) -> None:
    bucket = raw_of(
        "SET client_encoding = 'UTF8'; CREATE TABLE größe (id integer, name text, town text);"
        "INSERT INTO größe VALUES (1, 'Zoë', 'Orléans'), (2, 'Øyvind', 'Århus')",
        "ENCODING 'LATIN1' LOCALE 'C'",
    )
    (rules / "columns.yaml").write_text(
        "version: 1\ntables:\n  'public.\"größe\"': {columns: {id: keep, name: \"'Jürgen ' || id\", town: keep}}\n",
        encoding="utf-8",
    )
    if with_script:
        (rules / "10.sql").write_text("UPDATE public.größe SET town = 'Köln' WHERE id = 2;\n", encoding="utf-8")
    run, clean = transform(EXTRACT_BUCKET=bucket)
    assert run.code == 0, run.text
    content = gzip.decompress(clean.objects[clean.file('public."größe"')]).decode("latin-1")
    assert content == f"1\tJürgen 1\tOrléans\n2\tJürgen 2\t{'Köln' if with_script else 'Århus'}\n\\.\n\n\n"
    assert clean.toc.encoding == "LATIN1"


def test_rows_that_broke_a_check_before_it_was_made_are_no_fault_of_the_rules(
    transform: Transform, rules: Path, raw_of: Callable[..., str]
) -> None:
    """A check that is NOT VALID binds new rows alone, in the scratch as in the source."""
    bucket = raw_of(
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
    transform: Transform, rules: Path, raw_of: Callable[..., str], programs: Programs, name: str
) -> None:
    """A policy is for roles that the scratch has not, and where it is forced it binds a table's owner too."""
    programs.cluster.create_role(f"app_{name}", "NOSUPERUSER")
    bucket = raw_of(
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
    transform: Transform, rules: Path, raw_of: Callable[..., str]
) -> None:
    bucket = raw_of(
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


def test_large_objects_that_the_rules_keep_are_kept(transform: Transform, rules: Path) -> None:
    change_rules(rules, ("large_objects: drop", "large_objects: keep"))
    run, clean = transform()
    assert run.code == 0, run.text
    assert gzip.decompress(clean.objects["blob_4711.dat.gz"]) == b"canary-object"
    assert {entry.description for entry in clean.toc.entries} >= {"BLOBS", "BLOB METADATA"}


def test_scripts_see_large_objects(transform: Transform, rules: Path) -> None:
    change_rules(rules, ("large_objects: drop", "large_objects: keep"))
    (rules / "10.sql").write_text("SELECT 1 / (lo_get(4711) = 'canary-object')::integer;\n")
    run, clean = transform()
    assert (run.code, "blob_4711.dat.gz" in clean.objects) == (0, True), run.text


def test_a_script_that_changes_a_large_object_stops(transform: Transform, rules: Path) -> None:
    change_rules(rules, ("large_objects: drop", "large_objects: keep"))
    (rules / "10.sql").write_text("SELECT lo_put(4711, 0, 'another');\n")
    run, clean = transform()
    assert (run.code, run.error, clean.objects) == (
        65,
        "scrub scripts changed more than rows, which is not carried over: large objects",
        {},
    )


@pytest.mark.parametrize("with_script", [False, True])
def test_an_older_server_s_dump_is_transformed_and_loaded(
    transform: Transform,
    rules: Path,
    programs: Programs,
    older_launchers: Path,
    name: str,
    target: str,
    with_script: bool,
) -> None:
    """Its archive has one list of large objects, and names their kinds otherwise."""
    bucket = programs.bucket(f"{name}-raw")
    directory = older_launchers.parent / name
    directory.mkdir()
    template = ClusterTemplate(directory / "template", older_launchers)
    with PostgresCluster(directory, older_launchers, "server", template) as older:
        passwords = {"etl_dump": older.create_role("etl_dump", "SUPERUSER")}
        theirs = replace(programs, cluster=older, launchers=older_launchers, passwords=passwords)
        theirs.query("postgres", SCHEMA + ROWS)
        run = theirs.run("pg_dump", theirs.extract_environment("nightly", "postgres", bucket))
        assert run.code == 0, run.text
    if with_script:
        (rules / "10.sql").write_text("DELETE FROM public.users WHERE id = 3;\n")
    run, clean = transform(EXTRACT_BUCKET=bucket)
    assert run.code == 0, run.text
    assert [found for found in clean.objects if "blob" in found] == []
    run = programs.run("pg_restore", programs.load_environment("load-1", "nightly", name, target, rules))
    assert run.code == 0, run.text
    assert programs.query(target, "SELECT count(*) FROM users") == [(199 if with_script else 200,)]


def test_a_dump_with_a_schema_of_our_name_is_refused(
    transform: Transform, rules: Path, raw_of: Callable[..., str]
) -> None:
    bucket = raw_of("CREATE SCHEMA scrub; CREATE TABLE people (id integer)")
    (rules / "columns.yaml").write_text("version: 1\ntables:\n  public.people: {columns: {id: '1'}}\n")
    run, clean = transform(EXTRACT_BUCKET=bucket)
    assert (run.code, run.error, clean.objects) == (
        78,
        "the dump has a schema scrub or postgres_etl_stage, which are ours; rename it",
        {},
    )


def test_a_hostile_definition_runs_nothing_as_a_superuser(
    transform: Transform, rules: Path, raw_of: Callable[..., str], tmp_path: Path
) -> None:
    """A materialized view of the source's can hold a function that would run as whoever restores it."""
    bucket = raw_of(
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
