"""A dump whose definitions hold code: restoring it runs some, and none as a superuser or as a command."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from etl_runtime.toc import read_toc

from etl_local.postgres_installation import PostgresInstallation
from tests.containers.end_to_end.clean_dump import CleanDump
from tests.containers.end_to_end.programs import LOAD_ROLE, Programs, Run

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


@pytest.fixture(scope="module")
def forged_source(programs_of_session: Programs) -> str:
    """A bucket with a raw dump to forge, that no test changes."""
    programs, bucket = programs_of_session, programs_of_session.bucket("forged-source")
    programs.cluster.create_database("forged", "postgres")
    programs.query("forged", FORGED_SOURCE)
    run = programs.run("pg_dump", programs.extract_environment("nightly", "forged", bucket))
    programs.cluster.execute("DROP DATABASE forged")
    assert run.code == 0, run.text
    return bucket


@pytest.fixture
def forge(programs: Programs, name: str) -> Callable[[str, dict[str, str]], str]:
    """Copies a raw dump with other definitions, tag → text, and a manifest that says so."""

    def copy(source: str, texts: dict[str, str]) -> str:
        raw, bucket = CleanDump.read(programs, source), programs.bucket(f"{name}-forged-{len(texts)}")
        toc = read_toc(raw.objects["toc.dat"])
        ids = {entry.tag: entry.dump_id for entry in toc.entries if entry.description in ("EXTENSION", "FUNCTION")}
        raw.objects["toc.dat"] = toc.changed((), {ids[tag]: text for tag, text in texts.items()})
        for file in raw.manifest["files"]:
            content = raw.objects[file["name"]]
            file |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            put = programs.s3.put_object(Bucket=bucket, Key=f"dev/nightly/etl-dump/{file['name']}", Body=content)
            file["version_id"] = put["VersionId"]
        programs.s3.put_object(Bucket=bucket, Key="dev/nightly/etl-dump/manifest.json", Body=json.dumps(raw.manifest))
        return bucket

    return copy


@pytest.fixture
def canaries(programs: Programs, name: str) -> Path:
    """A directory that every user of the machine may write to, but that nothing in it is to appear."""
    directory = programs.launchers.parent / f"canaries-{name}"
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


FORGED_SOURCE = (
    "CREATE EXTENSION vector; CREATE TABLE people (id integer, name text);"
    "INSERT INTO people VALUES (1, 'canary-note');CREATE FUNCTION evil() RETURNS integer LANGUAGE sql AS 'SELECT 1'"
)
FORGED_RULES = """\
version: 1
tables:
  public.people: {columns: {id: keep, name: "'x' || id"}}
