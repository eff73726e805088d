"""An ECS task as a process: its environment, its log, its end."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from etl_local.cloud import Cloud
from etl_local.tasks import LocalTasks, secret_value
from tests.local.conftest import eventually
from tests.local.toy_tasks import cloud, define_task, events, run_task, stopped, subnet, tasks

__all__ = ["cloud", "events", "tasks"]  # fixtures

PRINT_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"
WAIT = "import time; print('ready', flush=True); time.sleep(60)"
pytestmark = [pytest.mark.end_to_end, pytest.mark.usefixtures("tasks")]  # an AWS server, and tasks as processes


def messages(cloud: Cloud, task: str) -> list[str]:
    name = f"toy/toy/{task.rpartition('/')[2]}"
    events = cloud.client("logs").get_log_events(logGroupName="/toy", logStreamName=name, startFromHead=True)["events"]
    return [event["message"] for event in events]


def run(cloud: Cloud, program: str, **settings: Any) -> tuple[dict[str, Any], list[str]]:
    define_task(cloud, program, **settings)
    task = run_task(cloud, subnet(cloud))
    return stopped(cloud, task), messages(cloud, task)


def wait_until_ready(cloud: Cloud, task: str) -> None:
    def is_ready() -> bool:
        with contextlib.suppress(cloud.client("logs").exceptions.ResourceNotFoundException):
            return "ready" in messages(cloud, task)
        return False  # the task's thread has not made its log stream yet

    eventually(is_ready, seconds=20)


def test_a_program_gets_the_variables_of_its_definition_and_nothing_inherited(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("INHERITED", "by mistake")
    secret = cloud.client("secretsmanager").create_secret(Name="toy", SecretString='{"username": "toy_reader"}')["ARN"]
    task, lines = run(
        cloud,
        PRINT_ENVIRONMENT,
        environment=[{"name": "DB_NAME", "value": "toys"}, {"name": "MOUNT_POINT", "value": "/scratch"}],
        secrets=[{"name": "DB_CREDENTIALS", "valueFrom": secret}],
        mountPoints=[{"sourceVolume": "scratch", "containerPath": "/scratch"}],
    )
    home = tmp_path / task["taskArn"].rpartition("/")[2]
    environment = json.loads(lines[0])
    environment.pop("LC_CTYPE", None)  # the interpreter's own, in a C locale
    assert environment == {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "AWS_REGION": "eu-west-2",
        "DB_NAME": "toys",
        "DB_CREDENTIALS": '{"username": "toy_reader"}',
        "MOUNT_POINT": str(home / "mounts" / "0"),
    }
    assert (home / "mounts" / "0").is_dir()


def test_an_override_wins_over_the_definition(cloud: Cloud):
    define_task(cloud, PRINT_ENVIRONMENT, environment=[{"name": "EXECUTION_ID", "value": "of the definition"}])
    override = {"name": "toy", "environment": [{"name": "EXECUTION_ID", "value": "of the run"}]}
    task = run_task(cloud, subnet(cloud), containerOverrides=[override])
    assert stopped(cloud, task)["containers"][0]["exitCode"] == 0
    assert json.loads(messages(cloud, task)[0])["EXECUTION_ID"] == "of the run"


def test_paths_below_a_mount_are_moved_and_other_values_are_not(cloud: Cloud, tmp_path: Path):
    values = {"BELOW": "/scratch/a/b", "BESIDE": "/scratchy/a", "TEXT": "see /scratch", "ELSEWHERE": "/etc/toy.pem"}
    task, lines = run(
        cloud,
        PRINT_ENVIRONMENT,
        environment=[{"name": name, "value": value} for name, value in values.items()],
        mountPoints=[{"sourceVolume": "scratch", "containerPath": "/scratch"}],
    )
    moved = tmp_path / task["taskArn"].rpartition("/")[2] / "mounts" / "0" / "a" / "b"
    environment = json.loads(lines[0])
    assert {name: environment[name] for name in values} == {**values, "BELOW": str(moved)}


def test_both_streams_reach_the_log_stream_of_the_task_in_order(cloud: Cloud, tmp_path: Path):
    task, lines = run(
        cloud, "import os; os.write(1, b'one\\n\\n'); os.write(2, b'two\\n'); print('three'); raise SystemExit(7)"
    )
    assert lines == ["one", " ", "two", "three"]
    assert task["containers"][0]["exitCode"] == 7
    file = tmp_path / f"{task['taskArn'].rpartition('/')[2]}.log"
    assert file.read_text() == "one\n\ntwo\nthree\n"


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_disk_without_space_for_the_file_keeps_no_line_from_the_log_stream(cloud: Cloud, tasks: LocalTasks):
    def fill(task: Any, definition: Any) -> None:
        # /dev/full fails each write as a full disk does
        (tasks._surroundings.directory / f"{task.id}.log").symlink_to("/dev/full")
        start(task, definition)

    start, tasks.start = tasks.start, fill  # type: ignore[method-assign]
    task, lines = run(cloud, "print('no space'); raise SystemExit(70)")
    assert lines == ["no space"]
    assert task["containers"][0]["exitCode"] == 70


def test_a_log_of_thousands_of_lines_is_complete_when_the_task_has_stopped(cloud: Cloud):
    _, lines = run(cloud, "for n in range(3000): print(n)")
    assert lines == [str(n) for n in range(3000)]


def test_a_stopped_task_gets_sigterm_and_can_finish(cloud: Cloud):
    program = (
        "import signal, sys, time\n"
        "def stop(*_): print('stopping', flush=True); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, stop); print('ready', flush=True); time.sleep(60)"
    )
    define_task(cloud, program)
    task = run_task(cloud, subnet(cloud))
    wait_until_ready(cloud, task)
    answer = cloud.client("ecs").stop_task(cluster="toy", task=task, reason="enough")["task"]
    assert (answer["desiredStatus"], answer["lastStatus"]) == ("STOPPED", "RUNNING")
    description = stopped(cloud, task)
    assert (description["stopCode"], description["stoppedReason"]) == ("UserInitiated", "enough")
    assert description["containers"][0]["exitCode"] == 143
    assert messages(cloud, task) == ["ready", "stopping"]


def test_a_task_that_ignores_sigterm_is_killed_after_its_stop_timeout(cloud: Cloud):
    define_task(cloud, f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}", stopTimeout=1)
    task = run_task(cloud, subnet(cloud))
    wait_until_ready(cloud, task)
    began = time.monotonic()
    cloud.client("ecs").stop_task(cluster="toy", task=task)
    assert stopped(cloud, task)["containers"][0]["exitCode"] == 137
    assert time.monotonic() - began >= 1


def test_closing_ends_the_tasks_that_run_and_starts_no_other(cloud: Cloud, tasks: LocalTasks):
    define_task(cloud, f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAIT}", stopTimeout=120)
    network = subnet(cloud)
    running = run_task(cloud, network)
    wait_until_ready(cloud, running)
    tasks.close(grace=0.2)
    assert stopped(cloud, running)["containers"][0]["exitCode"] == 137
    late = stopped(cloud, run_task(cloud, network))
    assert (late["stopCode"], late["stoppedReason"]) == ("TaskFailedToStart", "the stand-in is closing")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"command": ["no-such-program"]}, "CannotStartContainerError: "),
        ({"command": []}, "CannotStartContainerError: no command in the task definition"),
        (
            {
                "secrets": [
                    {"name": "DB_CREDENTIALS", "valueFrom": "arn:aws:secretsmanager:eu-west-2:1:secret:none-abc"}
                ]
            },
            "ResourceInitializationError: unable to pull secret DB_CREDENTIALS: ",
        ),
        (
            {
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {"awslogs-group": "/none", "awslogs-stream-prefix": "toy"},
                }
            },
            "ResourceInitializationError: failed to validate logger args: ",
        ),
        ({"logConfiguration": {"logDriver": "syslog"}}, "a stand-in knows the log driver awslogs only, not syslog"),
    ],
)
def test_a_task_that_cannot_start_says_why_and_has_no_exit_code(cloud: Cloud, settings: dict[str, Any], reason: str):
    define_task(cloud, "", **settings)
    task = stopped(cloud, run_task(cloud, subnet(cloud)))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith(reason)
    assert "exitCode" not in task["containers"][0]


def test_a_secret_can_be_taken_whole_or_by_key_or_by_stage(cloud: Cloud):
    secrets = cloud.client("secretsmanager")
    arn = secrets.create_secret(Name="toy", SecretString='{"password": "first"}')["ARN"]
    secrets.put_secret_value(SecretId=arn, SecretString='{"password": "second", "port": 5432}')
    assert secret_value(secrets, arn) == '{"password": "second", "port": 5432}'
    assert secret_value(secrets, f"{arn}:password::") == "second"
    assert secret_value(secrets, f"{arn}:port::") == "5432"
    assert secret_value(secrets, f"{arn}:password:AWSPREVIOUS:") == "first"


@pytest.mark.parametrize(
    "value_from", ["toy", "arn:aws:ssm:eu-west-2:1:parameter/toy", "{arn}:user::", "{arn}:password"]
)
def test_a_reference_that_names_no_secret_or_key_is_refused_without_repeating_the_value(cloud: Cloud, value_from: str):
    secrets = cloud.client("secretsmanager")
    arn = secrets.create_secret(Name="toy", SecretString='{"password": "hush"}')["ARN"]
    with pytest.raises(ValueError, match=r"^(valueFrom is not the ARN of a secret|the secret has no key user)$"):
        secret_value(secrets, value_from.format(arn=arn))


def test_starts_and_ends_are_told(cloud: Cloud, events: list[tuple[str, dict[str, Any]]]):
    task, _ = run(cloud, "raise SystemExit(3)")
    told = {"task": task["taskArn"].rpartition("/")[2], "container": "toy"}
    assert events == [("task_started", told), ("task_stopped", {**told, "exit_code": 3})]
