"""A dump whose definitions hold code: restoring it runs some, and none as a superuser or as a command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.containers.end_to_end.clean_dump import CleanDump
from tests.containers.end_to_end.programs import Programs, Run

pytestmark = pytest.mark.end_to_end

Transform = Callable[..., tuple[Run, CleanDump]]
WORSE = """
CREATE FUNCTION worse(place text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE statement text;
BEGIN
  IF current_database() <> 'scratch' THEN RETURN; END IF;
  FOREACH statement IN ARRAY ARRAY[
    'ALTER ROLE scrubber SUPERUSER', 'SET ROLE postgres', 'GRANT pg_execute_server_program TO scrubber',
    format('COPY (SELECT 1) TO PROGRAM ''touch {directory}/%s''', place),
    format('COPY (SELECT 1) TO ''{directory}/%s''', place)]
  LOOP
    BEGIN EXECUTE statement; EXCEPTION WHEN insufficient_privilege THEN END;
  END LOOP;
END $$;
"""
HOSTILE = """
CREATE SEQUENCE fired;
CREATE FUNCTION evil(id integer, place text) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN PERFORM public.worse(place); RETURN id; END $$;
CREATE DOMAIN number AS integer CHECK (public.evil(VALUE, 'domain') > 0);
CREATE TABLE people (
    id integer PRIMARY KEY, name text, level number, age integer DEFAULT public.evil(1, 'default'),
    twice integer GENERATED ALWAYS AS (public.evil(id, 'generated') * 2) STORED,
    CHECK (public.evil(id, 'check') > 0)
);
CREATE INDEX evil ON people (public.evil(id, 'index'));
CREATE TABLE parts (id integer, name text) PARTITION BY RANGE (public.evil(id, 'partition'));
CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE MATERIALIZED VIEW bad AS SELECT public.evil(id, 'view') FROM people;
CREATE POLICY bad ON people USING (public.evil(id, 'policy') > 0);
CREATE RULE bad AS ON DELETE TO part DO ALSO SELECT public.worse('rule');
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN PERFORM public.worse('trigger'), nextval('public.fired'); RETURN NEW; END $$;
CREATE TRIGGER bad BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION fire();
CREATE FUNCTION on_event() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.worse('event'); END $$;
CREATE EVENT TRIGGER bad ON ddl_command_end EXECUTE FUNCTION on_event();
INSERT INTO people VALUES (1, 'canary-note', 1, 1);
INSERT INTO parts VALUES (1, 'canary-note');
"""
RULES = """\
version: 1
tables:
  public.people: {columns: {id: keep, name: scripted, level: keep, age: keep}}
  public.part: {columns: {id: keep, name: "'x'"}}
elsewhere: {check_expressions: keep, function_bodies: keep, materialized_views: keep, defaults: keep, sequences: keep}
"""


@pytest.fixture
def raw_of(programs: Programs, name: str) -> Callable[[str], str]:
    """Makes a database of the test's own, extracts it and gives the bucket with its raw dump."""

    def make(statements: str) -> str:
        programs.cluster.create_database(name, "postgres")
        programs.query(name, statements)
        bucket = programs.bucket(f"{name}-raw")
        run = programs.run("pg_dump", programs.extract_environment("nightly", name, bucket))
        programs.cluster.execute(f"DROP DATABASE {name}")  # type: ignore[arg-type]
        assert run.code == 0, run.text
        return bucket

    return make


@pytest.fixture
def canaries(programs: Programs) -> Path:
    """A directory that every user of the machine may write to, but that nothing in it is to appear."""
    directory = programs.launchers.parent / "canaries"
    directory.mkdir()
    directory.chmod(0o777)
    return directory


def test_code_in_a_dump_runs_as_an_ordinary_role_wherever_it_stands(
    transform: Transform, rules: Path, raw_of: Callable[[str], str], programs: Programs, canaries: Path
) -> None:
    worse = WORSE.format(directory=canaries)
    programs.cluster.create_database("scratch", "postgres")
    programs.query("scratch", f"CREATE ROLE scrubber; {worse} SELECT worse('control')")
    programs.cluster.execute("DROP DATABASE scratch", "DROP ROLE scrubber")
    (control,) = canaries.iterdir()
    assert control.name == "control", "a superuser's canary shows, or this test would show nothing"
    control.unlink()
    bucket = raw_of(worse + HOSTILE)
    (rules / "columns.yaml").write_text(RULES)
    (rules / "10.sql").write_text(
        "UPDATE public.people SET name = 'x'; INSERT INTO public.people VALUES (2, 'y', 2);\n"
        "INSERT INTO public.parts VALUES (3, 'y'); DELETE FROM public.part WHERE id = 3;\n"
        "DELETE FROM public.people WHERE id = 2; REFRESH MATERIALIZED VIEW public.bad;\n"
    )
    run, clean = transform(EXTRACT_BUCKET=bucket)
    assert [path.name for path in canaries.iterdir()] == []
    assert run.code == 0, run.text
    assert (clean.rows("public.people"), clean.rows("public.part")) == ([["1", "x", "1", "1"]], [["1", "x"]])
    (position,) = [entry.definition for entry in clean.toc.entries if entry.description == "SEQUENCE SET"]
    assert "'public.fired', 1, true" in position, "the trigger has fired"


@pytest.mark.parametrize("language", ["internal", "c"])
def test_a_function_in_a_language_that_can_do_anything_stops_the_run(
    transform: Transform, rules: Path, raw_of: Callable[[str], str], language: str
) -> None:
    body = "'now'" if language == "internal" else "'$libdir/plpgsql', 'plpgsql_call_handler'"
    returns = "timestamptz" if language == "internal" else "language_handler"
    bucket = raw_of(
        f"CREATE TABLE people (id integer, name text); CREATE FUNCTION evil() RETURNS {returns} LANGUAGE {language} "
        f"AS {body}; INSERT INTO people VALUES (1, 'canary-note')"
    )
    (rules / "columns.yaml").write_text(
        "version: 1\ntables:\n  public.people: {columns: {id: keep, name: \"'x'\"}}\n"
        "elsewhere: {function_bodies: keep}\n"
    )
    run, clean = transform(EXTRACT_BUCKET=bucket)
    assert (run.code, run.error, clean.objects) == (
        78,
        f"pg_restore into the scratch database failed (1): permission denied for language {language}",
        {},
    )
