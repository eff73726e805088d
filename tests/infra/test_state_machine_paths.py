"""Every path through the two machines, walked by an interpreter of the states language with scripted tasks."""

import json
from typing import Any

import pytest

from tests.infra.conftest import Deploy
from tests.infra.scripted_machine import ACCOUNT, HANGS, NOT_STARTED, STOPPED_AT_START, Ended, execute

EXTRACT, LOAD = f"postgres-etl-extract-prod-{ACCOUNT}", f"postgres-etl-load-sbx-{ACCOUNT}"
PROTECTED_ACCOUNT = "974531504241"
FAILURE = ["NotifyFailure", "ReportFailure"]


@pytest.fixture(scope="module")
def definitions(run: Deploy) -> dict[str, dict[str, Any]]:
    """Both machines, of the interpreter's account."""
    here = {"awsAccountId": ACCOUNT, "eksOidcProviderArn": None, "eksClusterName": "platform"}
    stacks = {"extract": run("prod", **here, protectedAccountIds=[ACCOUNT]), "load": run("sbx", **here)}
    return {name: stack.one("StateMachine").document("definition") for name, stack in stacks.items()}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "synthetic")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")


def extract(
    definitions: dict[str, Any],
    *outcomes: int | str,
    manifest: bool = True,
    topic: bool = True,
    environment: Any = "dev",
) -> Ended:
    return execute(
        definitions["extract"],
        {"LOAD_ENVIRONMENT": environment},
        outcomes,
        objects=[(EXTRACT, f"{environment}/nightly-1/etl-dump/manifest.json" if manifest else "")],
        topic="postgres-etl-alarms-prod" if topic else "",
    )


def load(
    definitions: dict[str, Any],
    *outcomes: int | str,
    manifest: bool = True,
    topic: bool = True,
    environment: str = "sbx",
    s3_status: int = 0,
) -> Ended:
    return execute(
        definitions["load"],
        {"LOAD_FILENAME": f"{environment}/nightly-1/etl-dump"},
        outcomes,
        objects=[(LOAD, f"{environment}/nightly-1/etl-dump/manifest.json" if manifest else "")],
        topic="postgres-etl-alarms-sbx" if topic else "",
        name="load-1",
        s3_status=s3_status,
    )


MACHINES: dict[str, Any] = {
    "extract": (extract, ["ValidateInput"], "DumpSourceDatabase", ["VerifyDump", "DumpIsComplete"], "Extract"),
    "load": (load, ["ValidateInput", "FindCleanedDump"], "RestoreCleanedDump", ["TargetIsReplaced"], "Load"),
}
BOTH = pytest.mark.parametrize("machine", list(MACHINES))


@BOTH
def test_a_task_that_succeeds_ends_the_execution_well(machine: str, definitions: dict[str, Any]) -> None:
    start, before, work, after, _ = MACHINES[machine]
    ended = start(definitions, 0)
    assert (ended.status, ended.states) == ("SUCCEEDED", [*before, work, *after])
    assert (len(ended.runs), ended.waits, ended.notices) == (1, [], [])


@BOTH
def test_the_task_gets_what_the_execution_gives(machine: str, definitions: dict[str, Any]) -> None:
    (run,) = MACHINES[machine][0](definitions, 0).runs
    (override,) = run["Overrides"]["ContainerOverrides"]
    name = {"extract": "nightly-1", "load": "load-1"}[machine]
    given = {variable["Name"]: variable["Value"] for variable in override["Environment"]}
    assert given["EXECUTION_ID"] == f"arn:aws:states:eu-west-2:{ACCOUNT}:execution:machine:{name}"
    expected = {
        "extract": {"DUMP_FILENAME": "etl-dump", "LOAD_ENVIRONMENT": "dev"},
        "load": {"LOAD_FILENAME": "sbx/nightly-1/etl-dump"},
    }[machine]
    assert given == {"EXECUTION_ID": given["EXECUTION_ID"], **expected}