elsewhere: {function_bodies: keep, comments: keep}
"""
_RESTORE = "pg_restore into the scratch database failed (1): "
FORGED: dict[str, tuple[dict[str, str], int, str]] = {
    "a statement after an extension's": (
        {"vector": "CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public; {touch};\n"},
        78,
        "extension vector cannot be made: invalid schema name (3F000)",
    ),
    "a statement in a line after an extension's": (
        {"vector": "CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;\n{touch};\n"},
        78,
        _RESTORE + "permission denied to create extension",
    ),
    "an extension that is an untrusted language, and code in it": (
        {
            "vector": "CREATE EXTENSION IF NOT EXISTS plpython3u WITH SCHEMA pg_catalog;\n",
            "evil()": "DO LANGUAGE plpython3u $$ import os; os.system('touch {place}') $$;\n",
        },
        69,
        _RESTORE + 'language "plpython3u" does not exist',
    ),
    "a language of its own": (
        {"evil()": "CREATE LANGUAGE evil HANDLER plpgsql_call_handler;\n{touch};\n"},
        69,
        _RESTORE + "must be superuser to create custom procedural language",
    ),
    "a library": ({"evil()": "LOAD '{place}.so';\n"}, 69, _RESTORE),
    "the administrator": (
        {"evil()": "SET ROLE postgres;\n{touch};\n"},
        78,
        _RESTORE + 'permission denied to set role "postgres"',
    ),
    "the administrator's session": (
        {"evil()": "RESET SESSION AUTHORIZATION; SET SESSION AUTHORIZATION postgres;\n{touch};\n"},
        78,
        _RESTORE + "permission denied to set session authorization",
    ),
    "a setting of the server": (
        {"evil()": "ALTER SYSTEM SET archive_command = 'touch {place}';\n"},
        78,
        _RESTORE + "permission denied to set parameter",
    ),
    "a command of psql's, let loose": (
        {"evil()": "\\unrestrict x\n\\! touch {place}\n"},
        69,
        _RESTORE + 'syntax error at or near "\\"',
    ),
}
"""What stands in place of an extension's and a function's definition, and how the transform ends."""


@pytest.mark.parametrize(("forged", "code", "error"), FORGED.values(), ids=FORGED.keys())
def test_a_definition_that_no_pg_dump_writes_runs_nothing_that_an_ordinary_role_may_not(
    transform: Transform,
    rules: Path,
    forged_source: str,
    forge: Callable[[str, dict[str, str]], str],
    canaries: Path,
    forged: dict[str, str],
    code: int,
    error: str,
) -> None:
    place = canaries / "evil"
    touch = f"COPY (SELECT 1) TO PROGRAM 'touch {place}'"
    texts = {tag: text.replace("{touch}", touch).replace("{place}", str(place)) for tag, text in forged.items()}
    (rules / "columns.yaml").write_text(FORGED_RULES)
    run, clean = transform(EXTRACT_BUCKET=forge(forged_source, texts), PROOF_SCOPE="everything")
    assert [path.name for path in canaries.iterdir()] == []
    assert (run.code, run.error[: len(error)], clean.objects) == (code, error, {})


@pytest.fixture
def with_untrusted_language(servers_directory: Path) -> dict[str, str]:
    """The variables of a program whose Postgres has an extension that is a language without limits, `anything`."""
    bundled, root = PostgresInstallation.bundled(), servers_directory / "anything"
    copy = root / bundled.prefix.parent.name / bundled.prefix.name
    shutil.copytree(bundled.prefix, copy, symlinks=True, ignore=shutil.ignore_patterns("include"))
    root.chmod(0o711)
    libraries = root / "libraries"
    if bundled.libraries:
        libraries = root / bundled.libraries.name
        libraries.symlink_to(bundled.libraries)
    extension = copy / "share" / "postgresql" / "extension"
    (extension / "anything.control").write_text("default_version = '1'\nsuperuser = true\n")
    handlers = "HANDLER plpgsql_call_handler INLINE plpgsql_inline_handler VALIDATOR plpgsql_validator"
    (extension / "anything--1.sql").write_text(f"CREATE LANGUAGE anything {handlers};\n")
    (root / "m").mkdir(mode=0o711)
    launchers = PostgresInstallation(copy, libraries).launchers(root)
    return {"PATH": f"{launchers}{os.pathsep}{os.defpath}", "MOUNT_POINT": str(root / "m")}


def test_an_untrusted_language_that_the_image_has_is_of_no_use_to_a_dump(
    transform: Transform,
    rules: Path,
    forged_source: str,
    forge: Callable[[str, dict[str, str]], str],
    with_untrusted_language: dict[str, str],
) -> None:
    (rules / "columns.yaml").write_text(FORGED_RULES)
    extension = {"vector": "CREATE EXTENSION IF NOT EXISTS anything WITH SCHEMA public;\n"}
    bucket = forge(forged_source, extension | {"evil()": "DO LANGUAGE anything $$ BEGIN NULL; END $$;\n"})
    run, clean = transform(EXTRACT_BUCKET=bucket, PROOF_SCOPE="everything", **with_untrusted_language)
    assert (run.code, run.error, clean.objects) == (
        78,
        _RESTORE + "permission denied for language anything",
        {},
    )
    bucket = forge(forged_source, extension)
    run, _ = transform(EXTRACT_BUCKET=bucket, PROOF_SCOPE="everything", **with_untrusted_language)
    assert run.code == 0, "it is there, or this test would show nothing"


@pytest.mark.parametrize("mode", ["swap", "in-place"])
def test_a_name_that_goes_on_in_another_line_is_a_name_wherever_it_comes(
    transform: Transform,
    rules: Path,
    raw_of: Callable[[str], str],
    programs: Programs,
    target: str,
    canaries: Path,
    mode: str,
) -> None:
    """CVE-2025-8715: in the comments of a dump's text psql took the second line for a command."""
    table = f"people\n\\! touch {canaries}/evil\n"[:63]
    bucket = raw_of(
        f'CREATE TABLE "{table}" (id integer, name text); INSERT INTO "{table}" VALUES (1, $$canary-note$$);'
        f'CREATE VIEW "v{table[:60]}" AS SELECT 1; CREATE INDEX "i{table[:60]}" ON "{table}" (id)'
    )
    key = json.dumps(f'public."{table}"')
    (rules / "columns.yaml").write_text(
        f"version: 1\ntables:\n  {key}: {{columns: {{id: keep, name: scripted}}}}\n"
        "elsewhere: {function_bodies: keep}\n"
    )
    (rules / "10.sql").write_text(f'UPDATE public."{table}" SET name = $$x$$;\n')
    run, _ = transform(EXTRACT_BUCKET=bucket)
    assert run.code == 0, run.text
    programs.cluster.create_database(target, LOAD_ROLE)
    programs.query("postgres", f"GRANT pg_signal_backend TO {LOAD_ROLE}")
    environment = programs.load_environment("load-1", "nightly", target, target, rules, RESTORE_MODE=mode)
    run = programs.run("pg_restore", environment)
    assert run.code == 0, run.text
    assert programs.query(target, f'SELECT * FROM "{table}"') == [(1, "x")]
    assert list(canaries.iterdir()) == []
