"""`postgres-etl status`: what ran lately, what came of it, what waits; and what could not be seen."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from etl_cli.main import app

from .conftest import ACCOUNT, REGION, Aws, Cluster, manifest

EXTRACT = "extract_state_machine_arn"
LOAD = "load_state_machine_arn"


def status(aws: Aws, cluster: Cluster, *arguments: Any) -> Result:
    options = ("--outputs", aws.outputs_file, "--kubeconfig", cluster.kubeconfig)
    return CliRunner().invoke(
        app, ["status", *map(str, (*arguments, *options))], env={"COLUMNS": "100", "NO_COLOR": "1"}
    )


def start(aws: Aws, output: str, name: str, environment: str = "dev") -> None:
    document = {"LOAD_ENVIRONMENT": environment} if output == EXTRACT else {"LOAD_FILENAME": f"{environment}/{name}/x"}
    aws.clients["stepfunctions"].start_execution(
        stateMachineArn=aws.outputs[output], name=name, input=json.dumps(document)
    )


@pytest.fixture
def one_run(aws: Aws, cluster: Cluster) -> None:
    """A run that was extracted and cleaned, and whose load failed; three messages, one dead letter."""
    start(aws, EXTRACT, "dev-1")
    aws.end(EXTRACT, "dev-1", "SUCCEEDED")
    aws.put_manifest(manifest("dev-1"))
    cluster.add_job("etl-dev-0123", "dev-1")
    cluster.end_job("etl-dev-0123", "Complete")
    aws.put_manifest(manifest("dev-1", "clean"))
    start(aws, LOAD, "dev-1")
    aws.end(LOAD, "dev-1", "FAILED", error="Load.Failed", cause="exit code 77")
    for url, count in ((aws.outputs["dump_queue_url"], 3), (aws.outputs["dead_letter_queue_url"], 1)):
        for _ in range(count):
            aws.clients["sqs"].send_message(QueueUrl=url, MessageBody="{}")


def without_times(text: str) -> list[str]:
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>", text)
    return re.sub(r" in (?:0\.0 s|\d[^:·]*(?:s|min))", " in <time>", text).splitlines()


@pytest.mark.usefixtures("one_run")
def test_a_run_is_told_stage_by_stage_with_its_dumps_and_the_queues(aws: Aws, cluster: Cluster) -> None:
    result = status(aws, cluster)
    assert result.exit_code == 0, result.output
    assert without_times(result.stdout) == [
        "dev-1  dev",
        "  extract    succeeded in <time> · since <time>",
        "  transform  succeeded in <time> · since <time>",
        "  load       failed in <time>: Load.Failed: exit code 77 · since <time>",
        "  raw        3 kB · 30 rows · 2 tables",
        "  clean      3 kB · 30 rows · 2 tables · proof passed (1 scrubbed column)",
        "",
        "queue: 3 waiting, 0 in flight",
        "dead letters: 1",
    ]


@pytest.mark.usefixtures("one_run")
def test_machines_get_the_same_as_one_object(aws: Aws, cluster: Cluster) -> None:
    result = status(aws, cluster, "dev-1", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    work = {stage: document["runs"][0].pop(stage) for stage in ("extract", "transform", "load")}
    assert document == {
        "event": "status",
        "runs": [
            {
                "execution_name": "dev-1",
                "environment": "dev",
                "undone": None,
                "raw": {"bytes": 3000, "rows": 30, "tables": 2},
                "clean": {
                    "bytes": 3000,
                    "rows": 30,
                    "tables": 2,
                    "rules_sha256": "e" * 64,
                    "proof": "passed",
                    "scrubbed_columns": 1,
                },
            }
        ],
        "queue": {"waiting": 3, "in_flight": 0},
        "dead_letters": {"waiting": 1, "in_flight": 0},
        "unseen": [],
    }
    assert [(w["state"], w["name"], w["reason"]) for w in work.values()] == [
        ("succeeded", f"arn:aws:states:{REGION}:{ACCOUNT}:execution:postgres-etl-rds-to-s3:dev-1", ""),
        ("succeeded", "etl-dev-0123", ""),
        (
            "failed",
            f"arn:aws:states:{REGION}:{ACCOUNT}:execution:postgres-etl-s3-to-rds:dev-1",
            "Load.Failed: exit code 77",
        ),
    ]


@pytest.mark.usefixtures("one_run")
def test_a_rollback_is_told_as_one_of_the_environment_that_its_stack_loads_into(aws: Aws, cluster: Cluster) -> None:
    aws.clients["stepfunctions"].start_execution(
        stateMachineArn=aws.outputs[LOAD], name="rollback-1", input=json.dumps({"ROLLBACK": "dev-1"})
    )
    aws.end(LOAD, "rollback-1", "SUCCEEDED")
    result = status(aws, cluster, "rollback-1")
    assert result.exit_code == 0, result.output
    assert without_times(result.stdout)[:4] == [
        "rollback-1  dev",
        "  undoes     the load of dev-1",
        "  rollback   succeeded in <time> · since <time>",
        "",
    ]
    (run,) = json.loads(status(aws, cluster, "rollback-1", "--json").stdout)["runs"]
    assert (run["environment"], run["undone"], run["load"]["state"]) == ("dev", "dev-1", "succeeded")
    assert (run["extract"], run["transform"], run["raw"], run["clean"]) == (None, None, None, None)
    shown = json.loads(status(aws, cluster, "--environment", "dev", "--json").stdout)["runs"]
    assert {run["execution_name"] for run in shown} == {"dev-1", "rollback-1"}


def test_only_the_runs_of_one_environment_are_shown_if_asked_for(aws: Aws, cluster: Cluster) -> None:
    start(aws, EXTRACT, "dev-1")
    start(aws, EXTRACT, "sbx-1", "sbx")
    runs = json.loads(status(aws, cluster, "--environment", "dev", "--json").stdout)["runs"]
    assert [(run["execution_name"], run["environment"]) for run in runs] == [("dev-1", "dev")]


def test_what_may_not_be_seen_is_named_and_the_rest_shown(
    aws: Aws, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(aws, EXTRACT, "dev-1")
    cluster.api.fault("GET", "/jobs$", times=None, status=403)
    aws.clients["sqs"].delete_queue(QueueUrl=aws.outputs["dead_letter_queue_url"])
    monkeypatch.setenv("NO_COLOR", "1")
    result = status(aws, cluster)
    assert result.exit_code == 0
    assert without_times(result.stdout) == [
        "dev-1  dev",
        "  extract    running · since <time>",
        "  transform  not run",
        "  load       not run",
        "",
        "queue: 0 waiting, 0 in flight",
        "not seen: transform Jobs: Kubernetes answered 403",
        "not seen: dead_letter_queue_url: AWS.SimpleQueueService.NonExistentQueue",
    ]


def test_a_run_of_one_environment_is_found_behind_many_of_another(aws: Aws, cluster: Cluster) -> None:
    start(aws, EXTRACT, "sbx-1", "sbx")
    for number in range(7):
        start(aws, EXTRACT, f"dev-{number}")
    runs = json.loads(status(aws, cluster, "--environment", "sbx", "--json").stdout)["runs"]
    assert [run["execution_name"] for run in runs] == ["sbx-1"]


def test_a_run_that_never_was_is_an_error_and_nothing_is_said_before_it(aws: Aws, cluster: Cluster) -> None:
    start(aws, EXTRACT, "dev-1")
    result = status(aws, cluster, "nope")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "postgres-etl: there is no run 'nope'\n"


def test_a_run_for_another_environment_is_an_error(aws: Aws, cluster: Cluster) -> None:
    start(aws, EXTRACT, "dev-1")
    result = status(aws, cluster, "dev-1", "--environment", "sbx")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "postgres-etl: run 'dev-1' loads into 'dev', not into 'sbx'\n"


def test_without_any_run_it_says_so(aws: Aws, cluster: Cluster) -> None:
    assert status(aws, cluster).stdout.splitlines()[0] == "nothing has run yet"


def test_without_any_run_for_an_environment_it_says_so(aws: Aws, cluster: Cluster) -> None:
    start(aws, EXTRACT, "dev-1")
    result = status(aws, cluster, "--environment", "sbx")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "no run loads into 'sbx'")


def test_what_is_not_looked_through_is_not_claimed(aws: Aws, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etl_cli.observer._LOOKED_THROUGH", 2)
    for number in range(3):
        start(aws, EXTRACT, f"dev-{number}")
    assert status(aws, cluster, "--environment", "sbx").stdout.splitlines()[0] == (
        "none of the latest 2 runs loads into 'sbx'"
    )


def test_a_run_that_may_not_be_seen_is_not_said_to_be_absent(aws: Aws, cluster: Cluster) -> None:
    cluster.api.fault("GET", "/jobs$", times=None, status=403)
    result = status(aws, cluster, "nope")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "no run can be seen")


def test_a_transform_that_runs_says_how_far_it_is_and_one_that_failed_why(aws: Aws, cluster: Cluster) -> None:
    for name in ("dev-1", "dev-2"):
        cluster.add_job(f"etl-{name}", name)
    cluster.say("etl-dev-1", event="progress", step="cleaning and proving", tables_done=3, tables_total=12)
    cluster.say("etl-dev-1", event="plan", tables=[])
    cluster.say("etl-dev-2", event="progress", step="restoring", tables_done=0, tables_total=12)
    cluster.say("etl-dev-2", event="failed", error="public.users.nickname has no rule", exit_code=65)
    cluster.end_job("etl-dev-2", "Failed", "PodFailurePolicy")

    def transform(name: str) -> dict[str, Any]:
        return json.loads(status(aws, cluster, name, "--json").stdout)["runs"][0]["transform"]

    assert [(work["state"], work["reason"]) for work in map(transform, ("dev-1", "dev-2"))] == [
        ("running", "cleaning and proving, 3 of 12 tables"),
        ("failed", "public.users.nickname has no rule"),
    ]
    runs = json.loads(status(aws, cluster, "--json").stdout)["runs"]
    assert [run["transform"]["reason"] for run in sorted(runs, key=lambda run: run["execution_name"])] == [
        "cleaning and proving, 3 of 12 tables",
        "PodFailurePolicy",
    ]