@BOTH
def test_a_task_that_could_not_be_started_is_started_again(machine: str, definitions: dict[str, Any]) -> None:
    start, before, work, after, _ = MACHINES[machine]
    ended = start(definitions, NOT_STARTED, NOT_STARTED, 0)
    assert (ended.status, ended.states) == ("SUCCEEDED", [*before, work, *after])
    assert len(ended.runs) == 3
    assert len(ended.waits) == 2
    assert 0 <= ended.waits[0] <= 30  # full jitter: anything up to the interval
    assert 0 <= ended.waits[1] <= 60


@BOTH
def test_a_task_that_can_never_be_started_is_given_up_after_seven_attempts(
    machine: str, definitions: dict[str, Any]
) -> None:
    start, before, work, _, stage = MACHINES[machine]
    ended = start(definitions, *[NOT_STARTED] * 7)
    assert (ended.status, ended.error) == ("FAILED", f"{stage}.Failed")
    # its name is neither of the two of a task that ran, whatever wildcard an interpreter takes them for
    assert ended.states in (
        [*before, work, *FAILURE],
        [*before, work, "IsFailureWorthASecondAttempt", *FAILURE],
    )
    assert len(ended.runs) == 7


@BOTH
@pytest.mark.parametrize("code", [65, 143])
def test_a_task_that_fails_is_not_tried_again(machine: str, code: int, definitions: dict[str, Any]) -> None:
    start, before, work, _, stage = MACHINES[machine]
    ended = start(definitions, code)
    assert (ended.status, ended.error) == ("FAILED", f"{stage}.Failed")
    assert ended.states == [*before, work, "IsFailureWorthASecondAttempt", *FAILURE]
    assert len(ended.runs) == 1


@BOTH
@pytest.mark.parametrize("first", [75, STOPPED_AT_START])
def test_what_passes_by_itself_is_tried_a_second_time(
    machine: str, first: int | str, definitions: dict[str, Any]
) -> None:
    start, before, work, after, _ = MACHINES[machine]
    ended = start(definitions, first, 0)
    assert ended.status == "SUCCEEDED"
    assert ended.states == [*before, work, "IsFailureWorthASecondAttempt", f"{work}Again", *after]
    assert ended.runs[0] == ended.runs[1]


@BOTH
@pytest.mark.parametrize("second", [75, 65])
def test_there_is_no_third_time(machine: str, second: int | str, definitions: dict[str, Any]) -> None:
    start, before, work, _, stage = MACHINES[machine]
    ended = start(definitions, 75, second)
    assert (ended.status, ended.error) == ("FAILED", f"{stage}.Failed")
    assert ended.states == [*before, work, "IsFailureWorthASecondAttempt", f"{work}Again", *FAILURE]
    assert len(ended.runs) == 2


@BOTH
def test_a_task_that_takes_too_long_is_a_failure(machine: str, definitions: dict[str, Any]) -> None:
    start, before, work, _, stage = MACHINES[machine]
    ended = start(definitions, HANGS)
    assert (ended.status, ended.error) == ("FAILED", f"{stage}.Failed")
    assert ended.states == [*before, work, *FAILURE]


@BOTH
def test_the_topic_hears_of_a_failure_by_the_executions_id_alone(machine: str, definitions: dict[str, Any]) -> None:
    start, *_, stage = MACHINES[machine]
    name = {"extract": "nightly-1", "load": "load-1"}[machine]
    assert start(definitions, 65).notices == [
        f"{stage} failed in execution arn:aws:states:eu-west-2:{ACCOUNT}:execution:machine:{name}"
    ]


@BOTH
def test_a_failure_is_reported_even_if_nobody_can_be_told(machine: str, definitions: dict[str, Any]) -> None:
    start, before, work, _, stage = MACHINES[machine]
    ended = start(definitions, 65, topic=False)
    assert (ended.status, ended.error) == ("FAILED", f"{stage}.Failed")
    assert ended.states == [*before, work, "IsFailureWorthASecondAttempt", *FAILURE]


def test_a_dump_without_a_manifest_is_a_failure_whatever_its_task_said(definitions: dict[str, Any]) -> None:
    ended = extract(definitions, 0, manifest=False)
    assert (ended.status, ended.error) == ("FAILED", "Extract.Failed")
    assert ended.states == ["ValidateInput", "DumpSourceDatabase", "VerifyDump", *FAILURE]


