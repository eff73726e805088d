"""The transform with the owner's scripts: what they may do, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.containers.end_to_end.clean_dump import CleanDump
from tests.containers.end_to_end.programs import Programs, Run
from tests.containers.end_to_end.source_database import CANARIES, SCRIPTED_RULES, TABLES

pytestmark = pytest.mark.end_to_end

Transform = Callable[..., tuple[Run, CleanDump]]
NOTES = "UPDATE public.users SET note = 'note of ' || id WHERE note IS NOT NULL;\n"


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
    text = SCRIPTED_RULES.replace('public.catalogue: {keep: all, reason: "reference data"}', "public.catalogue: skip")
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


def test_a_sequence_that_a_script_moved_is_where_it_left_it(transform: Transform, scripts: Callable[..., None]) -> None:
    scripts(NOTES, "INSERT INTO public.users (email, note) VALUES ('new@example.com', 'a note');\n")
    run, clean = transform()
    assert run.code == 0, run.text
    (entry,) = [e for e in clean.toc.entries if (e.description, e.tag) == ("SEQUENCE SET", "users_id_seq")]
    assert entry.definition == "SELECT pg_catalog.setval('public.users_id_seq', 201, true);\n"
    assert "setval('public.users_id_seq', 201, true)" in clean.script()
    assert len(clean.rows("public.users")) == 201


def test_scripts_use_variables_of_the_settings_and_of_secrets_and_none_is_told(
    transform: Transform, scripts: Callable[..., None], programs: Programs
) -> None:
    secret = programs.secret("script-variable", "hush-hush's")
    scripts("UPDATE public.users SET note = :'town' || ' ' || :'token' WHERE note IS NOT NULL;\n")
    variables = {
        "SCRUB_VARIABLES": json.dumps({"town": "Leeds; DROP"}),
        "SCRUB_SECRET_IDS": json.dumps({"token": secret}),
    }
    run, clean = transform(**variables)
    assert run.code == 0, run.text
    assert {row[4] for row in clean.rows("public.users")} == {"Leeds; DROP hush-hush's", r"\N"}
    assert "hush" not in run.text


def test_a_secret_that_an_error_would_quote_stands_as_its_variable(
    transform: Transform, scripts: Callable[..., None], programs: Programs
) -> None:
    secret = programs.secret("script-variable-2", "hushhush")
    scripts(NOTES + "SELECT :token FROM public.users;\n")
    run, _ = transform(SCRUB_SECRET_IDS=json.dumps({"token": secret}))
    assert (run.code, run.error) == (65, 'scrub script stopped: 10.sql:2: column ":token" does not exist')
    assert "hush" not in run.text
