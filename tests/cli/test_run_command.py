"""`postgres-etl run` from its arguments to its exit status: what it prints, what it refuses, what it never starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from etl_runtime.contract import LoadBucket
from typer.testing import CliRunner, Result

from etl_cli import invocation, run_command
from etl_cli.events import Stage
from etl_cli.execution_stage import ExecutionStage
from etl_cli.main import app
from etl_cli.run_request import RunRequest
from etl_cli.stack_outputs import Deployment
from etl_cli.transform_stage import TransformStage

from .conftest import ACCOUNT, REGION, Aws, Cluster, SteppedClock, manifest

NAME = "nightly-41"
EXTRACT = "extract_state_machine_arn"
LOAD = "load_state_machine_arn"


@pytest.fixture(autouse=True)
def command_clock(clock: SteppedClock, monkeypatch: pytest.MonkeyPatch) -> SteppedClock:
    monkeypatch.setattr(run_command, "Clock", lambda: clock)
    monkeypatch.setattr("etl_cli.clock.random.uniform", lambda *_: 1.0)
    return clock


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["run", *map(str, arguments)], env={"COLUMNS": "100", "NO_COLOR": "1"})


def whole_run(aws: Aws, cluster: Cluster, clock: SteppedClock) -> None:
    """Let each stage end in the turns to come."""

    def extracted() -> None:
        aws.put_manifest(manifest(NAME))
        aws.end(EXTRACT, NAME, "SUCCEEDED")
        cluster.add_job("etl-dev-1", NAME)

    def transformed() -> None:
        aws.put_manifest(manifest(NAME, "clean"))
        cluster.end_job("etl-dev-1", "Complete")

    def nothing() -> None:
        pass

    # Five turns of 3 seconds from one look at an execution or a Job to the next.
    clock.turns = [extracted, *[nothing] * 4, transformed, *[nothing] * 4, lambda: aws.end(LOAD, NAME, "SUCCEEDED")]


def test_a_whole_run_is_told_in_plain_lines_where_there_is_no_terminal(
    aws: Aws, cluster: Cluster, clock: SteppedClock
) -> None:
    whole_run(aws, cluster, clock)
    result = run("dev", "--execution-name", NAME, "--outputs", aws.outputs_file, "--kubeconfig", cluster.kubeconfig)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:postgres-etl"
    assert lines[0] == f"run {NAME} for dev"
    assert lines[1] == f"2026-01-02T03:04:05Z  extract    started · {arn}-rds-to-s3:{NAME}"
    assert lines[2] == "2026-01-02T03:04:20Z  extract    succeeded in 1 min 30 s: 3 kB · 30 rows · 2 tables"
    assert lines[3] == "2026-01-02T03:04:20Z  transform  started · waiting for its Job"
    assert lines[4] == "2026-01-02T03:04:20Z  transform  started · etl/etl-dev-1"
    assert lines[5].endswith("3 kB · 30 rows · 2 tables")
    assert lines[6] == f"2026-01-02T03:04:35Z  load       started · {arn}-s3-to-rds:{NAME}"
    assert lines[7] == "2026-01-02T03:04:50Z  load       succeeded in 1 min 30 s: 3 kB · 30 rows · 2 tables"
    assert lines[8] == f"extract, transform and load succeeded in 45 s: dev/{NAME}/etl-dump"
    assert len(lines) == 9


def test_a_whole_run_is_told_in_objects_for_machines(
    aws: Aws, cluster: Cluster, clock: SteppedClock, tmp_path: Path
) -> None:
    whole_run(aws, cluster, clock)
    report = tmp_path / "report.json"
    arguments = ("--outputs", aws.outputs_file, "--kubeconfig", cluster.kubeconfig, "--report", report, "--json")
    result = run("dev", "--execution-name", NAME, *arguments)
    assert result.exit_code == 0, result.output
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert [d["event"] for d in documents] == [
        *["stage_started", "stage_ended"],
        *["stage_started", "stage_started", "stage_ended"],
        *["stage_started", "stage_ended"],
        "report",
    ]
    assert documents[-1] == json.loads(report.read_text())
    assert {key: value for key, value in documents[-1].items() if key not in ("stages", "seconds", "ended_at")} == {
        "event": "report",
        "environment": "dev",
        "execution_name": NAME,
        "load_filename": f"dev/{NAME}/etl-dump",
        "state": "succeeded",
        "exit_status": 0,
        "started_at": "2026-01-02T03:04:05Z",
    }
    assert [stage["work"].rpartition(":")[2] for stage in documents[-1]["stages"]] == [NAME, "etl/etl-dev-1", NAME]


def test_each_stage_can_be_a_command_of_its_own_under_one_name(aws: Aws, cluster: Cluster, clock: SteppedClock) -> None:
    same = ("--execution-name", NAME, "--outputs", aws.outputs_file, "--kubeconfig", cluster.kubeconfig)

    def extracted() -> None:
        aws.put_manifest(manifest(NAME))
        aws.end(EXTRACT, NAME, "SUCCEEDED")

    clock.turns = [extracted]
    assert run("dev", "--stage", "extract", *same).exit_code == 0
    aws.put_manifest(manifest(NAME, "clean"))
    assert run("dev", "--stage", "transform", *same).exit_code == 0
    clock.turns = [lambda: aws.end(LOAD, NAME, "SUCCEEDED")]
    assert run("dev", "--stage", "load", *same).exit_code == 0
    assert (aws.executions(EXTRACT), aws.executions(LOAD)) == ([NAME], [NAME])


def test_stages_run_in_their_order_whatever_the_order_of_the_options(
    aws: Aws, cluster: Cluster, clock: SteppedClock
) -> None:
    clock.turns = [lambda: aws.end(EXTRACT, NAME, "FAILED", error="Extract.Failed")]
    result = run(
        *("dev", "--stage", "load", "--stage", "extract", "--execution-name", NAME),
        *("--outputs", aws.outputs_file, "--kubeconfig", cluster.kubeconfig),
    )
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-3:] == [
        "2026-01-02T03:04:35Z  extract    failed after 1 min 30 s: Extract.Failed",
        f"run {NAME} failed in the extract after 30 s",
        f"look closer with `{invocation.command()} status {NAME}`",
    ]
    assert aws.executions(LOAD) == []


def test_a_run_without_a_name_gets_one_that_says_for_what_and_when(aws: Aws, cluster: Cluster) -> None:
    run("dev", "--outputs", aws.outputs_file, "--kubeconfig", cluster.kubeconfig, "--timeout-minutes", "0.01")
    (name,) = aws.executions(EXTRACT)
    assert name.startswith("dev-2")
    assert len(name) == len("dev-20260102-030405-3f9a")


def test_waiting_too_long_is_exit_status_3(aws: Aws, cluster: Cluster) -> None:
    result = run(
        *("dev", "--execution-name", NAME, "--outputs", aws.outputs_file, "--kubeconfig", cluster.kubeconfig),
        *("--timeout-minutes", "1"),
    )
    assert result.exit_code == 3
    assert result.stdout.splitlines()[-2] == f"run {NAME} timed out in the extract after 1 min 0 s"
    assert f"execution {NAME} goes on: the same command watches it again" in result.stdout


def test_a_dump_that_no_job_takes_is_told_with_the_depth_of_the_dead_letter_queue(aws: Aws, cluster: Cluster) -> None:
    aws.put_manifest(manifest(NAME))
    aws.clients["sqs"].send_message(QueueUrl=aws.outputs["dead_letter_queue_url"], MessageBody="{}")
    result = run(
        *("dev", "--stage", "transform", "--execution-name", NAME, "--dispatch-minutes", "2"),
        *("--outputs", aws.outputs_file, "--kubeconfig", cluster.kubeconfig),
    )
    assert result.exit_code == 1
    assert (
        "never dispatched: no Job in 2 min 0 s; look at the dead-letter queue (it holds 1) and at the dispatcher's log"
        in result.stdout
    )


def test_each_bucket_must_be_owned_by_its_own_account(aws: Aws, cluster: Cluster, clock: SteppedClock) -> None:
    outputs = aws.outputs_file
    request = RunRequest(
        environment="dev",
        execution_name=NAME,
        stages=tuple(Stage),
        deployment=Deployment.read(outputs, outputs),
        kubeconfig=cluster.kubeconfig,
    )
    extract, transform, load = request.conductor(request.pipeline, [], clock).stages
    assert isinstance(extract, ExecutionStage)
    assert isinstance(transform, TransformStage)
    assert isinstance(load, ExecutionStage)
    raw, clean = LoadBucket("raw-dumps", ACCOUNT), LoadBucket("dev-dumps", ACCOUNT)
    assert (extract.dumps.bucket, extract.dumps.stage) == (raw, "raw")
    assert (transform.raw.bucket, transform.clean.bucket) == (raw, clean)
    assert (load.dumps.bucket, load.dumps.stage) == (clean, "clean")


REFUSED = [
    (["prod"], "prod is protected: it is never the target of a load"),
    (["sbx"], "no environment 'sbx' is deployed to load into; there is: dev"),
    (
        ["Dev!"],
        "load environment 'Dev!' is not of the form [a-z][a-z0-9-]{0,15}",
    ),
    (
        ["dev", "--execution-name", "a b;c"],
        "execution name 'a b;c' is not of the form [A-Za-z0-9_-]{1,80}",
    ),
    (
        ["dev", "--stage", "load", "--execution-name", "nope"],
        "nothing to load: s3://dev-dumps/dev/nope/etl-dump/manifest.json does not exist",
    ),
    (
        ["dev", "--stage", "transform", "--execution-name", "nope"],
        "nothing to transform: s3://raw-dumps/dev/nope/etl-dump/manifest.json does not exist",
    ),
    (
        ["dev", "--stage", "load"],
        "--execution-name is needed without the extract: it names the dump to go on with",
    ),
    (
        ["dev", "--report", "/nowhere/report.json"],
        "the report cannot be written: there is no directory /nowhere",
    ),
    (
        ["dev", "--extract-profile", "nobody"],
        "there is no AWS profile 'nobody'; `aws configure list-profiles` lists them",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_what_cannot_be_or_must_not_be_is_refused_in_one_line_before_anything_starts(
    aws: Aws, cluster: Cluster, arguments: list[str], message: str
) -> None:
    result = run(*arguments, "--outputs", aws.outputs_file, "--kubeconfig", cluster.kubeconfig)
    assert result.exit_code == 2
    assert result.stderr == f"postgres-etl: {message}\n"
    assert (aws.executions(EXTRACT), aws.executions(LOAD)) == ([], [])


def test_a_refusal_is_an_object_too_for_machines(aws: Aws) -> None:
    result = run("prod", "--outputs", aws.outputs_file, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "event": "refused",
        "error": "prod is protected: it is never the target of a load",
        "exit_status": 2,
    }


def test_without_a_way_to_the_cluster_nothing_starts(aws: Aws, tmp_path: Path) -> None:
    result = run("dev", "--outputs", aws.outputs_file, "--kubeconfig", tmp_path / "none")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"postgres-etl: no way to the Kubernetes cluster by {tmp_path / 'none'}: ")
    assert aws.executions(EXTRACT) == []


def test_credentials_of_another_account_are_refused(aws: Aws, cluster: Cluster) -> None:
    aws.outputs[EXTRACT] = aws.outputs[EXTRACT].replace(ACCOUNT, "473251818902")
    result = run("dev", "--outputs", aws.outputs_file, "--kubeconfig", cluster.kubeconfig)
    assert result.exit_code == 2
    assert result.stderr == (
        "postgres-etl: the environment is signed in to account 123456789012, and "
        "stateMachine:postgres-etl-rds-to-s3 is in 473251818902\n"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"environment": "sbx"},
            "{path} is of the stack 'sbx', not 'dev': name its outputs",
        ),
        (
            {"load_bucket": "other"},
            "{path} has another load bucket than the one that dumps for dev go to: bring both stacks up to date",
        ),
        (
            {"load_state_machine_arn": None},
            "{path} has no `load_state_machine_arn`: this stack does not have the stage that exports it",
        ),
    ],
)
def test_outputs_that_do_not_fit_are_refused(aws: Aws, cluster: Cluster, change: dict[str, Any], message: str) -> None:
    aws.outputs |= change
    path = aws.outputs_file
    result = run("dev", "--outputs", path, "--kubeconfig", cluster.kubeconfig)
    assert result.exit_code == 2
    assert result.stderr == f"postgres-etl: {message.format(path=path)}\n"
    assert aws.executions(EXTRACT) == []


def test_no_outputs_at_all_say_how_to_get_them(tmp_path: Path) -> None:
    result = run("dev")
    assert result.exit_code == 2
    assert result.stderr == (
        "postgres-etl: no stack outputs: `pulumi stack output --json > outputs.json`, then name the file with "
        "--outputs or POSTGRES_ETL_OUTPUTS\n"
    )
    broken = tmp_path / "outputs.json"
    broken.write_text("Current stack outputs (12):")
    result = run("dev", "--outputs", broken)
    assert result.exit_code == 2
    assert result.stderr == (
        f"postgres-etl: {broken} is not a JSON object: write it with `pulumi stack output --json > {broken}`\n"
    )


def test_the_load_stage_needs_only_the_outputs_of_its_own_stack(aws: Aws, clock: SteppedClock) -> None:
    for name in ("load_buckets", "extract_bucket", EXTRACT, "transform_namespace"):
        del aws.outputs[name]
    aws.put_manifest(manifest(NAME, "clean"))
    clock.turns = [lambda: aws.end(LOAD, NAME, "SUCCEEDED")]
    result = run("dev", "--stage", "load", "--execution-name", NAME, "--load-outputs", aws.outputs_file)
    assert result.exit_code == 0, result.output