def test_a_cleaned_dump_without_a_manifest_starts_nothing(definitions: dict[str, Any]) -> None:
    ended = load(definitions, manifest=False)
    assert (ended.status, ended.error) == ("FAILED", "Load.DumpMissing")
    assert ended.states == ["ValidateInput", "FindCleanedDump", "IsDumpMissing", "RefuseMissingDump"]
    assert ended.runs == []


@pytest.mark.parametrize(
    ("status", "end"), [(403, ["RefuseMissingDump"]), (404, ["RefuseMissingDump"]), (503, FAILURE)]
)
def test_of_what_s3_answers_only_an_object_that_is_not_shown_is_a_missing_dump(
    status: int, end: list[str], definitions: dict[str, Any]
) -> None:
    ended = load(definitions, s3_status=status)
    assert ended.states == ["ValidateInput", "FindCleanedDump", "IsDumpMissing", *end]
    assert ended.runs == []


@pytest.mark.parametrize("environment", ["prod"])
def test_an_extract_for_a_target_that_is_not_allowed_starts_nothing(
    environment: Any, definitions: dict[str, Any]
) -> None:
    ended = extract(definitions, environment=environment)
    assert (ended.status, ended.error, ended.runs) == ("FAILED", "Extract.InputRefused", [])
    assert ended.states == ["ValidateInput", "RefuseInput"]


@pytest.mark.parametrize("environment", ["prod", "dev"])
def test_a_load_of_another_environments_dump_starts_nothing(environment: str, definitions: dict[str, Any]) -> None:
    ended = load(definitions, environment=environment, manifest=False)
    assert (ended.status, ended.error, ended.runs) == ("FAILED", "Load.InputRefused", [])
    assert ended.states == ["ValidateInput", "RefuseInput"]


def roll_back(definition: Any, *outcomes: int | str) -> Ended:
    given = {"ROLLBACK": "load-1"}
    return execute(definition, given, outcomes, objects=[], topic="postgres-etl-alarms-sbx", name="back-1")


def test_a_rollback_names_its_load_to_the_task_and_looks_for_no_dump(definitions: dict[str, Any]) -> None:
    ended = roll_back(definitions["load"], 0)
    assert ended.states == ["ValidateInput", "PutPreviousDatabaseBack", "TargetIsRolledBack"]
    (override,) = ended.runs[0]["Overrides"]["ContainerOverrides"]
    assert {variable["Name"]: variable["Value"] for variable in override["Environment"]} == {
        "EXECUTION_ID": f"arn:aws:states:eu-west-2:{ACCOUNT}:execution:machine:back-1",
        "ROLLBACK": "load-1",
    }


@pytest.mark.parametrize("code", [75, 77])
def test_a_rollback_that_fails_is_told_at_once(code: int, definitions: dict[str, Any]) -> None:
    ended = roll_back(definitions["load"], code)
    assert (ended.status, ended.error) == ("FAILED", "Load.Failed")
    assert ended.states == ["ValidateInput", "PutPreviousDatabaseBack", *FAILURE]


def test_a_rollback_in_a_protected_account_starts_nothing(definitions: dict[str, Any]) -> None:
    copied = json.loads(json.dumps(definitions["load"]).replace(PROTECTED_ACCOUNT, ACCOUNT))
    ended = roll_back(copied)
    assert (ended.status, ended.error, ended.runs) == ("FAILED", "Load.TargetRefused", [])


def test_a_load_in_a_protected_account_starts_nothing_wherever_its_definition_came_from(
    definitions: dict[str, Any],
) -> None:
    copied = json.loads(json.dumps(definitions["load"]).replace(PROTECTED_ACCOUNT, ACCOUNT))
    ended = load({"load": copied})
    assert (ended.status, ended.error, ended.runs) == ("FAILED", "Load.TargetRefused", [])
    assert ended.states == ["ValidateInput", "RefuseTarget"]


@BOTH
def test_nothing_is_left_to_be_filled_in(machine: str, definitions: dict[str, Any]) -> None:
    assert "${" not in json.dumps(definitions[machine])
